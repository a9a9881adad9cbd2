"""Runs the operations of a step on real float64 tensors, each by its textbook formula.

A tensor is thrown away after its last reader, and an operation sees what it says that it reads, no more and no less.
Which node an operation is of, and which tensor holds a value then, is asked of the builder; where a part lies, of the
graph.
"""

import math
from dataclasses import dataclass
from unittest.mock import patch

import torch
from torch.nn import functional

from camel_plugin.spec.graph import OperatorNode
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.lowering import training
from camel_plugin.workload.lowering.builder import StepBuilder

EPS = 1e-5


@dataclass(frozen=True)
class Origin:
    """Of an operation: its node, the output that it makes, and the tensor that holds each input."""

    node: OperatorNode
    output: int
    inputs: tuple[str, ...]


class _Builder(StepBuilder):
    """Remembers where operations come from."""

    def __init__(self, graph, *rest):
        super().__init__(graph, *rest)
        self.origins = {}
        self._latest = None, 0

    def name_of(self, node, output=0):
        self._latest = self.graph.node(node.name), output
        return super().name_of(node, output)

    def partner_of(self, node):
        if self._latest[0] is None or self._latest[0].name != node.name:
            self._latest = self.graph.node(node.name), 0
        return super().partner_of(node)

    def hold(self, value):
        if self._latest[0] is not None and value not in self._latest[0].outputs:
            self._latest = None, 0
        return super().hold(value)

    def emit(self, *args, **kwargs):
        super().emit(*args, **kwargs)
        node, output = self._latest
        if node is not None:
            name = self.operations[-1].name
            self.origins[name] = Origin(node, output, tuple(map(self.tensor, node.inputs)))


def lowered(graph, recipe):
    """A step, and the origins of its operations by name."""
    made = []

    def build(*args):
        made.append(_Builder(*args))
        return made[-1]

    with patch.object(training, "StepBuilder", build):
        step = training.lower(graph, recipe)
    return step, made[-1].origins


def run(graph, recipe, given, rate):
    """The tensors that outlive the step, by name, and the step.

    Args:
        graph: of the network.
        recipe: micro-batch = batch.
        given: parameters, ``input`` and ``labels``.
        rate: of SGD.
    """
    step, origins = lowered(graph, recipe)
    memory = dict(given)
    last = {name: index for index, operation in enumerate(step.operations) for name in operation.reads}
    for index, operation in enumerate(step.operations):
        sight = _Sight(graph, operation, origins.get(operation.name), memory)
        results = _execute(sight, rate)
        assert sight.used == set(operation.reads), operation.name
        for name, result in zip(operation.writes, results, strict=True):
            memory[name] = result.reshape(step.tensors[name].shape)
        for name in [*operation.reads, *operation.writes]:
            persistent = step.tensors[name].kind in (TensorKind.WEIGHT, TensorKind.OPTIMIZER_STATE)
            if last.get(name, -1) <= index and not persistent:
                memory.pop(name, None)
    return memory, step


class _Sight:
    """What one operation may see."""

    def __init__(self, graph, operation, origin, memory):
        self.graph = graph
        self.operation = operation
        self.node = origin.node if origin else None
        self.output = origin.output if origin else 0
        self.inputs = origin.inputs if origin else ()
        self.used = set()
        self._memory = memory

    def read(self, tensor):
        """A tensor as it lies in memory."""
        assert tensor in self.operation.reads, (self.operation.name, tensor)
        self.used.add(tensor)
        return self._memory[tensor]

    @property
    def reads(self):
        """All that it reads."""
        return [self.read(tensor) for tensor in self.operation.reads]

    def __getitem__(self, index):
        """An input of the node in the shape in which it is seen, but for what is expanded."""
        seen = self.value(self.node.inputs[index], self.inputs[index])
        shape = self.node.input_shapes[index]
        return seen.reshape(shape) if math.prod(shape) == seen.numel() else seen

    def value(self, name, tensor):
        """A value that lies in a tensor: alone, as a part of another one, or in a concatenation."""
        content, value = self.read(tensor), self.graph.values[name]
        if content.numel() == value.elements:
            return content
        whole = value.part_of or name
        if content.numel() != self.graph.values[whole].elements:
            inside, content = self._split(content, {name, whole})
            if inside == name:
                return content
        return content.flatten()[_place(value)]

    def _split(self, content, names):
        for node in self.graph.nodes:
            if node.kind == "concat" and math.prod(node.output_shapes[0]) == content.numel():
                sizes = [shape[node.attributes["dim"]] for shape in node.input_shapes]
                pieces = content.reshape(node.output_shapes[0]).split(sizes, node.attributes["dim"])
                for operand, piece in zip(node.inputs, pieces, strict=True):
                    if operand in names:
                        return operand, piece
        raise AssertionError((self.operation.name, names))

    def together(self, name, tensors):
        """A value that lies in a tensor, or of which each part lies in another one."""
        if len(tensors) == 1:
            return self.value(name, tensors[0])
        content = torch.full((self.graph.values[name].elements,), float("nan"), dtype=torch.float64)
        for tensor in tensors:
            part = self.graph.values[tensor.partition("@")[0]]
            assert part.part_of == name
            content[_place(part)] = self.read(tensor).flatten()
        return content.reshape(self.graph.values[name].shape)

    def added(self, *gradients):
        """Gradients on top of those that are there, where the operation says that it reads these."""
        pairs = zip(self.operation.writes, gradients, strict=True)
        return [g + self.read(n).reshape(g.shape) if n in self.operation.reads else g for n, g in pairs]

    @property
    def before(self):
        return self._memory.get(self.operation.writes[0])


def _place(part):
    """Indices of a part's elements in the memory that it lies in."""
    offset, dims = part.region
    index = torch.tensor(offset)
    for step, extent in dims:
        index = index[..., None] + step * torch.arange(extent)
    return index.flatten()


def _execute(sight, rate):
    operation, node = sight.operation, sight.node
    if operation.pass_ is Pass.UPDATE:
        weight, gradient = sight.reads
        return [weight - rate * gradient]
    if operation.kind == "softmax_cross_entropy":
        if operation.pass_ is Pass.FORWARD:
            return [functional.softmax(sight.reads[0], -1)]
        probabilities, labels = sight.reads
        return [(probabilities - functional.one_hot(labels, probabilities.shape[-1])) / len(labels)]
    if node is None:
        return [_undo(sight)]
    if operation.kind == "fill":
        shape = sight.graph.values[sight.graph.node(node.partner).inputs[0]].shape
        return [torch.zeros(shape, dtype=torch.float64)]
    if node.group is None:
        return _forward(sight)[: len(operation.writes)]
    return _backward(sight)


def _undo(sight):
    """A stream from what it was joined to."""
    inversions = [i for coupling in sight.graph.couplings for i in coupling.inversions]
    (inversion,) = (i for i in inversions if i.node == sight.operation.partner)
    *results, other = sight.operation.reads
    y, b = sight.together(inversion.result, results), sight.value(inversion.other, other)
    y, b = (t.reshape(sight.graph.values[inversion.operand].shape) for t in (y, b))
    kind, second = sight.graph.node(inversion.node).kind, sight.graph.node(inversion.node).inputs[1]
    if kind == "add":
        return y - b
    if kind == "mul":
        return y / b
    assert kind == "sub", kind
    return b - y if inversion.operand == second else y + b


def _forward(sight):
    node, kind = sight.node, sight.node.kind
    if kind == "conv2d":
        a = node.attributes
        bias = sight[2] if len(node.inputs) > 2 else None
        return [functional.conv2d(sight[0], sight[1], bias, a["stride"], a["padding"], a["dilation"], a["groups"])]
    if kind == "linear":
        weight = sight.value(node.inputs[1], sight.inputs[1])
        return [sight[0] @ weight.T + (sight[2] if len(node.inputs) > 2 else 0)]
    if kind == "batch_norm":
        x, weight, bias = sight[0], sight[1], sight[2]
        mean = x.mean((0, 2, 3))
        rstd = (x.var((0, 2, 3), unbiased=False) + EPS).rsqrt()
        normal = (x - _c(mean)) * _c(rstd)
        return [normal * _c(weight) + _c(bias), mean, rstd]
    if kind == "relu":
        return [sight[0].clamp(min=0), (sight[0] > 0).double()]
    if kind in ("add", "sub", "mul"):
        return [{"add": torch.add, "sub": torch.sub, "mul": torch.mul}[kind](sight[0], sight[1])]
    if kind == "activation_out":
        return [{"exp": torch.exp, "tanh": torch.tanh}[node.attributes["function"]](sight[0])]
    if kind == "concat":
        return [torch.cat([sight[index] for index in range(len(node.inputs))], node.attributes["dim"])]
    if kind == "avg_pool":
        return [functional.avg_pool2d(sight[0], node.attributes["kernel"])]
    if kind == "pad":
        front = (node.output_shapes[0][1] - node.input_shapes[0][1]) // 2
        back = node.output_shapes[0][1] - node.input_shapes[0][1] - front
        return [functional.pad(sight[0], (0, 0, 0, 0, front, back))]
    assert kind == "reduce", kind
    return [sight[0].mean((2, 3))]


def _c(v):
    return v[None, :, None, None]


def _backward(sight):
    node, operator = sight.node, sight.node.operator
    partner = sight.graph.node(node.partner)
    if operator == "convolution_backward":
        return _convolution(sight, partner)
    if operator == "native_batch_norm_backward":
        return _norm(sight)
    if operator == "mm":
        return _linear(sight, partner)
    if operator == "sum":
        return sight.added(sight[0].reshape(-1, node.output_shapes[0][-1]).sum(0))
    if operator == "threshold_backward":
        return [sight[0] * (sight.reads[1].reshape(node.input_shapes[1]) > 0)]
    if operator == "tanh_backward":
        return [sight[0] * (1 - sight[1] ** 2)]
    if operator in ("add", "mul"):
        return [sight[0] + sight[1] if operator == "add" else sight[0] * sight[1]]
    if operator == "neg":
        return [-sight[0]]
    if operator == "cat":
        return [torch.cat([sight[index] for index in range(len(node.inputs))], node.attributes["dim"])]
    if operator == "div":
        assert partner.kind == "reduce"
        n, c, h, w = node.input_shapes[0]
        return [sight[0].reshape(n, c, 1, 1).expand(n, c, h, w) / (h * w)]
    if operator == "avg_pool2d_backward":
        k = partner.attributes["kernel"][0]
        return [sight[0].repeat_interleave(k, 2).repeat_interleave(k, 3) / k**2]
    if operator == "slice_backward":
        whole = torch.zeros(node.output_shapes[0], dtype=torch.float64).flatten()
        (part,) = (v for v in sight.graph.values.values() if v.part_of == node.of and v.elements == sight[0].numel())
        whole[_place(part)] = sight[0].flatten()
        return [whole]
    assert operator == "constant_pad_nd", operator
    front = (node.input_shapes[0][1] - node.output_shapes[0][1]) // 2
    return [sight[0][:, front : front + node.output_shapes[0][1]]]


def _convolution(sight, partner):
    a = partner.attributes
    geometry = (a["stride"], a["padding"], a["dilation"], a["groups"])
    made = sight.node.outputs[sight.output].rpartition(".")[2]
    if made == "bias_grad":
        return sight.added(sight[0].sum((0, 2, 3)))
    if made == "weight_grad":
        return sight.added(torch.nn.grad.conv2d_weight(sight[1], sight.node.input_shapes[2], sight[0], *geometry))
    dx = torch.nn.grad.conv2d_input(sight.node.input_shapes[1], sight[2], sight[0], *geometry)
    return [_of_phase(dx, sight.before, sight.operation.name, a)]


def _linear(sight, partner):
    x, weight = partner.inputs[:2]
    dy = next(index for index, name in enumerate(sight.node.inputs) if name not in (x, weight))
    gradient = sight.value(sight.node.inputs[dy], sight.inputs[dy]).reshape(partner.output_shapes[0])
    other = sight.value(sight.node.inputs[1 - dy], sight.inputs[1 - dy])
    if sight.node.inputs[1 - dy] == weight:
        return [gradient @ other]
    return sight.added(gradient.T @ other.reshape(partner.input_shapes[0]))


def _norm(sight):
    dy, x, mean, rstd = sight[0], sight[1], sight[3], sight[4]
    normal = (x - _c(mean)) * _c(rstd)
    d_weight, d_bias = (dy * normal).sum((0, 2, 3)), dy.sum((0, 2, 3))
    if len(sight.operation.writes) == 2:
        return sight.added(d_weight, d_bias)
    count = x.numel() / x.shape[1]
    return [_c(rstd * sight[2]) * (dy - _c(d_bias) / count - normal * _c(d_weight) / count)]


def _of_phase(dx, before, name, attributes):
    """Only the pixels of the phase that a name such as ``conv:input_grad.0_1`` speaks of."""
    suffix = name.rpartition("input_grad")[2].removeprefix(".")
    if "_" not in suffix:
        return dx
    result = torch.full_like(dx, float("nan")) if before is None else before.clone()
    (sh, sw), (ph, pw) = attributes["stride"], attributes["padding"]
    row, column = map(int, suffix.split("_"))
    rows = [h for h in range(dx.shape[2]) if (h + ph) % sh == row]
    columns = [w for w in range(dx.shape[3]) if (w + pw) % sw == column]
    for h in rows:
        result[:, :, h, columns] = dx[:, :, h, columns]
    return result
