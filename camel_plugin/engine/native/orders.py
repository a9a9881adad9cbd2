"""Loop orders that matter: which loops stand inside the innermost one that changes a dataspace's tile.

Only these loops save accesses, so a node's permutations fall into a few classes. An order is written as stages of
loops, innermost first; a dataspace stops being reused after one of the stages. For a sliding window the loops
along one of its ranks count as reuse too, because the tiles overlap; that makes a bound, not a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from camel_plugin.workload.problem import Problem

Dims = frozenset[int]


@dataclass(frozen=True)
class Order:
    """A class of loop orders of one node.

    Attributes:
        stages: loops of each stage, innermost stage first.
        reused: dataspaces that are reused over all stages up to this one, and no further.
        none: dataspaces without any reuse.
    """

    stages: tuple[tuple[int, ...], ...]
    reused: tuple[tuple[int, ...], ...]
    none: tuple[int, ...]

    @property
    def loops(self) -> tuple[int, ...]:
        """All loops of the stages, innermost first."""
        return tuple(d for stage in self.stages for d in stage)


@cache
def orders(problem: Problem, live: frozenset[int]) -> tuple[Order, ...]:
    """The orders worth trying while the dataspaces ``live`` may still be reused, best of each class only."""
    dims = [d for d, bound in enumerate(problem.bounds) if bound > 1]
    runs = {t: _runs(problem, t, dims) for t in live}
    groups = _alike(runs, dims)
    found: set[tuple[tuple[int, Dims], ...]] = set()
    for reuse in _sequences(frozenset(), groups, runs):
        found.add(tuple(sorted(reuse.items())))
    best = [a for a in found if not any(a != b and _covers(b, a) for b in found)]
    return tuple(sorted((_order(dict(reuse)) for reuse in best), key=lambda order: (order.stages, order.reused)))


def _runs(problem: Problem, t: int, dims: list[int]) -> tuple[Dims, ...]:
    """Maximal sets of loops over which dataspace ``t`` is reused, wholly or by overlap."""
    names = problem.dimensions
    dataspace = problem.dataspaces[t]
    idle = frozenset(d for d in dims if names[d] not in dataspace.dimensions)
    sliding = [frozenset(d for d in dims if names[d] in {dim for dim, _ in rank}) for rank in dataspace.projection]
    return tuple({idle | loops for loops in sliding if len(loops) > 1} or {idle})


def _alike(runs: dict[int, tuple[Dims, ...]], dims: list[int]) -> list[Dims]:
    """Dimensions grouped by the runs they belong to; those in none are left out."""
    groups: dict[tuple[tuple[bool, ...], ...], set[int]] = {}
    for d in dims:
        signature = tuple(tuple(d in run for run in runs[t]) for t in sorted(runs))
        if any(map(any, signature)):
            groups.setdefault(signature, set()).add(d)
    return [frozenset(group) for group in groups.values()]


def _sequences(inside: Dims, groups: list[Dims], runs: dict[int, tuple[Dims, ...]]) -> Iterator[dict[int, Dims]]:
    """Reuse of every dataspace for each sequence of groups, until none is reused any more."""
    if not runs:
        yield {}
        return
    grown = False
    for group in groups:
        loops = inside | group
        alive = {t: kept for t, sets in runs.items() if (kept := tuple(run for run in sets if loops <= run))}
        if not alive:
            continue
        grown = True
        over = {t: inside for t in runs if t not in alive}
        for rest in _sequences(loops, [other for other in groups if other is not group], alive):
            yield over | rest
    if not grown:
        yield dict.fromkeys(runs, inside)


def _covers(better: tuple[tuple[int, Dims], ...], worse: tuple[tuple[int, Dims], ...]) -> bool:
    return all(a[1] >= b[1] for a, b in zip(better, worse, strict=True))


def _order(reuse: dict[int, Dims]) -> Order:
    sets = sorted({loops for loops in reuse.values() if loops}, key=len)
    inner = [frozenset[int](), *sets]
    return Order(
        stages=tuple(tuple(sorted(b - a)) for a, b in zip(inner, sets, strict=False)),
        reused=tuple(tuple(t for t in sorted(reuse) if reuse[t] == loops) for loops in sets),
        none=tuple(t for t in sorted(reuse) if not reuse[t]),
    )
