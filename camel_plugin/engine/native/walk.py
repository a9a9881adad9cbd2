"""Words that a child asks of its parent while the temporal loops outside it run.

Timeloop walks the loops with the indices 0 and 1 only and lets index 1 stand for bound - 1 iterations. Number the
loops j = 1, 2 ... from the innermost; one step of loop j moves the tile by t_j. When loop j goes from 0 to 1 all
loops inside it go from 1 to 0, so the tile moves by v_j = t_j - (t_1 + ... + t_{j-1}), whatever the loops outside
do, and over the whole nest that happens (bound_j - 1) * product of the bounds outside j times.

The overlap with the previous tile is reused if the motion repeats the last one or none is remembered; any other
motion loads the whole tile and is forgotten. Let i be the innermost loop with v_i != 0. Between two steps of loops
outside i stands always a step of loop i; at the first of them nothing is remembered, so v_i is remembered from
then on. Hence a step of i, or one whose v_j equals v_i, loads the new part of the tile; one with v_j = 0 nothing;
every other one the whole tile, after which nothing is remembered and the next step of i loads the new part again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.native.batch_result import Ints
from camel_plugin.engine.native.nest import Nest
from camel_plugin.engine.native.tiles import TileShape, volume


@dataclass(frozen=True)
class Walk:
    """Motions of one dataspace over some temporal loops, whatever the size of the tile.

    Attributes:
        moves: [B] steps that move the tile.
        repeats: [B] those of them that repeat the motion of the innermost moving loop.
        rank: [B] rank along which that loop moves the tile; -1 if along several or if nothing moves.
        distance: [B] words that it moves the tile along that rank.
    """

    moves: Ints
    repeats: Ints
    rank: Ints
    distance: Ints


def walk(nest: Nest, dataspace: int, level: int) -> Walk:
    """Walk the temporal loops outside node ``level`` with the indices 0 and 1."""
    shape = nest.layout.shapes[dataspace]
    start = nest.outside(level)
    motions = nest.motions[dataspace][start:]
    weights = nest.weights[start:]
    if not len(motions):
        none = np.zeros(nest.rows, np.int64)
        return Walk(none, none, none - 1, none)
    change = nest.turns[dataspace][start:]
    if start:
        change = change + nest.inner[dataspace][start - 1]
    first = (np.argmax(motions != 0, axis=0), np.arange(nest.rows))
    motion = motions[first]
    moves = np.where(change != 0, weights, 0).sum(axis=0)
    repeats = np.where(change == motion, weights, 0).sum(axis=0)
    dim = nest.dims[start:][first]
    rank = np.where(motion != 0, shape.rank_of[dim], -1)
    return Walk(moves, repeats, rank, shape.coefficients[dim] * nest.strides[start:][first])


def new_words(shape: TileShape, tile: Ints, extents: list[Ints], words: Ints, path: Walk) -> Ints:
    """Words [B] of a tile that are new after the motion of the innermost moving loop.

    A motion along several ranks at once leaves no box, and Timeloop then takes the whole tile for new.
    """
    new = words.copy()
    for rank, extent in enumerate(extents):
        rows = np.flatnonzero(path.rank == rank)
        shared = shape.overlap(rank, tile[:, rows], extent[rows], path.distance[rows])
        new[rows] -= words[rows] // extent[rows] * shared
    return new


@dataclass(frozen=True)
class Demand:
    """What a child asks of its parent.

    Attributes:
        words: [B] of its tile.
        new: [B] words that are new after a step of the innermost moving loop.
        asked: [B] words in all.
    """

    words: Ints
    new: Ints
    asked: Ints

    @classmethod
    def of_compute(cls, nest: Nest) -> Demand:
        """Of a compute unit: one word a step, nothing is reused."""
        one = np.ones(nest.rows, np.int64)
        return cls(one, one, nest.steps)


def demand(nest: Nest, dataspace: int, level: int) -> Demand:
    """Of one instance of node ``level``, whose tile covers the loops from this node inwards."""
    shape = nest.layout.shapes[dataspace]
    tile = nest.tiles[level]
    extents = shape.extents(tile)
    words = volume(extents, nest.rows)
    if not nest.layout.rules.forget_halo:
        return Demand(words, words, replay(nest, shape, level, extents, words))
    path = walk(nest, dataspace, level)
    new = new_words(shape, tile, extents, words, path)
    return Demand(words, new, words * (1 + path.moves) - (words - new) * path.repeats)


def replay(nest: Nest, shape: TileShape, level: int, extents: list[Ints], words: Ints) -> Ints:
    """Words [B] asked for with true bounds, each tile loading all that the one before it did not hold."""
    start = nest.outside(level)
    inner = [np.zeros(nest.rows, np.int64) for _ in extents]
    total = words.copy()
    for index in range(start, len(nest.leaps)):
        shared = np.ones(nest.rows, np.int64)
        for rank, extent in enumerate(extents):
            coefficients = np.zeros(len(shape.keys), np.int64)
            for d, coefficient in shape.ranks[rank]:
                coefficients[d] = coefficient
            step = coefficients[nest.dims[index]] * nest.strides[index]
            shared *= shape.overlap(rank, nest.tiles[level], extent, step - inner[rank])
            inner[rank] += step * nest.leaps[index]
        total += nest.weights[index] * (words - shared)
    return total
