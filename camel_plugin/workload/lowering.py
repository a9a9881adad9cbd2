"""Multiply-accumulate operators as loop nests, one nest a pass, all in the ordinary convolution shape where exact.

Dimensions stand in the order C, M, R, S, N, P, Q (a leading G for groups), dataspaces in the order Weights, Inputs,
Outputs, and Outputs is the one accumulated into, whatever the pass: one set of machine constraints serves all three.
C is always the reduction over channels, M the channels of the result. Free of torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from camel_plugin.workload.graph import Node
from camel_plugin.workload.problem import Dataspace, Problem, Term

_ORDER = ("C", "M", "R", "S", "N", "P", "Q")


@dataclass(frozen=True)
class Conv:
    """A convolution; linear layers and matrix products are those with P = Q = R = S = 1.

    Attributes:
        groups: independent convolutions (or matrix products of a batch).
        c: input channels of a group.
        m: output channels of a group.
        r: kernel rows.
        s: kernel columns.
        n: samples.
        p: output rows.
        q: output columns.
        height: input rows without padding.
        width: input columns without padding.
        stride: (rows, columns).
        dilation: (rows, columns).
    """

    groups: int
    c: int
    m: int
    r: int
    s: int
    n: int
    p: int
    q: int
    height: int = 1
    width: int = 1
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass, and of each gradient."""
        return self.groups * self.c * self.m * self.r * self.s * self.n * self.p * self.q


def conv_of(node: Node) -> Conv:
    """The convolution that a ``conv2d``, ``linear`` or ``matmul`` node computes."""
    data, weight, out = node.input_shapes[0], node.input_shapes[1], node.output_shapes[0]
    if node.kind != "conv2d":
        groups = math.prod(data[:-2])
        return Conv(groups, c=data[-1], m=weight[-1], r=1, s=1, n=data[-2], p=1, q=1)
    (height, width), (r, s), (p, q) = (_rows_and_columns(shape) for shape in (data, weight, out))
    groups = node.number("groups")
    c, m = data[1] // groups, out[1] // groups
    return Conv(groups, c, m, r, s, data[0], p, q, height, width, node.pair("stride"), node.pair("dilation"))


def _rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """The last two extents of an image batch; a one-dimensional one has a single row."""
    return (shape[-2], shape[-1]) if len(shape) == 4 else (1, shape[-1])


def forward_problem(conv: Conv) -> Problem:
    """Weights = W, Inputs = X, Outputs = Y."""
    bounds = (conv.c, conv.m, conv.r, conv.s, conv.n, conv.p, conv.q)
    return _conv_problem(conv.groups, bounds, conv.stride, conv.dilation)


def weight_grad_problem(conv: Conv) -> Problem:
    """Weights = dY, Inputs = X, Outputs = dW: kernel and output, and stride and dilation, change places."""
    bounds = (conv.n, conv.m, conv.p, conv.q, conv.c, conv.r, conv.s)
    return _conv_problem(conv.groups, bounds, conv.dilation, conv.stride)


@dataclass(frozen=True)
class InputGrad:
    """The input gradient of a convolution.

    Attributes:
        problems: name suffix -> nest; Weights = W, Inputs = dY, Outputs = dX (a phase's pixels of it).
        untouched: elements of dX that no nest writes because no kernel tap reaches them.
    """

    problems: dict[str, Problem]
    untouched: int


def input_grad_problems(conv: Conv) -> InputGrad:
    """The exact input gradient, without zero-inserted work.

    Rows (columns) of dX, counted from the padding on, fall into ``stride`` phases; phase ``f`` meets only the taps
    ``r`` with ``r * dilation = f (mod stride)`` and is an ordinary stride-1 convolution of dY with those. If every
    phase has as many rows as dY (``height = p * stride``), the phases count each multiply-accumulate of the closed form
    once. Otherwise an ordinary nest would also count taps that fall outside of dY (or miss some), so the
    nest of the forward pass is kept with dX as its Outputs, projected ``p * stride + r * dilation``.
    """
    exact = conv.height == conv.p * conv.stride[0] and conv.width == conv.q * conv.stride[1]
    if not exact:
        return InputGrad({"": _transposed_problem(conv)}, 0)
    rows = _phases(conv.r, conv.stride[0], conv.dilation[0])
    columns = _phases(conv.s, conv.stride[1], conv.dilation[1])
    problems = {}
    for row, (r, row_dilation) in rows.items():
        for column, (s, column_dilation) in columns.items():
            suffix = f".{row}_{column}" if conv.stride != (1, 1) else ""
            bounds = (conv.m, conv.c, r, s, conv.n, conv.p, conv.q)
            problems[suffix] = _conv_problem(conv.groups, bounds, (1, 1), (row_dilation, column_dilation))
    phases = conv.stride[0] * conv.stride[1]
    silent = phases - len(rows) * len(columns)
    return InputGrad(problems, silent * conv.groups * conv.n * conv.c * conv.p * conv.q)


def _phases(taps: int, stride: int, dilation: int) -> dict[int, tuple[int, int]]:
    """Phase -> (taps that meet it, their distance in rows of dY); phases without taps are absent."""
    counts: dict[int, int] = {}
    for tap in range(taps):
        phase = tap * dilation % stride
        counts[phase] = counts.get(phase, 0) + 1
    # Taps of one phase are stride / gcd apart, hence dilation * stride / gcd rows of dX, stride of which are one of dY.
    distance = dilation // math.gcd(stride, dilation)
    return {phase: (count, distance) for phase, count in sorted(counts.items())}


def _conv_problem(groups: int, bounds: tuple[int, ...], stride: tuple[int, int], dilation: tuple[int, int]) -> Problem:
    window = ((("R", dilation[0]), ("P", stride[0])), (("S", dilation[1]), ("Q", stride[1])))
    return _problem("conv", groups, bounds, inputs=window, outputs=((("P", 1),), (("Q", 1),)))


def _transposed_problem(conv: Conv) -> Problem:
    bounds = (conv.m, conv.c, conv.r, conv.s, conv.n, conv.p, conv.q)
    (sh, sw), (dh, dw) = conv.stride, conv.dilation
    window = ((("R", dh), ("P", sh)), (("S", dw), ("Q", sw)))
    return _problem("transposed-conv", conv.groups, bounds, inputs=((("P", 1),), (("Q", 1),)), outputs=window)


def _problem(
    shape: str,
    groups: int,
    bounds: tuple[int, ...],
    *,
    inputs: tuple[tuple[Term, ...], ...],
    outputs: tuple[tuple[Term, ...], ...],
) -> Problem:
    lead: tuple[tuple[Term, ...], ...] = ((("G", 1),),) if groups > 1 else ()
    weights = tuple(((dim, 1),) for dim in "CMRS")
    dataspaces = (
        Dataspace("Weights", lead + weights),
        Dataspace("Inputs", (*lead, (("N", 1),), (("C", 1),), *inputs)),
        Dataspace("Outputs", (*lead, (("N", 1),), (("M", 1),), *outputs), read_write=True),
    )
    if groups > 1:
        return Problem(("G", *_ORDER), (groups, *bounds), dataspaces, shape=f"grouped-{shape}")
    return Problem(_ORDER, bounds, dataspaces, shape=shape)
