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

from camel_plugin.engine.native.nest import Loop, Nest
from camel_plugin.engine.native.result import Ints
from camel_plugin.engine.native.tiles import TileShape, volume


@dataclass(frozen=True)
class Walk:
    """Motions of one dataspace over some temporal loops, whatever the size of the tile.

    Attributes:
        moves: [B] steps that move the tile.
        repeats: [B] those of them that repeat the motion of the innermost moving loop.
        dim: [B] dimension of that loop.
        stride: [B] its stride.
    """

    moves: Ints
    repeats: Ints
    dim: Ints
    stride: Ints


def walk(nest: Nest, loops: list[Loop], dataspace: int) -> Walk:
    """Walk ``loops`` (innermost first) with the indices 0 and 1."""
    moves, repeats, inner, motion, dim, stride = (np.zeros(nest.rows, np.int64) for _ in range(6))
    for loop in loops:
        step = loop.motions[dataspace]
        if not (inner.any() or step.any()):
            continue
        change = step - inner
        fresh = motion == 0
        moved = change != 0
        moves += loop.weight * moved
        moved &= fresh | (change == motion)
        repeats += loop.weight * moved
        if step.any():
            fresh &= step != 0
            np.copyto(motion, step, where=fresh)
            np.copyto(dim, loop.dim, where=fresh)
            np.copyto(stride, loop.stride, where=fresh)
            inner += step
    return Walk(moves, repeats, dim, stride)


def new_words(nest: Nest, shape: TileShape, tile: Ints, extents: list[Ints], words: Ints, path: Walk) -> Ints:
    """Words [B] of a tile that are new after the motion of the innermost moving loop.

    A motion along several ranks at once leaves no box, and Timeloop then takes the whole tile for new.
    """
    new = words.copy()
    for rank, extent in enumerate(extents):
        motion = shape.coefficients[path.dim] * path.stride
        shared = shape.overlap(rank, tile, extent, motion)
        along = (shape.rank_of[path.dim] == rank) & (path.repeats > 0)
        new -= np.where(along, words // extent * shared, 0)
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
    loops = nest.outside(level)
    if not nest.layout.rules.forget_halo:
        return Demand(words, words, replay(nest, shape, tile, extents, words, loops))
    path = walk(nest, loops, dataspace)
    new = new_words(nest, shape, tile, extents, words, path)
    return Demand(words, new, words * (1 + path.moves) - (words - new) * path.repeats)


def replay(nest: Nest, shape: TileShape, tile: Ints, extents: list[Ints], words: Ints, loops: list[Loop]) -> Ints:
    """The same with true bounds, each tile loading all that the one before it did not hold."""
    total = words.copy()
    inner = [np.zeros(nest.rows, np.int64) for _ in extents]
    for loop in loops:
        shared = np.ones(nest.rows, np.int64)
        for rank, extent in enumerate(extents):
            coefficients = np.zeros(len(shape.keys), np.int64)
            for d, coefficient in shape.ranks[rank]:
                coefficients[d] = coefficient
            step = coefficients[loop.dim] * loop.stride
            shared *= shape.overlap(rank, tile, extent, step - inner[rank])
            inner[rank] += step * (loop.bound - 1)
        total += loop.weight * (words - shared)
    return total
