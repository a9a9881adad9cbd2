"""The rule of every kind of node for the backward pass; a kind without a rule is an error. Free of torch."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import OperatorNode
from camel_plugin.spec.step import Pass
from camel_plugin.workload.lowering.builder import StepBuilder
from camel_plugin.workload.lowering.lowering import (
    MAC_KINDS,
    Nests,
    forward_nests,
    input_grad_nests,
    is_transposed,
    weight_grad_nests,
)
from camel_plugin.workload.lowering.vector_ops import forward_ops

BackwardRule = Callable[[StepBuilder, OperatorNode], None]
Ops = Callable[[OperatorNode], int]


def run_forward(b: StepBuilder, node: OperatorNode, pass_: Pass, suffix: str = "") -> None:
    """Emit ``node``; its outputs are held in tensors whose names end in ``suffix``."""
    reads = [b.tensor(value) for value in node.inputs]
    writes = [b.hold(value, suffix) for value in node.outputs]
    name = node.name + (f":{pass_.value}" if pass_ is not Pass.FORWARD else "")
    partner = None if pass_ is Pass.FORWARD else node.name
    if node.kind in MAC_KINDS:
        roles = {"Weights": reads[1], "Inputs": reads[0], "Outputs": writes[0]}
        _emit_nests(b, node, forward_nests(node), name, pass_, reads, roles, partner)
    else:
        part = {reads[0]: math.prod(node.output_shapes[0])} if node.kind in ("gather", "slice") else {}
        ops = forward_ops(node)
        b.emit(name, pass_, node.kind, reads, writes, vector_ops=ops, partner=partner, touched=part)


def _emit_nests(
    b: StepBuilder,
    node: OperatorNode,
    nests: Nests,
    name: str,
    pass_: Pass,
    reads: Sequence[str],
    roles: Mapping[str, str],
    partner: str | None,
) -> None:
    """One operation a nest, and one that clears what no nest writes."""
    writes = [roles["Outputs"]]
    before = [tensor for tensor in reads if tensor in writes]
    if nests.untouched:
        b.emit(f"{name}.zeros", pass_, "fill", before, writes, vector_ops=nests.untouched, partner=partner or node.name)
    for suffix, problem in nests.problems.items():
        whole = partner if suffix == "" else partner or node.name
        b.emit(name + suffix, pass_, node.kind, reads, writes, problem=problem, roles=roles, partner=whole)


def run_backward(b: StepBuilder, node: OperatorNode) -> None:
    """Emit the gradients of ``node``, the weights' first so that its input may be overwritten after them.

    Raises:
        WorkloadError: no rule for its kind.
    """
    if not any(b.gradient(output) for output in node.outputs) or not any(map(b.is_trainable, node.inputs)):
        return
    if node.kind not in BACKWARD:
        raise WorkloadError(f"no backward rule for {node.kind!r}", field=node.name, value=node.kind)
    BACKWARD[node.kind](b, node)


def _dy(b: StepBuilder, node: OperatorNode) -> str:
    gradient = b.gradient(node.outputs[0])
    if gradient is None:
        raise WorkloadError("only a saved statistic of this operator has a gradient", field=node.name)
    return gradient


@dataclass(frozen=True)
class _Target:
    """Where the gradient of one input of a node goes: into a parameter's gradient, or a new tensor."""

    name: str
    pass_: Pass
    tensor: str
    before: tuple[str, ...]


def _target(b: StepBuilder, node: OperatorNode, index: int) -> _Target:
    value = node.inputs[index]
    if b.is_parameter(value):
        tensor, before = b.weight_gradient(value)
        return _Target(f"{node.name}:{value.rpartition('.')[2]}_grad", Pass.WEIGHT_GRAD, tensor, before)
    name = f"{node.name}:input_grad" + (f"_{index}" if index else "")
    return _Target(name, Pass.INPUT_GRAD, b.new_gradient(value), ())


def _settle(b: StepBuilder, node: OperatorNode, index: int, target: _Target) -> None:
    if target.pass_ is Pass.INPUT_GRAD:
        b.contribute(node, node.inputs[index], target.tensor)


def _produce(b: StepBuilder, node: OperatorNode, index: int, kind: str, reads: list[str], ops: int) -> None:
    """One vector operation that makes the gradient of the ``index``-th input."""
    if b.is_trainable(node.inputs[index]):
        target = _target(b, node, index)
        reads = [*reads, *target.before]
        b.emit(target.name, target.pass_, kind, reads, [target.tensor], vector_ops=ops, partner=node.name)
        _settle(b, node, index, target)


def _hand_on(b: StepBuilder, node: OperatorNode, index: int) -> None:
    """The gradient of the output is that of the input, summed where the input was broadcast."""
    value, dy = node.inputs[index], _dy(b, node)
    if not b.is_trainable(value):
        return
    elements = math.prod(node.output_shapes[0])
    if b.is_parameter(value) or b.value(value).elements != elements:
        _produce(b, node, index, "reduce", [dy], elements)
    else:
        b.contribute(node, value, dy)


def _mac(b: StepBuilder, node: OperatorNode) -> None:
    if len(node.inputs) > 2:
        _hand_on(b, node, 2)
    dy, x, weight = _dy(b, node), b.tensor(node.inputs[0]), b.tensor(node.inputs[1])
    kernel, image = (x, dy) if is_transposed(node) else (dy, x)
    _mac_gradient(b, node, 1, weight_grad_nests, (x, dy), {"Weights": kernel, "Inputs": image})
    _mac_gradient(b, node, 0, input_grad_nests, (weight, dy), {"Weights": weight, "Inputs": dy})


def _mac_gradient(
    b: StepBuilder,
    node: OperatorNode,
    index: int,
    nests_of: Callable[[OperatorNode], Nests],
    reads: tuple[str, str],
    roles: Mapping[str, str],
) -> None:
    if b.is_trainable(node.inputs[index]):
        target = _target(b, node, index)
        roles = {**roles, "Outputs": target.tensor}
        _emit_nests(b, node, nests_of(node), target.name, target.pass_, (*reads, *target.before), roles, node.name)
        _settle(b, node, index, target)


def _norm(parameter_ops: int, input_ops: int) -> BackwardRule:
    def rule(b: StepBuilder, node: OperatorNode) -> None:
        dy, elements = _dy(b, node), math.prod(node.output_shapes[0])
        data = [dy, b.tensor(node.inputs[0]), *(b.tensor(statistic) for statistic in node.outputs[1:])]
        reads, sums = list(data), []
        for parameter in filter(b.is_trainable, node.inputs[1:]):
            target, before = b.weight_gradient(parameter)
            sums.append(target)
            reads += before
        if sums:
            name = f"{node.name}:weight_grad"
            ops = parameter_ops * elements
            b.emit(name, Pass.WEIGHT_GRAD, node.kind, reads, sums, vector_ops=ops, partner=node.name)
        weight = [b.tensor(parameter) for parameter in node.inputs[1:2]]
        frozen_statistics = node.kind == "batch_norm" and not node.attributes["training"]
        if frozen_statistics:
            _produce(b, node, 0, node.kind, [dy, *weight], elements)
        else:
            # The sums over dY that dX needs are those of the parameters' gradients where these are made.
            ops = elements * (input_ops if sums else input_ops + parameter_ops)
            _produce(b, node, 0, node.kind, [*data, *weight], ops)

    return rule


_SAVED: Mapping[str, Callable[[OperatorNode], Sequence[str]]] = {
    "input": lambda node: node.inputs[:1],
    "output": lambda node: node.outputs[:1],
    "beside": lambda node: node.outputs[-1:],  # mask, indices or statistic
    "operands": lambda node: node.inputs[1:],
}
"""What is kept of a node for its backward pass."""


def _from_saved(kind: str, ops: Ops, *saved: str) -> BackwardRule:
    """One vector operation on dY and what was saved."""

    def rule(b: StepBuilder, node: OperatorNode) -> None:
        reads = [b.tensor(value) for part in saved for value in _SAVED[part](node)]
        _produce(b, node, 0, kind, [_dy(b, node), *reads], ops(node))

    return rule


def _per_output(ops: int) -> Ops:
    return lambda node: ops * math.prod(node.output_shapes[0])


def _per_input(ops: int) -> Ops:
    return lambda node: ops * math.prod(node.input_shapes[0])


def _hand_on_all(b: StepBuilder, node: OperatorNode) -> None:
    for index in range(len(node.inputs)):
        _hand_on(b, node, index)


def _subtract(b: StepBuilder, node: OperatorNode) -> None:
    negative = 1 if node.kind == "sub" else 0
    for index in range(len(node.inputs)):
        if index == negative:
            _produce(b, node, index, "neg", [_dy(b, node)], math.prod(node.output_shapes[0]))
        else:
            _hand_on(b, node, index)


def _multiply(b: StepBuilder, node: OperatorNode) -> None:
    elements = math.prod(node.output_shapes[0])
    for index in range(len(node.inputs)):
        others = [b.tensor(value) for value in node.inputs[1 - index : 2 - index]]
        _produce(b, node, index, "mul", [_dy(b, node), *others], elements)


def _divide(b: StepBuilder, node: OperatorNode) -> None:
    dy, elements = _dy(b, node), math.prod(node.output_shapes[0])
    divisor = [b.tensor(value) for value in node.inputs[1:]]
    _produce(b, node, 0, "div", [dy, *divisor], elements)
    if divisor:
        # -dY * Y / divisor: product, quotient, sign.
        _produce(b, node, 1, "div", [dy, b.tensor(node.outputs[0]), *divisor], 3 * elements)


def _prelu(b: StepBuilder, node: OperatorNode) -> None:
    data = [_dy(b, node), *(b.tensor(value) for value in node.inputs)]
    for index in range(2):
        _produce(b, node, index, "prelu", data, 2 * math.prod(node.output_shapes[0]))


def _where(b: StepBuilder, node: OperatorNode) -> None:
    """Each branch gets the gradient where it was taken; the condition (or both operands) tell where."""
    elements = math.prod(node.output_shapes[0])
    branches = range(len(node.inputs) - 2, len(node.inputs))
    choice = [b.tensor(value) for value in (node.inputs[:1] if len(node.inputs) == 3 else node.inputs)]
    for index in branches:
        _produce(b, node, index, "mask", [_dy(b, node), *choice], elements)


def _extremum(b: StepBuilder, node: OperatorNode) -> None:
    data = [_dy(b, node), b.tensor(node.inputs[0]), b.tensor(node.outputs[0])]
    reads = [data[0], b.tensor(node.outputs[1])] if len(node.outputs) > 1 else data
    _produce(b, node, 0, "extremum", reads, math.prod(node.input_shapes[0]))


def _slice_write(b: StepBuilder, node: OperatorNode) -> None:
    """What was overwritten gets no gradient; what was written gets its part."""
    dy = _dy(b, node)
    _produce(b, node, 0, "slice_write", [dy], 0)
    if len(node.inputs) > 1:
        _produce(b, node, 1, "slice", [dy], 0)


def _concat(b: StepBuilder, node: OperatorNode) -> None:
    dy = _dy(b, node)
    for index, value in enumerate(node.inputs):
        if b.is_parameter(value):
            _produce(b, node, index, "split", [dy], 0)
    parts = [value for value in node.inputs if b.is_trainable(value) and not b.is_parameter(value)]
    if parts:
        targets = [b.new_gradient(value) for value in parts]
        b.emit(f"{node.name}:input_grad", Pass.INPUT_GRAD, "split", [dy], targets, partner=node.name)
        for value, target in zip(parts, targets, strict=True):
            b.contribute(node, value, target)


def _split(b: StepBuilder, node: OperatorNode) -> None:
    gradients = [gradient for output in node.outputs if (gradient := b.gradient(output))]
    _produce(b, node, 0, "concat", gradients, 0)


def _unsupported(b: StepBuilder, node: OperatorNode) -> None:
    for index, value in enumerate(node.inputs):
        _produce(b, node, index, "unsupported", [_dy(b, node), b.tensor(value)], 0)


BACKWARD: dict[str, BackwardRule] = {
    **dict.fromkeys(MAC_KINDS, _mac),
    # Normalised input: 2; its product with dY and both sums: 3. Batch norm's dX is a sum of three scaled terms: 4.
    "batch_norm": _norm(5, 4),
    # The same sums again over rows after the product with the weight: 1 + 3; difference and scale: 4, normalised: 2.
    "layer_norm": _norm(5, 10),
    "group_norm": _norm(5, 10),
    "relu": _from_saved("relu", _per_output(1), "output"),
    "activation": _from_saved("activation", _per_output(2), "input"),
    "activation_out": _from_saved("activation", _per_output(2), "output"),
    "softmax": _from_saved("softmax", _per_output(4), "output"),
    "dropout": _from_saved("dropout", _per_output(1), "beside"),
    "mask": _from_saved("mask", _per_output(1), "operands"),
    "where": _where,
    "prelu": _prelu,
    # Rows of dY are added to those of a gradient as large as the table (torch's dense one).
    "gather": _from_saved("scatter", _per_output(1), "operands"),
    "extremum": _extremum,
    # Difference to the mean (or quotient by the norm), times dY.
    "moment": _from_saved("moment", _per_input(2), "input", "beside"),
    "scan": _from_saved("broadcast", _per_input(1)),
    "interpolate": _from_saved("interpolate", forward_ops),
    "slice_write": _slice_write,
    "max_pool": _from_saved("max_pool", _per_output(1), "beside"),
    "avg_pool": _from_saved("avg_pool", forward_ops),
    "reduce": _from_saved("broadcast", _per_input(1)),
    "broadcast": _hand_on_all,
    "upsample": _from_saved("reduce", _per_output(1)),
    "copy": _hand_on_all,
    "add": _hand_on_all,
    "sub": _subtract,
    "rsub": _subtract,
    "mul": _multiply,
    "div": _divide,
    "concat": _concat,
    "split": _split,
    "slice": _from_saved("pad", _per_output(0)),
    "pad": _from_saved("slice", _per_output(0)),
    "unsupported": _unsupported,
}
"""Kind of node -> its backward rule."""
