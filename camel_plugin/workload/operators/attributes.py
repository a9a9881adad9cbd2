"""Arguments of ATen operators that matter to their cost, as attributes of nodes. Free of torch."""

from collections.abc import Callable, Sequence
from typing import Protocol, SupportsInt, runtime_checkable

from camel_plugin.workload.operators.operator import Arguments, Attributes


@runtime_checkable
class _Shaped(Protocol):
    """A tensor, of torch or not."""

    shape: Sequence[int]


def _shape(tensor: object) -> tuple[int, ...]:
    assert isinstance(tensor, _Shaped)
    return tuple(map(int, tensor.shape))


def _integers(value: object) -> tuple[int, ...]:
    """One integer or several."""
    if isinstance(value, list | tuple):
        return tuple(map(int, value))
    assert isinstance(value, SupportsInt)
    return (int(value),)


def _extents(value: object, rank: int) -> tuple[int, ...]:
    """One integer, or one for each dimension, as ``rank`` of them."""
    values = _integers(value)
    return values * rank if len(values) == 1 else values


def convolution(a: Arguments) -> Attributes:
    """Stride, padding, dilation, groups, and the kind: ``conv2d``, ``conv_transpose1d`` ..."""
    rank = len(_shape(a["weight"])) - 2
    # A one-dimensional convolution is one over images of a single row.
    lead = {"stride": (1,), "padding": (0,), "dilation": (1,)} if rank == 1 else {}
    attributes: Attributes = {
        key: lead.get(key, ()) + _extents(a[key], rank) for key in ("stride", "padding", "dilation")
    }
    kind = "conv_transpose" if a["transposed"] else "conv"
    return {**attributes, "groups": _integers(a["groups"])[0], "kind": f"{kind}{rank}d"}


def pool(a: Arguments) -> Attributes:
    """Kernel and stride of a pooling window."""
    kernel = _integers(a["kernel_size"])
    return {"kernel": kernel, "stride": _extents(a["stride"], len(kernel)) if a.get("stride") else kernel}


def adaptive_pool(a: Arguments) -> Attributes:
    """The same of a pooling to a given size, its largest window."""
    out = _integers(a["output_size"]) if "output_size" in a else _shape(a["grad_output"])[-2:]
    kernel = tuple(-(-x // y) for x, y in zip(_shape(a["self"])[-len(out) :], out, strict=True))
    return {"kernel": kernel, "stride": kernel}


def axis(a: Arguments) -> Attributes:
    """The dimension that an operator goes along."""
    several = a.get("tensors")
    tensor = several[0] if isinstance(several, list | tuple) else a["self"]
    return {"dim": _integers(a.get("dim", 0))[0] % max(1, len(_shape(tensor)))}


def norm(training: str | None = None) -> Callable[[Arguments], Attributes]:
    """Whether a norm has a weight, and by the argument of this name, whether it takes its statistics from the batch."""

    def attributes(a: Arguments) -> Attributes:
        found: Attributes = {"weighted": a.get("weight") is not None}
        return found if training is None else {**found, "training": bool(a[training])}

    return attributes


def named(function: str) -> Callable[[Arguments], Attributes]:
    """The function that an operator computes."""
    return lambda _: {"function": function}


def scaled(a: Arguments) -> Attributes:
    """Whether a sum has a factor before its second operand, or a quotient is rounded."""
    return {"scaled": True} if a.get("alpha", 1) != 1 or a.get("rounding_mode") else {}
