"""Neighbours of a mapping, for what the bounds do not see: order, placement, halos, transfers between neighbours."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from camel_plugin.arch.machine import Fanout
from camel_plugin.engine.native.batch import MappingBatch
from camel_plugin.engine.native.lattice import Bools, Ints
from camel_plugin.engine.native.mapspace import MapSpace


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
    steps = [*_moved_factors(start), *_reordered(start), *_turned(space, start), *_bypassed(space, start)]
    result = MappingBatch(
        space.machine,
        space.problem,
        np.array([step.factors for step in steps], np.int64).reshape(-1, *start.factors.shape),
        np.array([step.order for step in steps], np.int8).reshape(-1, *start.order.shape),
        np.array([step.along_x for step in steps], np.bool_).reshape(-1, *start.along_x.shape),
        np.array([step.keep for step in steps], np.bool_).reshape(-1, *start.keep.shape),
    )
    legal = space.legal(result)
    return MappingBatch(
        space.machine,
        space.problem,
        *(each[legal] for each in (result.factors, result.order, result.along_x, result.keep)),
    )


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
                order[level] = sorted(order[level], key=lambda d, x=along_x[level]: x[d])
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
