"""Which rectifiers leave a mask of one bit an element for their gradients instead of their result. Free of torch."""

from collections import defaultdict
from collections.abc import Collection

from camel_plugin.spec.graph import Graph


def masked(graph: Graph, run_again: Collection[str] = ()) -> set[str]:
    """Nodes ``relu`` whose result no other gradient reads.

    Gradients of the nodes in ``run_again`` read what is had back in the backward pass, unless a rectifier is among
    these nodes itself.
    """
    readers: dict[str, set[str]] = defaultdict(set)
    for node in graph.backward:
        for name in node.inputs:
            own = node.operator == "threshold_backward" and graph.by_name[node.partner or ""].kind == "relu"
            readers[graph.values[name].part_of or name].add("" if own else node.group or "")
    found = set()
    for node in graph.nodes:
        if node.kind == "relu":
            others = {group for group in readers[node.outputs[0]] if group}
            if node.name not in run_again:
                others -= set(run_again)
            if "" in readers[node.outputs[0]] and not others and node.outputs[0] not in graph.outputs:
                found.add(node.name)
    return found
