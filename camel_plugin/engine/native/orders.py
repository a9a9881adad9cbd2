"""Loop orders that matter: which loops stand inside the innermost one that changes a dataspace's tile.

Only these loops save accesses, so a node's permutations fall into a few classes. An order is written as stages of
loops, innermost first; a dataspace stops being reused after one of the stages. For a sliding window the loops
along one of its ranks count as reuse too, because the tiles overlap; that makes a bound, not a count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from camel_plugin.spec.problem import Problem

Dims = frozenset[int]


@dataclass(frozen=True)
class LoopOrder:
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


def idle_loops(problem: Problem) -> list[list[int]]:
    """For every dataspace the dimensions that do not move its tile."""
    return [
        [d for d, dim in enumerate(problem.dimensions) if dim not in dataspace.dimensions]
        for dataspace in problem.dataspaces
    ]


@cache
def orders(problem: Problem, live: frozenset[int]) -> tuple[LoopOrder, ...]:
    """The orders worth trying while the dataspaces ``live`` may still be reused, best of each class only."""
    dims = [d for d, bound in enumerate(problem.bounds) if bound > 1]
    reuses = {t: _Reuse.of(problem, t, dims) for t in live}
    groups = _alike(reuses, dims)
    found: set[tuple[tuple[int, Dims], ...]] = set()
    for reuse in _sequences(frozenset(), groups, reuses):
        found.add(tuple(sorted(reuse.items())))
    best = [a for a in found if not any(a != b and _covers(b, a) for b in found)]
    return tuple(
        sorted((_order(dict(reuse), reuses) for reuse in best), key=lambda order: (order.stages, order.reused))
    )


@dataclass(frozen=True)
class _Reuse:
    """Loops over which a dataspace is reused.

    Attributes:
        idle: loops that do not move its tile; they must stand inside all that do.
        sliding: for each rank, the loops that shift the tile along it with overlap.
    """

    idle: Dims
    sliding: tuple[Dims, ...]

    @classmethod
    def of(cls, problem: Problem, t: int, dims: list[int]) -> _Reuse:
        """Those of dataspace ``t``."""
        names = problem.dimensions
        dataspace = problem.dataspaces[t]
        ranks = [frozenset(d for d in dims if names[d] in {dim for dim, _ in rank}) for rank in dataspace.projection]
        return cls(
            frozenset(d for d in dims if names[d] not in dataspace.dimensions),
            tuple(rank for rank in ranks if len(rank) > 1),
        )

    def goes_on(self, inside: Dims, group: Dims) -> bool:
        """The loops ``group`` around the loops ``inside`` bring more reuse."""
        if group <= self.idle:
            return inside <= self.idle
        return any(group <= rank and inside <= self.idle | rank for rank in self.sliding)


def _alike(reuses: dict[int, _Reuse], dims: list[int]) -> list[Dims]:
    """Dimensions grouped by what they mean to every dataspace; those that bring no reuse are left out."""
    groups: dict[tuple[tuple[bool, ...], ...], set[int]] = {}
    for d in dims:
        signature = tuple((d in r.idle, *(d in rank for rank in r.sliding)) for _, r in sorted(reuses.items()))
        if any(map(any, signature)):
            groups.setdefault(signature, set()).add(d)
    return [frozenset(group) for group in groups.values()]


def _sequences(inside: Dims, groups: list[Dims], reuses: dict[int, _Reuse]) -> Iterator[dict[int, Dims]]:
    """Reuse of every dataspace for each sequence of groups, until none is reused any more."""
    grown = False
    for group in groups:
        alive = {t: reuse for t, reuse in reuses.items() if reuse.goes_on(inside, group)}
        if not alive:
            continue
        grown = True
        over = {t: inside for t in reuses if t not in alive}
        for rest in _sequences(inside | group, [other for other in groups if other is not group], alive):
            yield over | rest
    if not grown:
        yield dict.fromkeys(reuses, inside)


def _covers(better: tuple[tuple[int, Dims], ...], worse: tuple[tuple[int, Dims], ...]) -> bool:
    return all(a[1] >= b[1] for a, b in zip(better, worse, strict=True))


def _order(reuse: dict[int, Dims], reuses: dict[int, _Reuse]) -> LoopOrder:
    sets = sorted({loops for loops in reuse.values() if loops}, key=len)
    inner = [frozenset[int](), *sets]
    reused = tuple(tuple(t for t in sorted(reuse) if reuse[t] == loops) for loops in sets)
    return LoopOrder(
        # Within a stage, loops that do not move the tile stand inside those that shift it.
        stages=tuple(
            (*sorted((b - a) & reuses[spaces[0]].idle), *sorted(b - a - reuses[spaces[0]].idle))
            for a, b, spaces in zip(inner, sets, reused, strict=False)
        ),
        reused=reused,
        none=tuple(t for t in sorted(reuse) if not reuse[t]),
    )
