"""Which ATen operator is which kind of node, and which of its arguments matter. Free of torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, SupportsInt, runtime_checkable

Arguments = Mapping[str, object]
Attributes = dict[str, object]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


VIEWS = _words(
    "view _unsafe_view reshape permute transpose t unsqueeze squeeze alias view_as flatten view_as_real "
    "view_as_complex unflatten contiguous lift_fresh expand_as movedim swapaxes"
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
        operands: names of its tensor arguments, in the order of ``OperatorNode.inputs``; absent ones are left out.
        attributes: further arguments -> attributes of the node; ``kind`` among them replaces that of the node.
        results: names of the results that the node keeps; empty for any number of equal ones.
    """

    kind: str
    operands: tuple[str, ...] = ("self",)
    attributes: Callable[[Arguments], Attributes] = lambda _: {}
    results: tuple[str, ...] = ("out",)


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


def _conv(a: Arguments) -> Attributes:
    rank = len(_shape(a["weight"])) - 2
    # A one-dimensional convolution is one over images of a single row.
    lead = {"stride": (1,), "padding": (0,), "dilation": (1,)} if rank == 1 else {}
    attributes: Attributes = {
        key: lead.get(key, ()) + _extents(a[key], rank) for key in ("stride", "padding", "dilation")
    }
    kind = "conv_transpose" if a["transposed"] else "conv"
    return {**attributes, "groups": _integers(a["groups"])[0], "kind": f"{kind}{rank}d"}


def _pool(a: Arguments) -> Attributes:
    kernel = _integers(a["kernel_size"])
    return {"kernel": kernel, "stride": _extents(a["stride"], len(kernel)) if a.get("stride") else kernel}


def _adaptive_pool(a: Arguments) -> Attributes:
    out = _integers(a["output_size"])
    kernel = tuple(-(-x // y) for x, y in zip(_shape(a["self"])[-len(out) :], out, strict=True))
    return {"kernel": kernel, "stride": kernel}


def _dim(a: Arguments) -> Attributes:
    several = a.get("tensors")
    tensor = several[0] if isinstance(several, list | tuple) else a["self"]
    return {"dim": _integers(a.get("dim", 0))[0] % len(_shape(tensor))}


_NEAREST = ("upsample_nearest", "_upsample_nearest_exact")
_NORM = ("input", "weight", "bias")
_STATISTICS = ("out", "mean", "rstd")
_BATCH_NORM = Operator("batch_norm", _NORM, lambda a: {"training": bool(a["training"])}, _STATISTICS)
_BINARY = ("self", "other")
_FROM_INPUT = _words(
    "gelu silu mish elu selu celu leaky_relu hardswish hardsigmoid hardtanh softplus threshold clamp clamp_min "
    "abs neg pow log log1p log2 log10 log_sigmoid_forward erf sin cos square reciprocal glu sign floor"
)  # the derivative is computed from the input
_FROM_OUTPUT = _words("sigmoid tanh exp expm1 sqrt rsqrt")  # ... from the output


def _named(function: str) -> Callable[[Arguments], Attributes]:
    return lambda _: {"function": function}


OPERATORS: Mapping[str, Operator] = {
    "convolution": Operator("conv", ("input", "weight", "bias"), _conv),
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
    **{f"max_pool{rank}d_with_indices": Operator("max_pool", ("self",), _pool, ("out", "indices")) for rank in (2, 3)},
    **{f"avg_pool{rank}d": Operator("avg_pool", ("self",), _pool) for rank in (2, 3)},
    **{f"_adaptive_avg_pool{rank}d": Operator("avg_pool", ("self",), _adaptive_pool) for rank in (2, 3)},
    **{
        f"adaptive_max_pool{rank}d": Operator("max_pool", ("self",), _adaptive_pool, ("out", "indices"))
        for rank in (2, 3)
    },
    "mean": Operator("reduce"),
    "sum": Operator("reduce"),
    **{name: Operator("extremum", results=("out", "indices")) for name in _words("amax amin max min")},
    **{name: Operator("moment", attributes=_named(name)) for name in _words("var std linalg_vector_norm logsumexp")},
    "var_mean": Operator("moment", attributes=_named("var_mean"), results=("out", "mean")),
    "cumsum": Operator("scan"),
    "add": Operator("add", _BINARY),
    "sub": Operator("sub", _BINARY),
    "rsub": Operator("rsub", _BINARY),
    "mul": Operator("mul", _BINARY),
    "div": Operator("div", _BINARY),
    "cat": Operator("concat", ("tensors",), _dim),
    "stack": Operator("concat", ("tensors",), _dim),
    **{
        name: Operator("split", ("self",), _dim, ())
        for name in _words("split split_with_sizes unsafe_split unsafe_split_with_sizes unbind")
    },
    "slice": Operator("slice"),
    "select": Operator("slice"),
    "narrow": Operator("slice"),
    "constant_pad_nd": Operator("pad"),
    **{name: Operator("broadcast") for name in _words("expand repeat unfold as_strided")},
    **{f"{name}_pad{rank}d": Operator("broadcast") for name in ("reflection", "replication") for rank in (1, 2, 3)},
    **{name: Operator("copy") for name in _words("pixel_shuffle pixel_unshuffle channel_shuffle rot90")},
    "im2col": Operator("broadcast"),
    "col2im": Operator("reduce"),
    **{f"{name}{rank}d": Operator("upsample") for name in _NEAREST for rank in (1, 2, 3)},
    **{
        name: Operator("interpolate")
        for name in _words(
            "upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d _upsample_bilinear2d_aa "
            "_upsample_bicubic2d_aa"
        )
    },
    "embedding": Operator("gather", ("weight", "indices")),
    "index_select": Operator("gather", ("self", "index")),
    "gather": Operator("gather", ("self", "index")),
    "index": Operator("gather", ("self", "indices")),
    "where": Operator("where", ("condition", "self", "other")),
    "maximum": Operator("where", _BINARY),
    "minimum": Operator("where", _BINARY),
    **{name: Operator("compare", _BINARY) for name in _words("gt lt ge le eq ne")},
    **{name: Operator("compare") for name in _words("argmax argmin isnan isinf")},
    "_prelu_kernel": Operator("prelu", ("self", "weight")),
    "roll": Operator("copy"),
    "flip": Operator("copy"),
    "clone": Operator("copy"),
    "_to_copy": Operator("copy"),
    "copy": Operator("copy", ("src",)),
    "native_dropout": Operator("dropout", ("input",), results=("out", "mask")),
    **{name: Operator("extremum", results=("out", "indices")) for name in _words("topk sort kthvalue median mode")},
    "masked_fill": Operator("mask", ("self", "mask")),
    **{name: Operator("random", ()) for name in _words("bernoulli rand_like randn_like randint_like")},
    **{name: Operator("slice_write", ("self", "values", "indices")) for name in _words("index_put _index_put_impl")},
    **{
        name: Operator("slice_write", ("self", "src", "index")) for name in _words("scatter scatter_add select_scatter")
    },
    **{name: Operator("slice_write", ("self", "source", "index")) for name in _words("index_copy index_add")},
}
"""ATen name without overload and without the underscore of the in-place form -> its kind."""
