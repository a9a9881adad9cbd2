"""Link transfers: a child takes a tile from a neighbour that received the same tile one step before.

The children of a container are numbered row by row over the spatial loops; neighbours are the numbers e - 1 and
e + 1 of the same mesh row, and e - h and e + h for a mesh h wide, even where the mapping uses fewer columns.

A child at offset o_e gets at this step what its neighbour n got at the last one if the tiles have one shape and the
motion v of this step is v = o_n - o_e. So a step matters only if its v is the difference of two neighbours' offsets.
For compute units every step has the shape of one word. For buffers, let i be the innermost loop with bound > 1: it
must move the tile (v_i != 0), for otherwise the step before is always empty. The step before one of loop j > i is one
of loop i, the one before that of i the last carry. With overlap in v_i the shapes agree only between steps of motion
v_i; without overlap every step loads the whole tile and each that moves agrees with the one before.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from camel_plugin.engine.native.batch_result import Bools, Floats, Ints
from camel_plugin.engine.native.children import (
    Multicast,
    SpatialLoops,
    child_motions,
    multicast,
    origins,
    sharing_of,
    spatial_loops,
)
from camel_plugin.engine.native.grouping import HASH, distinct_columns
from camel_plugin.engine.native.nest import Nest
from camel_plugin.engine.native.walk import Demand
from camel_plugin.spec.machine import Fanout


@dataclass(frozen=True)
class Links:
    """Rows of a container and dataspace where links save parent accesses.

    Attributes:
        rows: [N] which mappings.
        accesses: [N] words that the parent still sends.
        delivered: [N] words that children receive from the parent.
        transferred: [N] words that children receive from neighbours.
        share: [N] parent accesses charged to one child, rounded as Timeloop does; 0 for compute units.
    """

    rows: Ints
    accesses: Ints
    delivered: Ints
    transferred: Ints
    share: Floats


def linkable(nest: Nest, dataspace: int, level: int) -> bool:
    """Container ``level`` can have links at all for this dataspace.

    One step moves a buffer's tile by the whole span of the children along some rank, further than any two of them are
    apart, unless several dimensions move that rank. Without forgotten halos a buffer's new words are no box.
    """
    rules = nest.layout.rules
    into_compute = level == len(nest.layout.nodes) - 1
    return rules.link_transfers and (into_compute or (rules.forget_halo and nest.layout.shapes[dataspace].entangled))


def links(nest: Nest, dataspace: int, level: int, tiles: Ints, child: Demand) -> Links | None:
    """Transfers between the children of container ``level``, None if there are none.

    Args:
        nest: the chunk.
        dataspace: index of the dataspace.
        level: node index of the container.
        tiles: [B] different tiles that the children ask for.
        child: what each child asks for.
    """
    layout = nest.layout
    into_compute = level == len(layout.nodes) - 1
    kept_outside = nest.keep[[place < level for place in layout.storages], dataspace].any(axis=0)
    rows = np.flatnonzero((nest.fanouts[level] > 1) & kept_outside)
    start = nest.outside(level)
    if not rows.size or start == len(nest.leaps):
        return None
    motions, weights = _steps(nest, dataspace, start, rows)
    step, place = _within(nest, dataspace, level, rows, motions, weights)
    if not place.size:
        return None
    hit, place = np.unique(place, return_inverse=True)
    rows, motions, weights = rows[hit], motions[:, hit], weights[:, hit]
    delta = child.new[rows]
    if not into_compute:
        weights = _agreeing(motions, weights, nest.leaps[start:, rows], delta < child.words[rows])
    array = _Array(nest, dataspace, level, rows)
    near = array.near(place, motions[step, place]) & (weights[step, place] > 0)
    step, place = step[near], place[near]
    motion = motions[step, place]
    group, first = distinct_columns(np.stack([array.codes()[place], array.width[place], motion]))
    found = [
        neighbours(array.loops(place[index]), int(array.width[place[index]]), int(motion[index])) for index in first
    ]
    left = np.array([sum(count for _, count in sharing) for sharing, _ in found], np.int64)[group]
    taken = np.array([count for _, count in found], np.int64)[group]
    weight = weights[step, place] * delta[place]
    useful = left < tiles[rows[place]]
    spared = np.bincount(place, weight * useful * (tiles[rows[place]] - left), len(rows)).astype(np.int64)
    transferred = np.bincount(place, weight * useful * taken, len(rows)).astype(np.int64)
    used = np.flatnonzero(spared > 0)
    if not used.size:
        return None
    share = np.zeros(len(used))
    for index, row in enumerate(() if into_compute else used):
        served = [(found[group[entry]][0], int(weight[entry])) for entry in np.flatnonzero(useful & (place == row))]
        share[index] = _share(array.loops(row), int(child.asked[rows[row]]), served)
    chosen = rows[used]
    return Links(
        rows=chosen,
        accesses=child.asked[chosen] * tiles[chosen] - spared[used],
        delivered=child.asked[chosen] * nest.fanouts[level, chosen] - transferred[used],
        transferred=transferred[used],
        share=share,
    )


def _steps(nest: Nest, dataspace: int, start: int, rows: Ints) -> tuple[Ints, Ints]:
    """Motion and weight of the temporal loops from ``start`` on: [J, N], innermost first."""
    if nest.layout.rules.forget_halo:
        motions = nest.turns[dataspace][start:, rows]
        if start:
            motions += nest.inner[dataspace][start - 1, rows]
    else:
        step = nest.motions[dataspace][start:, rows]
        walked = step * nest.leaps[start:, rows]
        motions = step + walked - np.cumsum(walked, axis=0)
    return motions, nest.weights[start:, rows]


def _agreeing(motions: Ints, weights: Ints, leaps: Ints, overlapping: Bools) -> Ints:
    """Steps of each loop [J, N] whose tile has the same shape as that of the step before, for buffers."""
    innermost = np.argmax(leaps > 0, axis=0)[None, :]
    lead = np.take_along_axis(motions, innermost, axis=0)
    alike = np.where(overlapping, motions == lead, motions != 0)
    agreeing = weights * alike
    np.put_along_axis(agreeing, innermost, 0, axis=0)
    after_carry = np.where(overlapping, 0, 1) + agreeing.sum(axis=0)
    np.put_along_axis(agreeing, innermost, np.take_along_axis(leaps, innermost, axis=0) * after_carry, axis=0)
    result: Ints = agreeing * (lead != 0)
    return result


def _within(nest: Nest, dataspace: int, level: int, rows: Ints, motions: Ints, weights: Ints) -> tuple[Ints, Ints]:
    """Steps (indices into [J, N]) whose motion is no longer than the children are apart, along every rank."""
    shape = nest.layout.shapes[dataspace]
    tile = nest.tiles[level + 1][:, rows]
    room = nest.factors[level][:, rows] - 1
    reach = (room * tile * shape.keys[:, None]).sum(axis=0)
    step, place = np.nonzero((np.abs(motions) <= reach) & (weights > 0))
    inside = np.ones(len(step), np.bool_)
    for part, span in zip(shape.along_ranks(motions[step, place]), shape.spans(room, tile), strict=True):
        inside &= np.abs(part) <= span[place]
    return step[inside], place[inside]


class _Array:
    """The children of a container in N mappings.

    Attributes:
        width: [N] columns of the mesh.
    """

    def __init__(self, nest: Nest, dataspace: int, level: int, rows: Ints) -> None:
        container = nest.layout.nodes[level]
        assert isinstance(container, Fanout)
        order = nest.order[level][:, rows]
        factors = np.take_along_axis(nest.factors[level][:, rows], order, axis=0)
        along_x = np.take_along_axis(nest.along_x[level][:, rows], order, axis=0)
        step = np.take_along_axis(child_motions(nest, dataspace, level, rows), order, axis=0)
        # The Y loops stand outside the X loops.
        self._rows = len(order)
        self._factors = np.concatenate([np.where(along_x, 1, factors), np.where(along_x, factors, 1)])
        self._motions = np.where(self._factors > 1, np.concatenate([step, step]), 0)
        self._columns = self._factors[self._rows :].prod(axis=0)
        self.width = np.maximum(container.mesh_x, self._columns)

    def loops(self, place: int | np.signedinteger) -> SpatialLoops:
        """The spatial loops of one mapping, outermost first."""
        return spatial_loops(self._motions[:, place], self._factors[:, place])

    def codes(self) -> Ints:
        """One integer [N] per mapping, equal for equal loops whatever stands between them."""
        real = self._factors > 1
        place = np.cumsum(real, axis=0)
        folded: Ints = np.where(real, self._motions * HASH[place] + self._factors * HASH[-1 - place], 0).sum(axis=0)
        return folded

    def near(self, place: Ints, motion: Ints) -> Bools:
        """Motions [H] of mappings ``place`` that lead from a child to a neighbour, some others included.

        The child e + 1 increments the innermost loop with room and resets those inside it; e + h does the same
        with the Y loops if all columns are used. If they are not, anything may happen.
        """
        motion = np.abs(motion)
        spans = (self._factors - 1) * self._motions
        ragged = (self._factors.prod(axis=0) > self.width) & (self._columns < self.width)
        near: Bools = ragged[place]
        for innermost in (2 * self._rows, self._rows):
            carry = np.zeros_like(self.width)
            for index in range(innermost - 1, -1, -1):
                real = self._factors[index] > 1
                if real.any():
                    near |= real[place] & (motion == np.abs(self._motions[index] - carry)[place])
                    carry += spans[index]
        return near


@lru_cache(maxsize=2**16)
def neighbours(loops: SpatialLoops, width: int, motion: int) -> tuple[Multicast, int]:
    """Sharing of the children that no neighbour serves after ``motion``, and the number of those served."""
    places = origins(loops)
    number = np.arange(places.size)
    served = np.zeros(places.size, np.bool_)
    for distance, in_reach in (
        (-1, number % width > 0),
        (1, (number + 1) % width > 0),
        (-width, number >= width),
        (width, number + width < places.size),
    ):
        child = number[in_reach & (number + distance < places.size)]
        served[child] |= places[child + distance] - places[child] == motion
    return sharing_of(places[~served]), int(served.sum())


def _share(loops: SpatialLoops, asked: int, served: list[tuple[Multicast, int]]) -> float:
    """Words that the parent sends to one child on average: Timeloop's sum, in its order of rounding."""
    words: dict[tuple[int, int], int] = {}
    plain = asked - sum(weight for _, weight in served)
    for sharing, weight in [(multicast(loops), plain), *served]:
        for sharers, count in sharing:
            words[sharers, count] = words.get((sharers, count), 0) + weight * count
    fanout = math.prod(factor for _, factor in loops)
    return sum((total * sharers) / fanout for (sharers, _), total in sorted(words.items()))
