"""What the numbers of a captured network leave out, in words. Free of torch."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from camel_plugin.spec.graph import Graph, OperatorNode
from camel_plugin.spec.recipe import Schedule

NAMED = 3
"""Modules that a note names; of the rest it says how many there are."""


def left_out(nodes: Sequence[OperatorNode], counted: Mapping[str, int], which: str) -> Iterator[str]:
    """Operators without a model: where, how many, and their share of the bytes and the work of a pass, named ``which``.

    Bytes are those of operands and results, all values of one size. Multiply-accumulates are known where torch has a
    formula for the operator, or it goes element by element.
    """
    moved = {node.name: sum(map(math.prod, (*node.input_shapes, *node.output_shapes))) for node in nodes}
    macs = {node.name: counted.get(node.name, 0) for node in nodes}
    found: dict[str, list[OperatorNode]] = {}
    for node in nodes:
        if node.kind == "unsupported":
            found.setdefault(str(node.attributes["operator"]), []).append(node)
            macs[node.name] = node.number("macs") if node.attributes["macs"] is not None else 0
    for operator, same in sorted(found.items()):
        bytes_share = sum(moved[node.name] for node in same) / sum(moved.values())
        macs_share = sum(macs[node.name] for node in same) / max(1, sum(macs.values()))
        unknown = any(node.attributes["macs"] is None for node in same)
        work = "MACs unknown (torch has no formula for it)" if unknown else f"{macs_share:.1%} of its MACs"
        where = places(node.module for node in same)
        yield f"{operator} in {where}: {len(same)} x, {bytes_share:.1%} of the {which} pass's bytes, {work}"


def notes(found: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Further remarks, with the modules that they are about."""
    for remark, modules in sorted(found.items()):
        yield f"{remark}, in {places(modules)}: {len(modules)} x"


def remarks(graph: Graph, schedule: Schedule, group: int | None) -> Iterator[str]:
    """What is run backwards and what is not, and what small statistics groups do."""
    yield from graph.remarks
    if schedule is Schedule.REVERSIBLE:
        blocks = dict.fromkeys(coupling.module for coupling in graph.couplings if coupling.branch)
        count = sum(1 for coupling in graph.couplings if coupling.branch)
        yield f"reversed: {count} couplings in {len(blocks)} blocks ({places(blocks)})"
        yield from (f"not reversed: {reason}" for reason in graph.not_reversed)
    samples = graph.inputs[0].shape[0] if graph.inputs else 1
    single = [
        node.module
        for node in graph.nodes
        if node.kind == "batch_norm"
        and node.attributes["training"]
        and math.prod(node.input_shapes[0]) * min(group or samples, samples) == node.input_shapes[0][1] * samples
    ]
    if single:
        yield f"one value per channel in a statistics group, which normalises to zero: {places(single)}"


def places(modules: Iterable[str]) -> str:
    """Paths of modules in a few words."""
    names = list(dict.fromkeys(module or "the network" for module in modules))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
