"""Padded sizes: bounds that a mesh cannot share out evenly, and large primes, rounded up where that pays.

Work on padding costs cycles and energy like any other, but only the work of the true bounds counts as useful
multiply-accumulates. A ceiling split of a bound is a perfect split of a padded one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.engine.base import Engine, MapResult
from camel_plugin.errors import InfeasibleError
from camel_plugin.mapspace.containers import Containers
from camel_plugin.mapspace.lattice import Lattice
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Fanout, Machine
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem

MOST_ADDED = 0.25
"""Padding for a mesh adds at most this share to a bound."""

WORTH = 0.95
"""It must promise to bring the compute time below this share."""

AWKWARD = 7
"""Primes from here on are awkward in a bound that has no other factor than 2 beside them."""


def map_padded(engine: Engine, machine: Machine, problem: Problem, objective: Objective, budget_s: float) -> MapResult:
    """The best mapping of ``problem`` or of a padded form of it, ``budget_s`` seconds for each.

    Errors are those of :meth:`Engine.map`.
    """
    best = engine.map(machine, problem, objective, budget_s)
    evaluated, wall_s = best.evaluated, best.wall_s
    for other in paddings(machine, problem, compute_bound=best.evaluation.bound_by == "compute"):
        try:
            found = engine.map(machine, other, objective, budget_s)
        except InfeasibleError:
            continue
        evaluated, wall_s = evaluated + found.evaluated, wall_s + found.wall_s
        if found.value < best.value:
            best = useful(found, machine, problem, other)
    return replace(best, evaluated=evaluated, wall_s=wall_s)


def useful(found: MapResult, machine: Machine, problem: Problem, padded: Problem) -> MapResult:
    """What was found for a padded form, with the work of ``problem`` alone as its computes."""
    units = machine.instances(machine.compute.name)
    evaluation = replace(
        found.evaluation,
        computes=problem.macs,
        utilization=problem.macs / (found.evaluation.cycles * units),
    )
    bounds = {dim: bound for dim, bound in padded.size.items() if bound != problem.size[dim]}
    return replace(found, evaluation=evaluation, padded=bounds)


def paddings(machine: Machine, problem: Problem, *, compute_bound: bool) -> list[Problem]:
    """Padded forms of ``problem`` that may be worth mapping.

    Args:
        machine: to map it on.
        problem: with its true bounds.
        compute_bound: less compute time would help.
    """
    smooth = replace(problem, bounds=tuple(map(_smooth, problem.bounds)))
    forms = list(dict.fromkeys((problem, smooth)))
    found = [*forms, *(_for_meshes(machine, each) for each in forms if compute_bound)]
    return [each for each in dict.fromkeys(found) if each != problem]


def _smooth(bound: int) -> int:
    """The next bound without a prime factor above 5 if this one is an awkward prime, or twice one."""
    largest = _largest_prime(bound)
    if largest < AWKWARD or bound > 2 * largest:
        return bound
    return next(size for size in range(bound, 2 * bound) if _largest_prime(size) <= 5)


def _largest_prime(number: int) -> int:
    largest, prime = 1, 2
    while number > 1:
        while number % prime == 0:
            largest, number = prime, number // prime
        prime += 1
    return largest


def _for_meshes(machine: Machine, problem: Problem) -> Problem:
    """``problem`` with one dimension after the other padded for the meshes, the most useful first."""
    best, least = problem, _compute_cycles(machine, problem)
    while True:
        choices = [(_compute_cycles(machine, each), each.bounds, each) for each in _wider(machine, problem, best)]
        cycles, _, wider = min(choices, default=(math.inf, (), best))
        if cycles >= WORTH * least:
            return best
        best, least = wider, cycles


def _wider(machine: Machine, problem: Problem, start: Problem) -> Iterator[Problem]:
    """``start`` with one more dimension of ``problem`` padded to a multiple of something that divides a mesh."""
    extents = {extent for node in machine.nodes if isinstance(node, Fanout) for extent in (node.mesh_x, node.mesh_y)}
    parts = {part for extent in extents for part in range(2, extent + 1) if extent % part == 0}
    for d, bound in enumerate(start.bounds):
        if bound == 1 or bound != problem.bounds[d]:
            continue
        for size in sorted({math.ceil(bound / part) * part for part in parts} - {bound}):
            if size <= bound * (1 + MOST_ADDED):
                yield replace(start, bounds=(*start.bounds[:d], size, *start.bounds[d + 1 :]))


def _compute_cycles(machine: Machine, problem: Problem) -> float:
    """Least compute cycles, as many units at work as the meshes and their constraints allow."""
    space = MapSpace(machine, problem)
    return problem.macs / Containers(space, Lattice(problem, space.divisors)).most[-1]
