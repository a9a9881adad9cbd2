"""Lowers nodes one by one, by their rows in the table of operators. Free of torch."""

from collections.abc import Iterable

from camel_plugin.spec.graph import OperatorNode, Phase
from camel_plugin.spec.step import Pass
from camel_plugin.workload.lowering import rules
from camel_plugin.workload.lowering.builder import StepBuilder
from camel_plugin.workload.operators import operators, per_output


def run(b: StepBuilder, nodes: Iterable[OperatorNode]) -> None:
    """Emit the operations of nodes, in this order."""
    for node in nodes:
        if node.group is not None:
            if node.name in b.done:
                continue
            b.done.add(node.name)
            run(b, b.gradients.makers(node))
        if node.name in b.gradients.in_place:
            b.stands_for(node.outputs[0], b.tensor(node.inputs[0]))
            hand_on(b, node.outputs[0], node.partner or node.name)
            continue
        begin, first = len(b.operations), node.name not in b.macs
        row = operators().get(node.operator)
        if row is not None and row.lower is not None:
            row.lower(b, node)
        else:
            ops = row.ops if row else per_output({"unsupported": 0}.get(node.kind, 2 if _is_gradient(node) else 1))
            rules.vector(b, node, node.kind, ops(node))
        if first:
            b.macs[node.name] = sum(operation.macs for operation in b.operations[begin:])
        for output in node.outputs:
            hand_on(b, output, node.partner or node.name)


def _is_gradient(node: OperatorNode) -> bool:
    return node.phase is Phase.GRADIENT and node.operator.endswith("_backward")


def run_backward(b: StepBuilder, node: OperatorNode) -> None:
    """Emit the backward pass of a node of the forward pass; gradients of weights first, then its input may be
    overwritten."""
    group = b.graph.gradients.get(node.name, ())
    first: set[str] = set()
    for member in reversed(group):
        if any(map(b.gradients.of_weights, member.outputs)) or first.intersection(member.outputs):
            first.update((member.name, *member.inputs, *(b.value(name).part_of or name for name in member.inputs)))
    run(b, sorted(group, key=lambda member: member.name not in first and not first.intersection(member.outputs)))


def run_again(b: StepBuilder, nodes: Iterable[OperatorNode]) -> None:
    """Emit nodes of the forward pass once more; what they write is read by all that follows."""
    with b.again():
        run(b, (node for node in nodes if node.kind != "random" or not b.keeps_masks))


def hand_on(b: StepBuilder, value: str, partner: str) -> None:
    """Gradients of parameters that autograd has no operator for, because they equal others."""
    for parameter, part in b.gradients.handed_on.get(value, ()):
        source, target, elements = b.tensor(part), b.weight_gradient(parameter), b.value(part).elements
        b.emit(
            f"{partner}:{parameter.rpartition('.')[2]}_grad", Pass.WEIGHT_GRAD, "reduce",
            [source, *b.before([target])], [target], vector_ops=elements, partner=partner, touched={source: elements},
        )  # fmt: skip
