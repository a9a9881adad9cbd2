"""Constraints that say more than a factor: what they mean for a problem, as Timeloop's front end works it out."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache

from camel_plugin.errors import SpecError
from camel_plugin.spec.machine import Compute, FactorBound, Fanout, LoopConstraints, Machine, Node, Storage
from camel_plugin.spec.problem import Problem

_ONE = FactorBound("=", 1)


def spelt_out(machine: Machine, problem: Problem) -> Machine:
    """The machine with ``factors_only``, ``no_iteration_over``, ``must_iterate_over`` and ``maximize`` as factors.

    Raises:
        SpecError: two constraints of a node contradict each other.
    """
    nodes = [_with_loops(node, _spelt_out(_loops(node), node, problem)) for node in machine.nodes]
    if any(_loops(node).maximize for node in nodes):
        nodes = _maximized(nodes, problem)
    return replace(machine, nodes=tuple(nodes))


def with_unit_loops(permutation: tuple[str, ...], unit: Iterable[str]) -> tuple[str, ...]:
    """The permutation with loops of factor 1 that it does not name put innermost.

    Timeloop's front end does so, and a spatial ``split`` counts them: ``permutation: [C, M], split: 1`` with
    ``factors: [R=1]`` has R on the X axis and both C and M on Y.
    """
    for name in unit:
        if name not in permutation:
            permutation = (name, *permutation)
    return permutation


def _loops(node: Node) -> LoopConstraints:
    if isinstance(node, Compute):
        return LoopConstraints()
    return node.temporal if isinstance(node, Storage) else node.spatial


def _with_loops(node: Node, loops: LoopConstraints) -> Node:
    if isinstance(node, Compute):
        return node
    return replace(node, temporal=loops) if isinstance(node, Storage) else replace(node, spatial=loops)


def _spelt_out(loops: LoopConstraints, node: Node, problem: Problem) -> LoopConstraints:
    factors = dict(_heeded(loops.factors, problem))
    for name in _frozen(loops, problem):
        bound = factors.get(name, _ONE)
        if bound.relation == "=" and bound.value != 1:
            raise SpecError(
                f"the constraints of {node.name} contradict each other: {name}={bound.value}, and no loop over {name} "
                "for the sake of a dataspace"
            )
        factors[name] = _ONE
    if loops.only:
        factors = dict.fromkeys(problem.dimensions, _ONE) | factors
    spelt = replace(loops, factors=factors, only=False, no_iteration_over=frozenset(), must_iterate_over=None)
    if loops.split is None:
        return spelt
    unit = [name for name, bound in factors.items() if bound.value == 1]
    unit += [name for name, bound in problem.size.items() if bound == 1]
    return replace(spelt, permutation=with_unit_loops(loops.permutation, unit))


def _heeded(factors: Mapping[str, FactorBound], problem: Problem) -> Iterator[tuple[str, FactorBound]]:
    """Bounds as Timeloop's mapper heeds them: 0 is the whole dimension, and a factor that exceeds it is passed over."""
    for name, bound in factors.items():
        size = problem.size.get(name)
        if size is None or bound.relation != "=" or 0 < bound.value <= size:
            yield name, bound
        elif bound.value == 0:
            yield name, FactorBound("=", size)


def _frozen(loops: LoopConstraints, problem: Problem) -> Iterator[str]:
    """Dimensions that may not have a loop, because of a dataspace; each dataspace's in the order of its ranks."""
    for space in problem.dataspaces:
        if space.name in loops.no_iteration_over:
            yield from (dimension for rank in space.projection for dimension, _ in rank)
    if loops.must_iterate_over is not None:
        spaces = [space for space in problem.dataspaces if space.name in loops.must_iterate_over]
        allowed = {dimension for space in spaces for dimension in space.dimensions}
        yield from (dimension for dimension in problem.dimensions if dimension not in allowed)


def _maximized(nodes: Sequence[Node], problem: Problem) -> list[Node]:
    """Spatial loops first, then temporal ones, each from the innermost node outwards."""
    found = list(nodes)
    left = problem.size
    for node in nodes:
        for name, bound in _loops(node).factors.items():
            if bound.relation == "=" and name in left:
                left[name] = math.ceil(left[name] / bound.value)
    for kind in (Fanout, Storage):
        for index in reversed(range(len(found))):
            node = found[index]
            if not isinstance(node, kind) or not _loops(node).maximize:
                continue
            factors = dict(_loops(node).factors)
            capacity = _loops(node).maximize_capacity or (node.size if isinstance(node, Fanout) else 1)
            for wanted in _loops(node).maximize:
                for name, factor in _most(wanted, factors, capacity, left, problem).items():
                    factors[name] = FactorBound("=", factor)
                    left[name] = math.ceil(left[name] / factor)
            found[index] = _with_loops(node, replace(_loops(node), factors=factors, maximize=()))
    return found


def _most(
    wanted: Sequence[str], factors: Mapping[str, FactorBound], capacity: int, left: Mapping[str, int], problem: Problem
) -> dict[str, int]:
    """Factors of the wanted dimensions that fill the capacity that other factors leave."""
    for bound in factors.values():
        if bound.relation in ("=", ">="):
            capacity //= bound.value
    dimensions = [name for name in wanted if name in left and name not in factors]
    chosen, _ = _filling(tuple(left[name] for name in dimensions), capacity)
    return dict(zip(dimensions, chosen, strict=True))


@cache
def _filling(sizes: tuple[int, ...], capacity: int) -> tuple[tuple[int, ...], float]:
    """Factors of loops of these sizes, and the instances that they keep busy on average.

    A loop is either cut into its prime factors or, where it is larger than the capacity, into nearly equal parts.
    """
    best, most = (1,) * len(sizes), 1.0
    if capacity <= 1:
        return best, most
    for index, size in enumerate(sizes):
        if size > capacity:
            rounds = math.ceil(size / capacity)
            part = math.ceil(size / rounds)
            busy = (part * (rounds - 1) + size % part) / rounds
            if busy > most:
                best, most = tuple(part if each == index else 1 for each in range(len(sizes))), busy
        for prime in _primes(size):
            if prime > capacity:
                continue
            rest = (*sizes[:index], size // prime, *sizes[index + 1 :])
            inner, busy = _filling(rest, capacity // prime)
            if busy * prime > most:
                best = tuple(factor * prime if each == index else factor for each, factor in enumerate(inner))
                most = busy * prime
    return best, most


def _primes(number: int) -> set[int]:
    """Distinct prime factors, in the order in which the front end's set of them is walked: ties hang on it."""
    found = set()
    divisor = 2
    while number > 1:
        if divisor * divisor > number:
            divisor = number
        if number % divisor:
            divisor += 1
            continue
        found.add(divisor)
        number //= divisor
    return found
