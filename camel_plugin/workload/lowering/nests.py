"""Multiply-accumulate operators as loop nests, one nest a pass, all in the ordinary convolution shape where exact.

Dimensions stand in the order C, M, R, S, N, P, Q (a leading G for groups), dataspaces in the order Weights, Inputs,
Outputs, and Outputs is the one accumulated into, whatever the pass: one set of machine constraints serves all three.
C is always the reduction over channels, M the channels of the result. Three-dimensional convolutions have T before R
and O before P. A transposed convolution is the input gradient of an ordinary one, whose nests it takes. Free of torch.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from camel_plugin.spec.graph import OperatorNode
from camel_plugin.spec.problem import Dataspace, Problem, Term

MAC_KINDS = frozenset(
    {*(f"{kind}{rank}d" for kind in ("conv", "conv_transpose") for rank in (1, 2, 3)), "linear", "matmul"}
)
"""Kinds of nodes that are loop nests."""

_KERNEL, _IMAGE = ("T", "R", "S"), ("O", "P", "Q")
"""Loops over kernel and output; a convolution of two dimensions has the last two of each."""


@dataclass(frozen=True)
class Conv:
    """A convolution over images (or volumes); linear layers and matrix products have no spatial extents but ones.

    Attributes:
        groups: independent convolutions (or matrix products of a batch).
        c: input channels of a group.
        m: output channels of a group.
        n: samples.
        kernel: taps, (rows, columns) or (depth, rows, columns).
        output: extents of the output.
        input: extents of the input without padding.
        stride: in input elements.
        dilation: between taps.
    """

    groups: int
    c: int
    m: int
    n: int
    kernel: tuple[int, ...] = (1, 1)
    output: tuple[int, ...] = (1, 1)
    input: tuple[int, ...] = (1, 1)
    stride: tuple[int, ...] = (1, 1)
    dilation: tuple[int, ...] = (1, 1)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the forward pass, and of each gradient."""
        return self.groups * self.c * self.m * self.n * math.prod(self.kernel) * math.prod(self.output)


def conv_of(node: OperatorNode) -> Conv:
    """The convolution that a node computes, or whose input gradient a transposed convolution computes."""
    data, weight, out = node.input_shapes[0], node.input_shapes[1], node.output_shapes[0]
    if node.kind in ("linear", "matmul"):
        data = data if len(data) > 1 else (1, *data)
        weight = weight if len(weight) > 1 else (*weight, 1)
        return Conv(math.prod(data[:-2]), c=data[-1], m=weight[-1], n=data[-2])
    if is_transposed(node):
        data, out = out, data
    groups = node.number("groups")
    return Conv(
        groups,
        c=data[1] // groups,
        m=out[1] // groups,
        n=data[0],
        kernel=_images(weight),
        output=_images(out),
        input=_images(data),
        stride=node.extents("stride"),
        dilation=node.extents("dilation"),
    )


def grouped_conv(node: OperatorNode) -> Conv:
    """A product of which rows (or, of two matrices, columns) fall into equal groups; into one where they do not."""
    (*lead, n, c), out = node.input_shapes[0], node.output_shapes[0]
    m = node.input_shapes[1][-1]
    if lead:
        return Conv(math.prod(lead), c=c, m=m, n=n)
    if len(out) > 2:
        groups = out[0] if c % out[0] == 0 else 1
        return Conv(groups, c=c // groups, m=m, n=n)
    groups = node.input_shapes[1][0] if n % node.input_shapes[1][0] == 0 else 1
    return Conv(groups, c=c, m=m, n=n // groups)


def is_transposed(node: OperatorNode) -> bool:
    """Whether the node is a transposed convolution."""
    return node.kind.startswith("conv_transpose")


def _images(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The extents behind the channels; a one-dimensional convolution's image has a single row."""
    return (1, shape[2]) if len(shape) == 3 else shape[2:]


@dataclass(frozen=True)
class Nests:
    """What a multiply-accumulate operator does in one pass.

    Attributes:
        problems: name suffix -> nest; several where the Outputs fall into phases.
        untouched: elements of the Outputs that no nest writes because no kernel tap reaches them.
    """

    problems: Mapping[str, Problem]
    untouched: int = 0


def forward_nests(node: OperatorNode) -> Nests:
    """Weights = W, Inputs = X, Outputs = Y."""
    conv = conv_of(node)
    return input_grad_nests_of(conv) if is_transposed(node) else Nests({"": forward_problem(conv)})


def weight_grad_nests(node: OperatorNode) -> Nests:
    """Weights = dY, Inputs = X, Outputs = dW; of a transposed convolution Weights = X, Inputs = dY."""
    return Nests({"": weight_grad_problem(conv_of(node))})


def input_grad_nests(node: OperatorNode) -> Nests:
    """Weights = W, Inputs = dY, Outputs = dX."""
    conv = conv_of(node)
    return Nests({"": forward_problem(conv)}) if is_transposed(node) else input_grad_nests_of(conv)


def forward_problem(conv: Conv) -> Problem:
    """The nest of a convolution."""
    return _problem(conv.groups, (conv.c, conv.m, conv.n), conv.kernel, conv.output, conv.stride, conv.dilation)


def weight_grad_problem(conv: Conv) -> Problem:
    """The nest of its weight gradient: kernel and output, and stride and dilation, change places."""
    return _problem(conv.groups, (conv.n, conv.m, conv.c), conv.output, conv.kernel, conv.dilation, conv.stride)


def input_grad_nests_of(conv: Conv) -> Nests:
    """The exact input gradient, without zero-inserted work.

    Rows (columns) of dX, counted from the padding on, fall into ``stride`` phases; phase ``f`` meets only the taps
    ``r`` with ``r * dilation = f (mod stride)`` and is an ordinary stride-1 convolution of dY with those. If every
    phase has as many rows as dY (``input = output * stride``), the phases count each multiply-accumulate of the closed
    form once. Otherwise an ordinary nest would also count taps that fall outside of dY (or miss some), so the
    nest of the forward pass is kept with dX as its Outputs, projected ``p * stride + r * dilation``.
    """
    sizes = (conv.m, conv.c, conv.n)
    if any(x != y * s for x, y, s in zip(conv.input, conv.output, conv.stride, strict=True)):
        shape = (conv.kernel, conv.output, conv.stride, conv.dilation)
        return Nests({"": _problem(conv.groups, sizes, *shape, transposed=True)})
    axes = [_phases(*axis) for axis in zip(conv.kernel, conv.stride, conv.dilation, strict=True)]
    ones = (1,) * len(axes)
    problems = {}
    for phases in product(*(axis.items() for axis in axes)):
        suffix = "." + "_".join(str(phase) for phase, _ in phases) if conv.stride != ones else ""
        taps = tuple(count for _, (count, _) in phases)
        distances = tuple(distance for _, (_, distance) in phases)
        problems[suffix] = _problem(conv.groups, sizes, taps, conv.output, ones, distances)
    silent = math.prod(conv.stride) - len(problems)
    return Nests(problems, silent * conv.groups * conv.n * conv.c * math.prod(conv.output))


def _phases(taps: int, stride: int, dilation: int) -> dict[int, tuple[int, int]]:
    """Phase -> (taps that meet it, their distance in rows of dY); phases without taps are absent."""
    counts: dict[int, int] = {}
    for tap in range(taps):
        phase = tap * dilation % stride
        counts[phase] = counts.get(phase, 0) + 1
    # Taps of one phase are stride / gcd apart, hence dilation * stride / gcd rows of dX, stride of which are one of dY.
    distance = dilation // math.gcd(stride, dilation)
    return {phase: (count, distance) for phase, count in sorted(counts.items())}


def _problem(
    groups: int,
    sizes: tuple[int, int, int],
    kernel: tuple[int, ...],
    output: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    transposed: bool = False,
) -> Problem:
    """The nest of so many groups with (C, M, N); a transposed one moves the window over its Outputs."""
    rank = len(kernel)
    taps, pixels = _KERNEL[-rank:], _IMAGE[-rank:]
    image: tuple[tuple[Term, ...], ...] = tuple(((pixel, 1),) for pixel in pixels)
    axes = zip(taps, dilation, pixels, stride, strict=True)
    window: tuple[tuple[Term, ...], ...] = tuple(((tap, far), (pixel, step)) for tap, far, pixel, step in axes)
    inputs, outputs = (image, window) if transposed else (window, image)
    lead: tuple[tuple[Term, ...], ...] = ((("G", 1),),) if groups > 1 else ()
    weights = tuple(((dim, 1),) for dim in ("C", "M", *taps))
    dataspaces = (
        Dataspace("Weights", lead + weights),
        Dataspace("Inputs", (*lead, (("N", 1),), (("C", 1),), *inputs)),
        Dataspace("Outputs", (*lead, (("N", 1),), (("M", 1),), *outputs), read_write=True),
    )
    c, m, n = sizes
    dimensions, bounds = ("C", "M", *taps, "N", *pixels), (c, m, *kernel, n, *output)
    label = ("transposed-conv" if transposed else "conv") + (f"{rank}d" if rank != 2 else "")
    if groups > 1:
        return Problem(("G", *dimensions), (groups, *bounds), dataspaces, shape=f"grouped-{label}")
    return Problem(dimensions, bounds, dataspaces, shape=label)
