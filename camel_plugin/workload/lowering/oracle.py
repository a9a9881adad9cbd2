"""Is anything of what autograd did missing from a step? Free of torch."""

from collections import Counter
from collections.abc import Iterator

from camel_plugin.spec.graph import Graph, OperatorNode
from camel_plugin.spec.step import Pass
from camel_plugin.workload.lowering.builder import StepBuilder


def differences(graph: Graph, b: StepBuilder) -> Iterator[str]:
    """What autograd computed and the step does not, or twice, in words; where it is first met in the backward pass.

    Multiply-accumulates are held against those that were counted call by call when autograd ran, and the parameters
    whose gradients some operation makes against those that got one.
    """
    wrong: dict[str, list[OperatorNode]] = {}
    for name, counted in graph.macs.items():
        if b.macs[name] != counted:
            node = graph.by_name.get(name)
            wrong.setdefault(node.operator if node else name, []).extend([node] if node else [])
    for operator, nodes in wrong.items():
        names = {node.name for node in nodes} or {operator}
        missing, all_of_it = sum(graph.macs[name] - b.macs[name] for name in names), sum(graph.macs.values())
        where = next((node.partner or node.name for node in nodes), operator)
        share = f"{missing / all_of_it:.1%} of all multiply-accumulates"
        yield f"WORK THAT IS NOT THAT OF AUTOGRAD: {operator} of {where}, {share}"
    made = Counter(name for op in b.operations if op.pass_ is not Pass.UPDATE for name in op.writes)
    trained = (name for name in graph.weight_gradients if graph.values[name].elements)
    lost = [name for name in trained if not made[f"{name}:grad"]]
    if lost:
        yield f"GRADIENTS THAT AUTOGRAD MAKES AND THE STEP DOES NOT: {', '.join(lost[:3])} ({len(lost)} parameters)"
