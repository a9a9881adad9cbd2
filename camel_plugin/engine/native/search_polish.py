"""Neighbours of a mapping, for what the bounds do not see: order, placement, halos, transfers between neighbours."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.mapspace.lattice import Bools, Ints
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Fanout, Node


@dataclass(frozen=True)
class _Mapping:
    factors: Ints
    order: Ints
    along_x: Bools
    keep: Bools


def neighbours(space: MapSpace, batch: MappingBatch, row: int) -> MappingBatch:
    """All legal mappings one step from mapping ``row``.

    A step moves a prime factor of one loop to another node, exchanges two loops of a node or puts one innermost,
    turns a spatial loop to the other axis, or changes the bypasses.
    """
    start = _Mapping(*(each[row] for each in (batch.factors, batch.order, batch.along_x, batch.keep)))
    return _legal(space, [*_moved_factors(start), *_reordered(start), *_turned(space, start), *_bypassed(space, start)])


def variants(space: MapSpace, factors: Ints, keep: Bools, most: int) -> MappingBatch | None:
    """All mappings with these factors [L, D] and bypasses, whatever their orders and placements.

    Returns:
        None if there are more than ``most``.
    """
    options = [list(_arrangements(node, loops, most)) for node, loops in zip(space.nodes, factors, strict=True)]
    if math.prod(map(len, options)) > most:
        return None
    choices = (zip(*choice, strict=True) for choice in itertools.product(*options))
    return _legal(space, [_Mapping(factors, np.array(order), np.array(along_x), keep) for order, along_x in choices])


def rows(batch: MappingBatch, index: list[int] | Bools) -> MappingBatch:
    """Some mappings of a batch."""
    columns = batch.factors[index], batch.order[index], batch.along_x[index], batch.keep[index]
    return MappingBatch(batch.machine, batch.problem, *columns)


def join(batches: Sequence[MappingBatch]) -> MappingBatch:
    """One batch of all mappings."""
    return MappingBatch(
        batches[0].machine,
        batches[0].problem,
        np.concatenate([each.factors for each in batches]),
        np.concatenate([each.order for each in batches]),
        np.concatenate([each.along_x for each in batches]),
        np.concatenate([each.keep for each in batches]),
    )


def _arrangements(node: Node, factors: Ints, most: int) -> Iterator[tuple[list[int], list[bool]]]:
    """Orders (outermost first) and placements of one node's loops, no more than just above ``most``."""
    return itertools.islice(_all_arrangements(node, factors), most + 1)


def _all_arrangements(node: Node, factors: Ints) -> Iterator[tuple[list[int], list[bool]]]:
    loops = np.flatnonzero(factors > 1).tolist()
    idle = np.flatnonzero(factors == 1).tolist()
    for order in itertools.permutations(loops):
        for columns in range(len(loops) + 1) if isinstance(node, Fanout) else (0,):
            x = order[len(loops) - columns :]
            sizes = (math.prod(int(factors[d]) for d in x), math.prod(int(factors[d]) for d in set(loops) - set(x)))
            if not isinstance(node, Fanout) or (sizes[0] <= node.mesh_x and sizes[1] <= node.mesh_y):
                yield [*idle, *order], [d in x for d in range(len(factors))]


def _legal(space: MapSpace, steps: Sequence[_Mapping]) -> MappingBatch:
    """Those of ``steps`` that the constraints allow."""
    levels, dims = len(space.nodes), len(space.divisors)
    storages, spaces = len(space.machine.storages), len(space.problem.dataspaces)
    result = MappingBatch(
        space.machine,
        space.problem,
        np.array([step.factors for step in steps], np.int64).reshape(-1, levels, dims),
        np.array([step.order for step in steps], np.int8).reshape(-1, levels, dims),
        np.array([step.along_x for step in steps], np.bool_).reshape(-1, levels, dims),
        np.array([step.keep for step in steps], np.bool_).reshape(-1, storages, spaces),
    )
    return rows(result, space.legal(result))


def _moved_factors(start: _Mapping) -> list[_Mapping]:
    levels, dims = start.factors.shape
    found = []
    for d, source in itertools.product(range(dims), range(levels)):
        for prime in _primes(int(start.factors[source, d])):
            for target in range(levels):
                if target != source:
                    factors = start.factors.copy()
                    factors[source, d] //= prime
                    factors[target, d] *= prime
                    found.append(_Mapping(factors, start.order, start.along_x, start.keep))
    return found


def _reordered(start: _Mapping) -> list[_Mapping]:
    found = []
    for level, factors in enumerate(start.factors):
        places = [place for place, d in enumerate(start.order[level]) if factors[d] > 1]
        for a, b in itertools.combinations(places, 2):
            swapped = start.order.copy()
            swapped[level, [a, b]] = swapped[level, [b, a]]
            innermost = start.order.copy()
            innermost[level] = np.append(np.delete(innermost[level], a), innermost[level, a])
            found += [_Mapping(start.factors, order, start.along_x, start.keep) for order in (swapped, innermost)]
    return found


def _turned(space: MapSpace, start: _Mapping) -> list[_Mapping]:
    found = []
    for level, node in enumerate(space.nodes):
        if isinstance(node, Fanout):
            for d in np.flatnonzero(start.factors[level] > 1):
                along_x = start.along_x.copy()
                along_x[level, d] ^= True
                order = start.order.copy()
                order[level] = order[level][np.argsort(along_x[level][order[level]], kind="stable")]
                found.append(_Mapping(start.factors, order, along_x, start.keep))
    return found


def _bypassed(space: MapSpace, start: _Mapping) -> list[_Mapping]:
    return [
        _Mapping(start.factors, start.order, start.along_x, keep)
        for keep in space.keeps
        if (keep != start.keep).sum() == 1
    ]


def _primes(number: int) -> list[int]:
    """Different prime factors."""
    return [p for p in range(2, number + 1) if number % p == 0 and all(p % q for q in range(2, p))]
