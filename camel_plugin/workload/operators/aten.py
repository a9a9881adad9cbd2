"""ATen's operators: name without overload and without the underscore of the in-place form -> row. Free of torch.

Element operations are those of the usual two-pass formulas, one addition, comparison, multiplication or function value
each; work per channel or per row is left out.
"""

from collections.abc import Mapping

from camel_plugin.workload.lowering import rules
from camel_plugin.workload.operators.attributes import adaptive_pool, axis, convolution, named, norm, pool, scaled
from camel_plugin.workload.operators.operator import Operator, per_input, per_kernel, per_output


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


CREATION = frozenset(
    _words(
        "empty empty_like empty_strided empty_permuted new_empty new_empty_strided zeros zeros_like new_zeros ones "
        "ones_like new_ones full full_like new_full arange scalar_tensor eye linspace logspace fill zero tril_indices "
        "triu_indices hann_window"
    )
)
"""Constants made on the way: no cost."""

RANDOM = frozenset(_words("rand rand_like randn randn_like randint randint_like randperm normal uniform bernoulli"))
"""Written anew at each run: never constants."""

_NORM = ("input", "weight", "bias")
_STATISTICS = ("out", "mean", "rstd")
_GRADIENTS = ("input_grad", "weight_grad", "bias_grad")
_BINARY = ("self", "other")
_DY = "grad_output"


def _named(kind: str, names: str, **rest: object) -> dict[str, Operator]:
    return {name: Operator(kind, attributes=named(name), **rest) for name in _words(names)}  # type: ignore[arg-type]


def _alike(names: str, row: Operator) -> dict[str, Operator]:
    return dict.fromkeys(_words(names), row)


_PRODUCTS = {
    "convolution": Operator("conv", ("input", "weight", "bias"), convolution, lower=rules.product),
    "mm": Operator("matmul", ("self", "mat2"), lower=rules.product),
    "addmm": Operator("matmul", ("mat1", "mat2", "self"), lower=rules.product),
    "bmm": Operator("matmul", ("self", "mat2"), lower=rules.product),
    "baddbmm": Operator("matmul", ("batch1", "batch2", "self"), lower=rules.product),
    "mv": Operator("matmul", ("self", "vec"), lower=rules.product),
    "addmv": Operator("matmul", ("mat", "vec", "self"), lower=rules.product),
    "dot": Operator("matmul", ("self", "tensor"), lower=rules.product),
    "_grouped_mm": Operator("matmul", ("self", "mat2"), lower=rules.grouped_product),
    "convolution_backward": Operator(
        "conv", (_DY, "input", "weight"), convolution, _GRADIENTS, lower=rules.convolution_gradient
    ),
}

_NORMS = {
    # Sum; square, sum; scale, shift (mean and variance folded into both).
    **_alike(
        "native_batch_norm cudnn_batch_norm _native_batch_norm_legit _batch_norm_with_update",
        Operator("batch_norm", _NORM, norm("training"), _STATISTICS, rules.batch_norm_ops),
    ),
    **_alike(
        "_native_batch_norm_legit_no_training _batch_norm_no_update",
        Operator("batch_norm", _NORM, lambda _: {"training": False}, _STATISTICS, rules.batch_norm_ops),
    ),
    # Sum; square, sum; centre, scale; times weight, plus bias.
    "native_layer_norm": Operator("layer_norm", _NORM, results=_STATISTICS, ops=per_output(7)),
    "native_group_norm": Operator("group_norm", _NORM, results=_STATISTICS, ops=per_output(7)),
    # Square, sum; scale, times weight.
    "_fused_rms_norm": Operator("rms_norm", ("input", "weight"), results=("out", "rstd"), ops=per_output(4)),
    # Normalised input: 2; its product with dY and both sums: 3. Batch norm's dX is a sum of three scaled terms: 4.
    **_alike(
        "native_batch_norm_backward batch_norm_backward",
        Operator(
            "batch_norm",
            ("grad_out", "input", "weight", "save_mean", "save_invstd"),
            norm("train"),
            _GRADIENTS,
            lower=rules.norm_gradient(5, 4),
        ),
    ),
    # The same sums again over rows after the product with the weight: 1 + 3; difference and scale: 4, normalised: 2.
    "native_layer_norm_backward": Operator(
        "layer_norm",
        ("grad_out", "input", "weight", "mean", "rstd"),
        norm(),
        _GRADIENTS,
        lower=rules.norm_gradient(5, 10),
    ),
    "native_group_norm_backward": Operator(
        "group_norm",
        ("grad_out", "input", "weight", "mean", "rstd"),
        norm(),
        _GRADIENTS,
        lower=rules.norm_gradient(5, 10),
    ),
    "_fused_rms_norm_backward": Operator(
        "rms_norm", ("grad_out", "input", "weight", "rstd"), norm(), _GRADIENTS[:2], lower=rules.norm_gradient(3, 7)
    ),
}

_FUNCTIONS = {
    "relu": Operator("relu", lower=rules.rectifier),
    **_named(
        "activation",
        "gelu silu mish elu selu celu leaky_relu hardswish hardsigmoid hardtanh softplus threshold clamp clamp_min "
        "clamp_max abs neg pow log log1p log2 log10 log_sigmoid_forward erf sin cos tan atan asin acos sinh cosh "
        "square reciprocal glu sign sgn floor ceil round trunc frac relu6 softshrink hardshrink logit erfinv lgamma "
        "digamma nan_to_num heaviside fmod remainder atan2 hypot angle",
        operands=None,
        ops=per_output(1),
    ),
    **_named("activation_out", "sigmoid tanh exp expm1 exp2 sqrt rsqrt", ops=per_output(1)),
    "_prelu_kernel": Operator("prelu", ("self", "weight"), ops=per_output(2)),
    # Maximum, difference, exponential, sum, quotient.
    **_alike("_softmax _safe_softmax _log_softmax", Operator("softmax", ops=per_output(5))),
    **{kind: Operator(kind, _BINARY, scaled, ops=per_output(1)) for kind in ("add", "sub", "rsub", "mul", "div")},
    "addcmul": Operator("mul", ("self", "tensor1", "tensor2"), ops=per_output(2)),
    "addcdiv": Operator("div", ("self", "tensor1", "tensor2"), ops=per_output(2)),
    "lerp": Operator("add", ("self", "end", "weight"), ops=per_output(3)),
    "where": Operator("where", ("condition", "self", "other"), ops=per_output(1)),
    **_alike("maximum minimum fmax fmin", Operator("where", _BINARY, ops=per_output(1))),
    **_alike(
        "gt lt ge le eq ne logical_and logical_or logical_xor bitwise_and bitwise_or",
        Operator("compare", _BINARY, ops=per_output(1)),
    ),
    **_alike("isnan isinf isfinite logical_not bitwise_not signbit", Operator("compare", ops=per_output(1))),
    **_alike("argmax argmin count_nonzero any all", Operator("compare", ops=per_input(1))),
    "masked_fill": Operator("mask", ("self", "mask"), ops=per_output(1)),
    **_alike("tril triu", Operator("mask", ops=per_output(1))),
    # Compare, multiply.
    "native_dropout": Operator("dropout", ("input",), results=("out", "mask"), ops=per_output(2)),
    **{name: Operator("random", None, ops=per_output(1)) for name in sorted(RANDOM)},
}

_FUNCTION_GRADIENTS = {
    "threshold_backward": Operator("relu", (_DY, "self"), lower=rules.rectifier_gradient),
    **_named(
        "activation",
        "gelu_backward silu_backward mish_backward leaky_relu_backward hardswish_backward hardsigmoid_backward "
        "hardtanh_backward softplus_backward glu_backward softshrink_backward "
        "log_sigmoid_backward logit_backward",
        operands=(_DY, "self"),
        ops=per_output(2),
    ),
    "hardshrink_backward": Operator("activation", ("grad_out", "self"), named("hardshrink"), ops=per_output(2)),
    "elu_backward": Operator("activation", (_DY, "self_or_result"), named("elu"), ops=per_output(2)),
    **_named("activation", "sigmoid_backward tanh_backward", operands=(_DY, "output"), ops=per_output(2)),
    **_alike(
        "_softmax_backward_data _log_softmax_backward_data", Operator("softmax", (_DY, "output"), ops=per_output(4))
    ),
    "_prelu_kernel_backward": Operator(
        "prelu", (_DY, "self", "weight"), results=("input_grad", "other_grad"), ops=per_output(4)
    ),
    "native_dropout_backward": Operator("dropout", (_DY, "mask"), ops=per_output(1)),
}

_POOLS = {
    **{
        f"max_pool{rank}d_with_indices": Operator(
            "max_pool", ("self",), pool, ("out", "indices"), per_kernel("output_shapes")
        )
        for rank in (2, 3)
    },
    **{f"avg_pool{rank}d": Operator("avg_pool", ("self",), pool, ops=per_kernel("output_shapes")) for rank in (2, 3)},
    **{
        f"_adaptive_avg_pool{rank}d": Operator("avg_pool", ("self",), adaptive_pool, ops=per_kernel("output_shapes"))
        for rank in (2, 3)
    },
    **{
        f"adaptive_max_pool{rank}d": Operator(
            "max_pool", ("self",), adaptive_pool, ("out", "indices"), per_kernel("output_shapes")
        )
        for rank in (2, 3)
    },
    **{
        f"{name}_backward": Operator("max_pool", (_DY, "indices"), ops=per_input(1))
        for name in _words("max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d adaptive_max_pool3d")
    },
    **{
        f"avg_pool{rank}d_backward": Operator("avg_pool", (_DY,), pool, ops=per_kernel("input_shapes"))
        for rank in (2, 3)
    },
    **{
        f"_adaptive_avg_pool{rank}d_backward": Operator(
            "avg_pool", (_DY,), adaptive_pool, ops=per_kernel("input_shapes")
        )
        for rank in (2,)
    },
}

_REDUCTIONS = {
    **_alike("mean sum prod", Operator("reduce", ops=per_input(1))),
    **{
        name: Operator("extremum", results=("out", "indices"), ops=per_input(1)) for name in _words("amax amin max min")
    },
    **{
        name: Operator("extremum", results=("out", "indices"), ops=per_input(1))
        for name in _words("topk sort kthvalue median mode")
    },
    # A sum, a difference and a square.
    **_named("moment", "var std linalg_vector_norm norm logsumexp", ops=per_input(3)),
    "var_mean": Operator("moment", attributes=named("var_mean"), results=("out", "mean"), ops=per_input(3)),
    **_alike("cumsum cumprod logcumsumexp", Operator("scan", ops=per_output(1))),
    **_alike("cummax cummin", Operator("scan", results=("out", "indices"), ops=per_output(1))),
}

_MOVES = {
    "slice_write": Operator("slice_write", lower=rules.slice_write),
    **_alike("cat stack", Operator("concat", ("tensors",), axis)),
    "constant_pad_nd": Operator("pad"),
    **_alike("slice_backward select_backward diagonal_backward", Operator("pad", (_DY,))),
    "unfold_backward": Operator("reduce", ("grad_in",), ops=per_input(1)),
    "repeat": Operator("broadcast"),
    **{f"{name}_pad{rank}d": Operator("broadcast") for name in ("reflection", "replication") for rank in (1, 2, 3)},
    **{
        f"{name}_pad{rank}d_backward": Operator("reduce", (_DY,), ops=per_input(1))
        for name in ("reflection", "replication")
        for rank in (1, 2, 3)
    },
    **_alike(
        "clone copy _to_copy contiguous roll flip rot90 channel_shuffle pixel_shuffle pixel_unshuffle", Operator("copy")
    ),
    "copy": Operator("copy", ("src",)),
    "im2col": Operator("broadcast"),
    "col2im": Operator("reduce", ops=per_input(1)),
    **_alike("embedding", Operator("gather", ("weight", "indices"))),
    **_alike("index_select gather take_along_dim take", Operator("gather", ("self", "index"))),
    **_alike("index _unsafe_index masked_select", Operator("gather", ("self", "indices", "mask"))),
    # Rows of dY are added to those of a gradient as large as the table (torch's dense one).
    "embedding_dense_backward": Operator("scatter", (_DY, "indices"), ops=per_input(1)),
    **_alike(
        "index_put _index_put_impl _unsafe_index_put",
        Operator("scatter", ("values", "indices", "self"), ops=per_input(1)),
    ),
    **_alike(
        "scatter_add scatter select_scatter slice_scatter scatter_reduce masked_scatter",
        Operator("scatter", ("src", "index", "self", "source", "mask"), ops=per_input(1)),
    ),
    **_alike("index_copy index_add index_fill", Operator("scatter", ("source", "index", "self"), ops=per_input(1))),
}

_RESIZING = {
    **{
        f"{name}{rank}d": Operator("upsample")
        for name in ("upsample_nearest", "_upsample_nearest_exact")
        for rank in (1, 2, 3)
    },
    **{
        f"{name}{rank}d_backward": Operator("reduce", (_DY,), ops=per_input(1))
        for name in ("upsample_nearest", "_upsample_nearest_exact")
        for rank in (1, 2, 3)
    },
    # Four products, four sums.
    **{
        name + suffix: Operator(
            "interpolate", ("self",) if not suffix else (_DY,), ops=per_output(8) if not suffix else per_input(8)
        )
        for name in _words(
            "upsample_bilinear2d upsample_bicubic2d upsample_linear1d upsample_trilinear3d _upsample_bilinear2d_aa "
            "_upsample_bicubic2d_aa"
        )
        for suffix in ("", "_backward")
    },
    "grid_sampler_2d": Operator("interpolate", ("input", "grid"), ops=per_output(8)),
    "grid_sampler_2d_backward": Operator(
        "interpolate", (_DY, "input", "grid"), results=("input_grad", "other_grad"), ops=per_input(16)
    ),
}

OPERATORS: Mapping[str, Operator] = {
    **_PRODUCTS,
    **_NORMS,
    **_FUNCTIONS,
    **_FUNCTION_GRADIENTS,
    **_POOLS,
    **_REDUCTIONS,
    **_MOVES,
    **_RESIZING,
}
