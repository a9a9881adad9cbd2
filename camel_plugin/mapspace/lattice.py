"""Tiles as a lattice: every product of divisors of the problem's bounds, with the words it touches."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from camel_plugin.spec.problem import Dataspace, Problem

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Lattice:
    """All tiles of the iteration space with perfect factors.

    A tile is a vector of divisor indices, or its number in the flattened array of all N tiles.

    Attributes:
        divisors: per dimension, ascending.
        shape: number of divisors of each dimension.
        strides: [D] tile number = indices @ strides.
        size: N.
        products: per dimension [n, n]: index of the product of two divisors, -1 where it does not divide the bound.
        volume: [N] iterations of each tile.
        boxes: [T, N] words of each dataspace's bounding box.
        density: [T, N] words per iteration, box / volume.
        open: [N] bits of the dimensions that the tile does not span.
        touched: [T, N] words per iteration of the words really touched; never grows with the tile.
    """

    def __init__(self, problem: Problem, divisors: Sequence[Ints]) -> None:
        self.divisors = tuple(divisors)
        self.shape = tuple(len(each) for each in divisors)
        self.size = math.prod(self.shape)
        self.strides = np.array([math.prod(self.shape[d + 1 :]) for d in range(len(self.shape))], np.int64)
        self.products = tuple(_products(each) for each in divisors)
        extents = [
            np.broadcast_to(each.reshape([-1 if e == d else 1 for e in range(len(self.shape))]), self.shape)
            for d, each in enumerate(divisors)
        ]
        self.volume: Floats = np.prod([e.astype(np.float64) for e in extents], axis=0).ravel()
        self.open = sum((e < e.max()).ravel().astype(np.int64) << d for d, e in enumerate(extents))
        tile = {dim: extents[d].ravel() for d, dim in enumerate(problem.dimensions)}
        self.boxes = np.stack([_box(dataspace, tile) for dataspace in problem.dataspaces])
        self.density = self.boxes / self.volume
        self.touched = np.stack([_touched(dataspace, tile) for dataspace in problem.dataspaces]) / self.volume

    def numbers(self, indices: Ints) -> Ints:
        """Tile numbers of divisor indices [..., D]."""
        return indices @ self.strides

    def index(self, tile: Ints) -> Ints:
        """Divisor indices [n, D] of tile numbers [n]."""
        return np.stack(np.unravel_index(tile, self.shape), axis=1)

    def grown(self, tile: Ints, picks: Ints) -> Ints:
        """Numbers of the tiles once the loops ``picks`` [n, D] stand around them."""
        index = self.index(tile)
        number = tile.copy()
        for d, products in enumerate(self.products):
            number += (products[index[:, d], picks[:, d]] - index[:, d]) * self.strides[d]
        return number

    def best_outside(self, values: Floats, factors: Sequence[Bools | None]) -> Floats:
        """For every tile the least of ``values`` [N] among the tiles that one node's loops can make of it.

        Args:
            values: [N].
            factors: per dimension which divisors may be the factor; None for 1 only.
        """
        result = values.reshape(self.shape)
        for d, mask in enumerate(factors):
            if mask is None or (mask[0] and not mask[1:].any()):
                continue
            source = np.moveaxis(result, d, 0)
            best = np.full(source.shape, np.inf)
            for i, row in enumerate(self.products[d]):
                for j in row[mask & (row >= 0)]:
                    np.minimum(best[i, ...], source[j], out=best[i, ...])
            result = np.moveaxis(best, 0, d)
        return np.ascontiguousarray(result).ravel()


def _products(divisors: Ints) -> Ints:
    table = np.multiply.outer(divisors, divisors)
    place = np.searchsorted(divisors, np.minimum(table, divisors[-1]))
    return np.where((table <= divisors[-1]) & (divisors[place] == table), place, -1)


def _box(dataspace: Dataspace, tile: dict[str, Ints]) -> Floats:
    box = np.ones(len(next(iter(tile.values()))))
    for rank in dataspace.projection:
        box *= 1 + sum(coef * (tile[dim] - 1.0) for dim, coef in rank)
    return box


def _touched(dataspace: Dataspace, tile: dict[str, Ints]) -> Floats:
    """Different positions a * i + b * j of two loops: all pairs less those reached again by another pair.

    A bound from below where more loops move a rank, or one loop several.
    """
    words = np.ones(len(next(iter(tile.values()))))
    separate = ranks_are_separate(dataspace)
    for rank in dataspace.projection:
        if len(rank) == 2:
            (first, a), (second, b) = rank
            common = math.gcd(a, b)
            f, g = tile[first], tile[second]
            positions = f * g - np.maximum(0, f - b // common) * np.maximum(0, g - a // common)
        else:
            positions = 1 + sum(tile[dim] - 1.0 for dim, _ in rank)
        words = words * positions if separate else np.maximum(words, positions)
    return words


def ranks_are_separate(dataspace: Dataspace) -> bool:
    """No dimension moves two ranks, so that positions along the ranks combine freely."""
    return sum(len({dim for dim, _ in rank}) for rank in dataspace.projection) == len(dataspace.dimensions)
