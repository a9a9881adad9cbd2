"""Moves that a memory need not make. Free of torch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from camel_plugin.spec.graph import OperatorNode, Value

_MOVES = frozenset({"concat", "copy", "slice_write", "pad"})


def without_idle_moves(
    nodes: Sequence[OperatorNode], values: Mapping[str, Value], wanted: Collection[str]
) -> tuple[OperatorNode, ...]:
    """Drop the moves that nobody reads: concatenations whose parts alone are read, vain copies of autograd."""
    read = set(wanted)
    read.update(values[name].part_of or name for name in wanted)
    alive = []
    for node in reversed(nodes):
        if node.kind not in _MOVES or read.intersection(node.outputs):
            alive.append(node)
            for name in node.inputs:
                read.add(name)
                read.add(values[name].part_of or name)
    return _regrouped(nodes, alive[::-1])


def _regrouped(nodes: Sequence[OperatorNode], alive: Sequence[OperatorNode]) -> tuple[OperatorNode, ...]:
    """Gradients that ran with those of a node that is gone run with those of the one before it."""
    stays, before, place = {node.name for node in alive}, "", {}
    for node in nodes:
        before = node.name if node.name in stays else before or alive[0].name
        place[node.name] = before
    return tuple(
        replace(node, partner=place.get(node.partner, node.partner), group=place[node.group])
        if node.partner and node.group
        else node
        for node in alive
    )
