"""Where the forward pass can be cut into segments for checkpointing. Free of torch."""

import math

from camel_plugin.spec.graph import Graph, OperatorNode, ValueRole
from camel_plugin.workload.lowering.nests import MAC_KINDS


def segments(graph: Graph, blocks: int | None = None) -> list[tuple[OperatorNode, ...]]:
    """The nodes in runs of ``blocks`` blocks each.

    A block is the shortest run of nodes with a multiply-accumulate operator behind which one activation alone, or the
    two streams of a reversible block, is still to be read: a residual unit, or a layer of a plain network. By default
    a segment has the square root of their number, which keeps the least (Chen et al.).
    """
    runs = _blocks(graph)
    size = blocks or max(1, round(math.sqrt(len(runs))))
    return [tuple(node for run in runs[start : start + size] for node in run) for start in range(0, len(runs), size)]


def block_count(graph: Graph) -> int:
    """Blocks that segments are made of."""
    return len(_blocks(graph))


def _blocks(graph: Graph) -> list[list[OperatorNode]]:
    nodes, whole = graph.nodes, {name: value.part_of or name for name, value in graph.values.items()}
    last_read = {whole[name]: index for index, node in enumerate(nodes) for name in node.inputs}
    last_read.update((whole[name], len(nodes)) for name in graph.outputs)
    blocks = {coupling.module: coupling for coupling in graph.couplings if coupling.branch}
    couplings = {block.nodes[-1]: {whole[y] for y in (*block.results, *block.reads)} for block in blocks.values()}
    alive = {name for name, value in graph.values.items() if value.role is ValueRole.INPUT}
    runs: list[list[OperatorNode]] = [[]]
    for index, node in enumerate(nodes):
        runs[-1].append(node)
        alive.update(node.outputs)
        alive = {name for name in alive if last_read.get(name, -1) > index}
        cut = len(alive) == 1 or alive == couplings.get(node.name)
        if cut and any(member.kind in MAC_KINDS for member in runs[-1]):
            runs.append([])
    tail = runs.pop() if not any(node.kind in MAC_KINDS for node in runs[-1]) else []
    if runs:
        runs[-1].extend(tail)
        return runs
    return [tail]
