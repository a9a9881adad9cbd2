"""Every mapping of a small problem on a small machine, by plain enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from camel_plugin.spec.machine import Fanout, LoopConstraints, Machine, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem


def mappings(machine: Machine, problem: Problem) -> Iterator[Mapping]:
    """All mappings that the constraints allow; capacities are left to the model."""
    nodes = machine.nodes[:-1]
    for split in itertools.product(*(_splits(bound, len(nodes)) for bound in problem.bounds)):
        factors = [{dim: split[d][level] for d, dim in enumerate(problem.dimensions)} for level in range(len(nodes))]
        if not all(_allowed(problem, node, loops) for node, loops in zip(nodes, factors, strict=True)):
            continue
        options = [list(_loops(problem, node, loops)) for node, loops in zip(nodes, factors, strict=True)]
        for choice in itertools.product(*options):
            for keeps in _keeps(machine, problem):
                yield Mapping(
                    tuple(
                        NodeMapping(
                            loops.target,
                            loops.factors,
                            loops.permutation,
                            loops.x_dims,
                            keeps.get(loops.target, frozenset()),
                        )
                        for loops in choice
                    )
                )


def _splits(bound: int, parts: int) -> list[tuple[int, ...]]:
    if parts == 1:
        return [(bound,)]
    return [(f, *rest) for f in range(1, bound + 1) if bound % f == 0 for rest in _splits(bound // f, parts - 1)]


def _constraints(node: Storage | Fanout) -> LoopConstraints:
    return node.temporal if isinstance(node, Storage) else node.spatial


def _allowed(problem: Problem, node: Storage | Fanout, factors: dict[str, int]) -> bool:
    rules = _constraints(node)
    compare = {"=": lambda a, b: a == b or b == 0, "<=": lambda a, b: a <= b, ">=": lambda a, b: a >= b}
    for dim, bound in rules.factors.items():
        if dim in factors and not compare[bound.relation](factors[dim], bound.value):
            return False
    for name in rules.no_iteration_over:
        if any(factors[dim] > 1 for dim in problem.dataspace(name).dimensions):
            return False
    return isinstance(node, Storage) or math.prod(factors.values()) >= rules.min_parallelism * node.size


def _loops(problem: Problem, node: Storage | Fanout, factors: dict[str, int]) -> Iterator[NodeMapping]:
    """All orders and placements of one node's loops."""
    real = [dim for dim, factor in factors.items() if factor > 1]
    prefix = [dim for dim in _constraints(node).permutation if dim in problem.dimensions]
    split = _constraints(node).split
    for inner_first in itertools.permutations(real):
        fixed = [dim for dim in prefix if dim in real]
        if list(inner_first[: len(fixed)]) != fixed:
            continue
        order = inner_first[::-1]
        if isinstance(node, Storage):
            yield NodeMapping(node.name, factors, order)
            continue
        for along_x in range(len(real) + 1):
            x, y = inner_first[:along_x], inner_first[along_x:]
            if math.prod(factors[d] for d in x) > node.mesh_x or math.prod(factors[d] for d in y) > node.mesh_y:
                continue
            if split is None or _can_split(problem, prefix, split, set(x), set(y)):
                yield NodeMapping(node.name, factors, order, frozenset(x))


def _can_split(problem: Problem, prefix: list[str], split: int, x: set[str], y: set[str]) -> bool:
    """Dimensions without a loop may fill the places inside and outside the split."""
    rest = [dim for dim in problem.dimensions if dim not in prefix]
    return any(
        x <= set((*prefix, *order)[:split]) and y <= set((*prefix, *order)[split:])
        for order in itertools.permutations(rest)
    )


def _keeps(machine: Machine, problem: Problem) -> list[dict[str, frozenset[str]]]:
    options = []
    for place, storage in enumerate(machine.storages):
        peers = [s for s in machine.storages if storage.parallel is not None and s.parallel == storage.parallel]
        for dataspace in problem.dataspaces:
            name = dataspace.name
            if name in storage.keep or (place == 0 and name not in storage.bypass):
                options.append([(storage.name, name)])
            elif name in storage.bypass or any(name in peer.keep for peer in peers):
                options.append([None])
            else:
                options.append([(storage.name, name), None])
    patterns = []
    for choice in itertools.product(*options):
        kept = [pair for pair in choice if pair]
        patterns.append({s.name: frozenset(n for at, n in kept if at == s.name) for s in machine.storages})
    return patterns
