"""What vector nodes cost forward, in element operations. Free of torch.

One addition, comparison, multiplication or function value each, of the usual two-pass formulas; work per channel or per
row is left out.
"""

import math

from camel_plugin.spec.graph import OperatorNode

_ELEMENT_OPS: dict[str, int] = {
    "batch_norm": 5,  # sum; square, sum; scale, shift (mean and variance folded into both)
    "layer_norm": 7,  # sum; square, sum; centre, scale; times weight, plus bias
    "group_norm": 7,
    "relu": 1,
    "activation": 1,
    "activation_out": 1,
    "softmax": 5,  # maximum, difference, exponential, sum, quotient
    "add": 1,
    "sub": 1,
    "rsub": 1,
    "mul": 1,
    "div": 1,
    "mask": 1,
    "dropout": 2,  # compare, multiply
    "random": 1,
    "where": 1,
    "compare": 1,
    "prelu": 2,
    "scan": 1,
    "interpolate": 8,  # four products, four sums
    "concat": 0,
    "split": 0,
    "slice": 0,
    "slice_write": 0,
    "gather": 0,
    "detach": 0,
    "pad": 0,
    "broadcast": 0,
    "upsample": 0,
    "copy": 0,
    "unsupported": 0,
}
"""Element operations per output element, forward."""

_PER_INPUT = {"reduce": 1, "extremum": 1, "moment": 3}
"""Element operations per input element, forward; a moment is a sum, a difference and a square."""


def forward_ops(node: OperatorNode) -> int:
    """Element operations of a vector node."""
    out = math.prod(node.output_shapes[0])
    if node.kind in ("max_pool", "avg_pool"):
        return out * math.prod(node.extents("kernel"))
    if node.kind in _PER_INPUT:
        return math.prod(node.input_shapes[0]) * _PER_INPUT[node.kind]
    if node.kind == "batch_norm" and not node.attributes["training"]:
        return 2 * out  # scale, shift
    return out * _ELEMENT_OPS[node.kind]
