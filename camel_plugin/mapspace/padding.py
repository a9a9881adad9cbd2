"""Padded sizes: bounds that a mesh cannot share out evenly, and large primes, rounded up where that pays.

Work on padding costs cycles and energy like any other, but only the work of the true bounds counts as useful
multiply-accumulates. A ceiling split of a bound is a perfect split of a padded one.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.mapspace.containers import Containers
from camel_plugin.mapspace.lattice import Lattice
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Fanout, Machine
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.task import Task

MOST_ADDED = 0.25
"""Padding for a mesh adds at most this share to a bound."""

WORTH = 0.95
"""It must promise to bring the compute time below this share."""

AWKWARD = 7
"""Primes from here on are awkward in a bound that has no other factor than 2 beside them."""


def paddings(task: Task, *, compute_bound: bool) -> list[Problem]:
    """Padded forms of the problem of a task that may be worth mapping.

    Args:
        task: with its true bounds.
        compute_bound: less compute time would help.
    """
    problem = task.problem
    smooth = replace(problem, bounds=tuple(map(_smooth, problem.bounds)))
    forms = list(dict.fromkeys((problem, smooth)))
    found = [*forms, *(_for_meshes(task, each) for each in forms if compute_bound)]
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


def _for_meshes(task: Task, problem: Problem) -> Problem:
    """``problem`` with one dimension after the other padded for the meshes, the most useful first."""
    best, least = problem, _compute_cycles(task, problem)
    while True:
        choices = [(_compute_cycles(task, each), each.bounds, each) for each in _wider(task.machine, problem, best)]
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


def _compute_cycles(task: Task, problem: Problem) -> float:
    """Least compute cycles, as many units at work as the meshes and their constraints allow."""
    space = MapSpace(replace(task, problem=problem))
    return problem.macs / Containers(space, Lattice(problem, space.divisors)).most[-1]
