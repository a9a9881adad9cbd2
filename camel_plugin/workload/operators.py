"""Which ATen operator is which kind of node, and which of its arguments matter. Free of torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Arguments = Mapping[str, Any]
Attributes = dict[str, object]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VIEWS = _words(
    "view _unsafe_view reshape permute transpose t unsqueeze squeeze alias detach view_as flatten "
    "unflatten contiguous lift_fresh expand_as movedim swapaxes"
)
"""Other names for the same data: no cost."""

CREATION = _words(
    "empty empty_like empty_strided new_empty zeros zeros_like new_zeros ones ones_like new_ones full full_like "
    "new_full arange scalar_tensor eye linspace tril triu fill_ zero_ lift_fresh_copy"
)
"""Constants made during the forward pass: no cost."""


@dataclass(frozen=True)
class Operator:
    """How an ATen operator becomes a node.

    Attributes:
        kind: of the node.
        operands: names of its tensor arguments, in the order of ``Node.inputs``; absent ones are left out.
        attributes: further arguments -> attributes of the node.
        results: names of the results that the node keeps; empty for any number of equal ones.
    """

    kind: str
    operands: tuple[str, ...] = ("self",)
    attributes: Callable[[Arguments], Attributes] = lambda _: {}
    results: tuple[str, ...] = ("out",)


def pair(value: Any) -> tuple[int, int]:
    """One or two integers as two; a one-dimensional operator gets a leading 1 or 0 from its caller."""
    values = [int(v) for v in value] if isinstance(value, list | tuple) else [int(value)]
    return (values[0], values[-1])


def _conv(a: Arguments) -> Attributes:
    flat = len(a["input"].shape) == 3
    lift: Callable[[Any, int], tuple[int, int]] = (lambda v, n: (n, int(v[0]))) if flat else (lambda v, _: pair(v))
    return {
        "stride": lift(a["stride"], 1),
        "padding": lift(a["padding"], 0),
        "dilation": lift(a["dilation"], 1),
        "groups": int(a["groups"]),
    }


def _pool(a: Arguments) -> Attributes:
    kernel = pair(a["kernel_size"])
    return {"kernel": kernel, "stride": pair(a["stride"]) if a.get("stride") else kernel}


def _adaptive_pool(a: Arguments) -> Attributes:
    height, width = a["self"].shape[-2:]
    out = pair(a["output_size"])
    kernel = (-(-height // out[0]), -(-width // out[1]))
    return {"kernel": kernel, "stride": kernel}


def _dim(a: Arguments) -> Attributes:
    tensor = a["tensors"][0] if "tensors" in a else a["self"]
    return {"dim": int(a.get("dim", 0)) % len(tensor.shape)}


_NORM = ("input", "weight", "bias")
_STATISTICS = ("out", "mean", "rstd")
_BATCH_NORM = Operator("batch_norm", _NORM, lambda a: {"training": bool(a["training"])}, _STATISTICS)
_BINARY = ("self", "other")
_FROM_INPUT = _words(
    "gelu silu mish elu selu celu leaky_relu hardswish hardsigmoid hardtanh softplus threshold clamp clamp_min "
    "abs neg pow log log_sigmoid_forward erf sin cos square reciprocal"
)  # the derivative is computed from the input
_FROM_OUTPUT = _words("sigmoid tanh exp sqrt rsqrt")  # ... from the output


def _named(function: str) -> Callable[[Arguments], Attributes]:
    return lambda _: {"function": function}


OPERATORS: Mapping[str, Operator] = {
    "convolution": Operator("conv2d", ("input", "weight", "bias"), _conv),
    "mm": Operator("matmul", ("self", "mat2")),
    "addmm": Operator("matmul", ("mat1", "mat2", "self")),
    "bmm": Operator("matmul", ("self", "mat2")),
    "baddbmm": Operator("matmul", ("batch1", "batch2", "self")),
    "native_batch_norm": _BATCH_NORM,
    "cudnn_batch_norm": _BATCH_NORM,
    "_native_batch_norm_legit": _BATCH_NORM,
    "_native_batch_norm_legit_no_training": Operator("batch_norm", _NORM, lambda _: {"training": False}, _STATISTICS),
    "native_layer_norm": Operator("layer_norm", _NORM, results=_STATISTICS),
    "native_group_norm": Operator("group_norm", _NORM, results=_STATISTICS),
    "relu": Operator("relu"),
    **{name: Operator("activation", attributes=_named(name)) for name in _FROM_INPUT},
    **{name: Operator("activation_out", attributes=_named(name)) for name in _FROM_OUTPUT},
    "_softmax": Operator("softmax"),
    "_safe_softmax": Operator("softmax"),
    "_log_softmax": Operator("softmax"),
    "max_pool2d_with_indices": Operator("max_pool", ("self",), _pool, ("out", "indices")),
    "avg_pool2d": Operator("avg_pool", ("self",), _pool),
    "_adaptive_avg_pool2d": Operator("avg_pool", ("self",), _adaptive_pool),
    "adaptive_max_pool2d": Operator("max_pool", ("self",), _adaptive_pool, ("out", "indices")),
    "mean": Operator("reduce"),
    "sum": Operator("reduce"),
    "add": Operator("add", _BINARY),
    "sub": Operator("sub", _BINARY),
    "rsub": Operator("rsub", _BINARY),
    "mul": Operator("mul", _BINARY),
    "div": Operator("div", _BINARY),
    "cat": Operator("concat", ("tensors",), _dim),
    "stack": Operator("concat", ("tensors",), _dim),
    "split": Operator("split", ("self",), _dim, ()),
    "split_with_sizes": Operator("split", ("self",), _dim, ()),
    "unbind": Operator("split", ("self",), _dim, ()),
    "slice": Operator("slice"),
    "select": Operator("slice"),
    "narrow": Operator("slice"),
    "constant_pad_nd": Operator("pad"),
    "expand": Operator("broadcast"),
    "repeat": Operator("broadcast"),
    "upsample_nearest1d": Operator("upsample"),
    "upsample_nearest2d": Operator("upsample"),
    "clone": Operator("copy"),
    "_to_copy": Operator("copy"),
    "copy": Operator("copy", ("src",)),
    "native_dropout": Operator("dropout", ("input",), results=("out", "mask")),
    "masked_fill": Operator("mask", ("self", "mask")),
    "bernoulli": Operator("random", ()),
}
"""ATen name without overload and without the underscore of the in-place form -> its kind."""
