"""Every loop nest, executed literally, computes what torch's autograd computes."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from camel_plugin.spec.graph import OperatorNode
from camel_plugin.workload.lowering.nests import (
    conv_of,
    forward_nests,
    forward_problem,
    input_grad_nests,
    input_grad_nests_of,
    weight_grad_nests,
    weight_grad_problem,
)


def execute(problem, weights, inputs):
    """The nest as it stands: Outputs[...] += Weights[...] * Inputs[...] at every point of the iteration space."""
    points = np.indices(problem.bounds).reshape(len(problem.bounds), -1)
    axis = dict(zip(problem.dimensions, points, strict=True))

    def index(name):
        return tuple(sum(axis[dim] * coef for dim, coef in rank) for rank in problem.dataspace(name).projection)

    outputs = np.zeros(problem.dataspace("Outputs").box(problem.size))
    np.add.at(outputs, index("Outputs"), weights[index("Weights")] * inputs[index("Inputs")])
    return outputs


def shifted(array, axis, start, length):
    """``length`` entries of an axis from ``start`` on, zero where there are none."""
    array = np.moveaxis(array, axis, 0)
    result = np.zeros((length, *array.shape[1:]))
    for i in range(length):
        if 0 <= start + i < len(array):
            result[i] = array[start + i]
    return np.moveaxis(result, 0, axis)


class Case:
    """A random convolution in groups-first layout and its gradients by autograd."""

    def __init__(self, height, kernel, stride, dilation, padding, groups=1, c=2, m=3, n=2):
        torch.manual_seed(0)
        width, s_kernel = height + stride, kernel  # another extent along the columns, divisible the same way
        x = torch.randn(n, c * groups, height, width, dtype=torch.float64, requires_grad=True)
        w = torch.randn(m * groups, c, kernel, s_kernel, dtype=torch.float64, requires_grad=True)
        y = functional.conv2d(x, w, None, stride, padding, dilation, groups)
        dy = torch.randn_like(y)
        y.backward(dy)
        attributes = {"stride": (stride,) * 2, "dilation": (dilation,) * 2, "groups": groups}
        shapes = (tuple(x.shape), tuple(w.shape))
        node = OperatorNode("conv", "conv2d", ("x", "w"), shapes, ("y",), (tuple(y.shape),), attributes)
        self.conv, self.padding, self.groups = conv_of(node), padding, groups
        self.x, self.y, self.dy, self.dx = (self.grouped(t) for t in (x, y, dy, x.grad))
        self.w = w.detach().numpy().reshape(groups, m, c, kernel, s_kernel)
        self.dw = w.grad.numpy().reshape(groups, m, c, kernel, s_kernel)
        self.closed_form = y.numel() * c * kernel * s_kernel
        self.geometry = (stride, dilation, padding)

    def by_hand(self):
        """Output and gradients, each product of the definition added up one by one."""
        stride, dilation, padding = self.geometry
        y, dx, dw = np.zeros_like(self.y), np.zeros_like(self.x), np.zeros_like(self.dw)
        taps = itertools.product(*map(range, self.w.shape[-2:]), *map(range, self.y.shape[-2:]))
        for r, s, p, q in taps:
            row, column = p * stride + r * dilation - padding, q * stride + s * dilation - padding
            if 0 <= row < self.x.shape[3] and 0 <= column < self.x.shape[4]:
                pixel, tap, gradient = self.x[..., row, column], self.w[..., r, s], self.dy[..., p, q]
                y[..., p, q] += np.einsum("gnc,gmc->gnm", pixel, tap)
                dw[..., r, s] += np.einsum("gnc,gnm->gmc", pixel, gradient)
                dx[..., row, column] += np.einsum("gnm,gmc->gnc", gradient, tap)
        return y, dx, dw

    def grouped(self, t):
        t = t.detach().numpy()
        return np.moveaxis(t.reshape(t.shape[0], self.groups, -1, *t.shape[2:]), 1, 0)

    def lay(self, problem, array):
        """Grouped problems index G first; the others know no groups."""
        return array if problem.dimensions[0] == "G" else array[0]

    def padded(self):
        """X with its padding, cut to what the kernel's window reaches."""
        c = self.conv
        window = zip(c.output, c.stride, c.kernel, c.dilation, strict=True)
        rows, columns = ((p - 1) * stride + (r - 1) * dilation + 1 for p, stride, r, dilation in window)
        return shifted(shifted(self.x, 3, -self.padding, rows), 4, -self.padding, columns)


CASES = [
    (height, kernel, stride, dilation, padding, groups)
    for height, kernel, stride, dilation, padding, groups in itertools.product(
        (6, 7), (1, 2, 3), (1, 2, 3), (1, 2), (0, 1, 2), (1, 2)
    )
    if height + 2 * padding > dilation * (kernel - 1) and padding <= dilation * (kernel - 1)
]


def test_enough_cases():
    assert len(CASES) > 100


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nests_compute_convolution_and_its_gradients(case):
    height, kernel, stride, dilation, padding, groups = case
    agrees(Case(height, kernel, stride, dilation, padding, groups))


@pytest.mark.parametrize(("stride", "dilation", "m"), [*itertools.product((1, 2, 3), (1, 2), (1, 2))])
def test_nests_compute_depthwise_convolutions_and_their_gradients(stride, dilation, m):
    agrees(Case(6, 3, stride, dilation, dilation, groups=4, c=1, m=m))


def agrees(t):
    conv = t.conv
    assert conv.macs == t.closed_form
    for ours, autograd in zip(t.by_hand(), (t.y, t.dx, t.dw), strict=True):
        np.testing.assert_allclose(ours, autograd, atol=1e-12)

    forward = forward_problem(conv)
    w = t.lay(forward, t.w.transpose(0, 2, 1, 3, 4))
    out = execute(forward, w, t.lay(forward, t.padded()))
    np.testing.assert_allclose(out, t.lay(forward, t.y), atol=1e-12)
    assert forward.macs == t.closed_form

    # C' = N, N' = C: dY takes the place of the kernel, X keeps its own.
    problem = weight_grad_problem(conv)
    dy = t.lay(problem, t.dy)
    x = t.lay(problem, t.padded().swapaxes(1, 2))
    dw = execute(problem, dy, x)  # [c, m, r, s]
    np.testing.assert_allclose(dw, t.lay(problem, t.dw.transpose(0, 2, 1, 3, 4)), atol=1e-12)
    assert problem.macs == t.closed_form

    lowered = input_grad_nests_of(conv)
    assert sum(problem.macs for problem in lowered.problems.values()) == t.closed_form
    np.testing.assert_allclose(input_gradient(t, lowered), t.dx, atol=1e-12)


def input_gradient(t, lowered):
    conv = t.conv
    first = next(iter(lowered.problems.values()))
    if first.shape.endswith("transposed-conv"):
        dx = execute(first, t.lay(first, t.w), t.lay(first, t.dy))
        dx = dx if t.groups > 1 else dx[None]
        rows = shifted(dx, 3, t.padding, conv.input[0])
        return shifted(rows, 4, t.padding, conv.input[1])
    dx = np.zeros_like(t.x)
    written = np.zeros(dx.shape, dtype=bool)
    for suffix, problem in lowered.problems.items():
        row, column = map(int, suffix[1:].split("_")) if suffix else (0, 0)
        rows = Axis(row, conv.kernel[0], conv.stride[0], conv.dilation[0], t.padding, conv.input[0])
        columns = Axis(column, conv.kernel[1], conv.stride[1], conv.dilation[1], t.padding, conv.input[1])
        w = t.w[:, :, :, rows.taps][:, :, :, :, columns.taps]
        extents = problem.dataspace("Inputs").box(problem.size)[-2:]
        dy = shifted(shifted(t.dy, 3, rows.start, extents[0]), 4, columns.start, extents[1])
        part = execute(problem, t.lay(problem, w), t.lay(problem, dy))
        at = np.ix_(*(range(extent) for extent in dx.shape[:3]), rows.pixels, columns.pixels)
        dx[at] = part if t.groups > 1 else part[None]
        written[at] = True
    assert dx.size - written.sum() == lowered.untouched
    return dx


class Axis:
    """Rows of dX (from the padding on) with ``row % stride == phase``, and the taps that meet them, farthest first."""

    def __init__(self, phase, taps, stride, dilation, padding, extent):
        self.taps = [tap for tap in range(taps) if tap * dilation % stride == phase][::-1]
        self.pixels = [pixel for pixel in range(extent) if (pixel + padding) % stride == phase]
        self.start = (self.pixels[0] + padding - self.taps[0] * dilation) // stride


def test_stride_two_makes_four_phases_without_wasted_work():
    conv = Case(6, 3, 2, 1, 1).conv
    lowered = input_grad_nests_of(conv)
    taps = {suffix: (p.size["R"], p.size["S"]) for suffix, p in lowered.problems.items()}
    assert taps == {".0_0": (2, 2), ".0_1": (2, 1), ".1_0": (1, 2), ".1_1": (1, 1)}
    assert lowered.untouched == 0


def test_strided_pointwise_convolution_leaves_pixels_without_gradient():
    t = Case(6, 1, 2, 1, 0)
    lowered = input_grad_nests_of(t.conv)
    assert list(lowered.problems) == [".0_0"]
    assert lowered.untouched == t.x.size * 3 // 4


@pytest.mark.parametrize(("stride", "kernel", "groups"), [(1, 3, 1), (2, 2, 1), (2, 4, 2), (3, 3, 1), (2, 3, 1)])
def test_transposed_convolutions_are_the_gradients_of_ordinary_ones(stride, kernel, groups):
    t = Case(6, kernel, stride, 1, 0, groups)
    w, x = (torch.tensor(a) for a in (t.w, t.dy))  # the ordinary one's kernel, and its dY in the place of X
    x = x.movedim(0, 1).flatten(1, 2).requires_grad_()
    w = w.flatten(0, 1).requires_grad_()
    rest = tuple(extent - ((p - 1) * stride + kernel) for extent, p in zip(t.conv.input, t.conv.output, strict=True))
    y = functional.conv_transpose2d(x, w, None, stride, 0, rest, groups)
    np.testing.assert_allclose(t.grouped(y), t.dx, atol=1e-12)
    geometry = {"stride": (stride,) * 2, "dilation": (1, 1), "groups": groups}
    node = OperatorNode(
        "up", "conv_transpose2d", ("x", "w"), (tuple(x.shape), tuple(w.shape)), ("y",), (tuple(y.shape),), geometry
    )
    assert conv_of(node) == t.conv
    # So its forward pass is the other's input gradient and the other way round; both are tested above.
    assert forward_nests(node) == input_grad_nests_of(t.conv)
    assert input_grad_nests(node).problems == {"": forward_problem(t.conv)}
    dy = torch.randn_like(y)
    y.backward(dy)
    np.testing.assert_allclose(functional.conv2d(dy, w, None, stride, 0, 1, groups).detach(), x.grad, atol=1e-12)
    problem = weight_grad_nests(node).problems[""]
    kernel_side = t.lay(problem, t.grouped(x))
    rows = [(p - 1) * stride + kernel for p in t.conv.output]
    image = shifted(shifted(t.grouped(dy), 3, 0, rows[0]), 4, 0, rows[1]).swapaxes(1, 2)
    dw = execute(problem, kernel_side, t.lay(problem, image))
    expected = w.grad.numpy().reshape(t.w.shape).transpose(0, 2, 1, 3, 4)
    np.testing.assert_allclose(dw, t.lay(problem, expected), atol=1e-12)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_three_dimensional_convolutions(stride, dilation):
    torch.manual_seed(0)
    x = torch.randn(2, 2, 6, 6, 8, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    y = functional.conv3d(x, w, None, stride, 0, dilation)
    dy = torch.randn_like(y)
    y.backward(dy)
    geometry = {"stride": (stride,) * 3, "dilation": (dilation,) * 3, "groups": 1}
    node = OperatorNode(
        "c", "conv3d", ("x", "w"), (tuple(x.shape), tuple(w.shape)), ("y",), (tuple(y.shape),), geometry
    )
    conv = conv_of(node)
    window = zip(conv.output, conv.kernel, strict=True)
    cut = tuple(slice((p - 1) * stride + (r - 1) * dilation + 1) for p, r in window)
    seen = x.detach().numpy()[(..., *cut)]
    kernel, gradient = w.detach().numpy(), dy.numpy()
    np.testing.assert_allclose(execute(forward_problem(conv), kernel.swapaxes(0, 1), seen), y.detach(), atol=1e-12)
    dw = execute(weight_grad_problem(conv), gradient, seen.swapaxes(0, 1))
    np.testing.assert_allclose(dw.swapaxes(0, 1), w.grad, atol=1e-12)
    nests = input_grad_nests(node)
    assert sum(problem.macs for problem in nests.problems.values()) == conv.macs == forward_problem(conv).macs
    if list(nests.problems) == [""]:
        dx = execute(nests.problems[""], kernel, gradient)
        np.testing.assert_allclose(dx, x.grad[(..., *cut)], atol=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
def test_matrix_products(batch):
    torch.manual_seed(0)
    a = torch.randn(batch, 4, 5, dtype=torch.float64, requires_grad=True)
    b = torch.randn(batch, 5, 6, dtype=torch.float64, requires_grad=True)
    y = a @ b
    dy = torch.randn_like(y)
    y.backward(dy)
    node = OperatorNode("mm", "matmul", ("a", "b"), ((batch, 4, 5), (batch, 5, 6)), ("y",), ((batch, 4, 6),))
    conv = conv_of(node)

    def lay(tensor, axes):
        """Matrices as [G][row][column] -> the ranks of a 1x1 convolution."""
        array = tensor.detach().numpy().transpose(0, *axes)
        array = array[..., None, None]
        return array if batch > 1 else array[0]

    keep, swap = (1, 2), (2, 1)
    np.testing.assert_allclose(execute(forward_problem(conv), lay(b, keep), lay(a, keep)), lay(y, keep))
    np.testing.assert_allclose(execute(weight_grad_problem(conv), lay(dy, keep), lay(a, swap)), lay(b.grad, keep))
    (problem,) = input_grad_nests_of(conv).problems.values()
    np.testing.assert_allclose(execute(problem, lay(b, swap), lay(dy, keep)), lay(a.grad, keep))


def test_shape_is_that_of_timeloop_conv():
    problem = forward_problem(Case(6, 3, 2, 1, 1).conv)
    assert problem.dimensions == ("C", "M", "R", "S", "N", "P", "Q")
    assert [d.name for d in problem.dataspaces] == ["Weights", "Inputs", "Outputs"]
    inputs = problem.dataspace("Inputs").projection
    assert inputs == ((("N", 1),), (("C", 1),), (("R", 1), ("P", 2)), (("S", 1), ("Q", 2)))
    grouped = forward_problem(Case(6, 3, 1, 2, 1, groups=2).conv)
    assert grouped.dimensions[0] == "G"
    assert all(d.projection[0] == (("G", 1),) for d in grouped.dataspaces)
    assert [d.read_write for d in grouped.dataspaces] == [False, False, True]
