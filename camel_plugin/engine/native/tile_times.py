"""Time inside an operation: how long the loops of a mapping leave a tile, or a partial sum, in a storage level.

The tile of a level changes with the loops outside it; the innermost of them that moves it ends its stay, and where
the tile slides (a convolution's input) a datum stays for as many steps as the tile is wide in that direction. A
datum that is accumulated into is visited once for every iteration of a reduction loop that has a relevant loop
inside it (otherwise the level below, if it keeps the dataspace, does the accumulation); between two visits, and
after the last one, it waits at most for one sweep over the tile.
"""

from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.native.batch_result import Bools, Floats, Ints
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.evaluation import TileStay
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.problem import Dataspace, Problem


@dataclass(frozen=True)
class TileTimes:
    """Tiles of one dataspace in one storage level, of B mappings. Times are fractions of the operation's duration.

    Attributes:
        words: [B] bounding box of the tile, one instance.
        instances: [B] instances of the level that the mapping uses.
        stays: [B] longest time that a datum stays before the tile has moved on (halo included).
        unrestored: [B] longest time without a write: ``stays`` for a read-only dataspace, one sweep over
            the tile for one that is accumulated into, where every visit writes.
    """

    words: Ints
    instances: Ints
    stays: Floats
    unrestored: Floats


def tile_stays(machine: Machine, problem: Problem, mapping: Mapping) -> tuple[TileStay, ...]:
    """A row for each level and each dataspace that the mapping keeps in it."""
    batch = MappingBatch.from_mappings(machine, problem, [mapping])
    rows = []
    for level in machine.storages:
        for t, space in enumerate(problem.dataspaces):
            if space.name in mapping.at(level.name).keep:
                times = tile_times(batch, level.name, t)
                words, instances = int(times.words[0]), int(times.instances[0])
                stays, unrestored = float(times.stays[0]), float(times.unrestored[0])
                rows.append(TileStay(level.name, space.name, words, instances, stays, unrestored))
    return tuple(rows)


def tile_times(batch: MappingBatch, level: str, t: int) -> TileTimes:
    """Times of the tiles that storage ``level`` keeps of dataspace number ``t``."""
    loops = _Loops(batch)
    space = batch.problem.dataspaces[t]
    position = next(place for place, node in enumerate(batch.machine.loop_nodes) if node.name == level)
    tile = batch.factors[:, position:].prod(axis=1)
    moves = loops.temporal & (loops.factor > 1) & loops.relevant(space)
    outside = moves & (loops.node < position)
    innermost = _last(outside)
    residency = np.where(innermost >= 0, _stay(loops, space, outside, innermost, tile), 1.0)
    unrestored = residency
    if space.read_write:
        child = _child(batch, position, t)
        deepest = _last(moves & (loops.node < child[:, None]))
        index = np.arange(loops.node.shape[0])
        accumulated = (child == batch.factors.shape[1])[:, None] | (index < deepest[:, None])
        revisits = loops.temporal & ~loops.relevant(space) & (index > innermost[:, None]) & accumulated
        unrestored = residency - np.where(revisits, (loops.factor - 1) * loops.time, 0.0).sum(axis=1)
    return TileTimes(
        words=np.prod(_box(batch.problem, space, tile), axis=0),
        instances=np.where(~loops.temporal & (loops.node < position), loops.factor, 1).prod(axis=1),
        stays=residency,
        unrestored=unrestored,
    )


class _Loops:
    """All loops, outermost first: J = nodes x dimensions.

    Attributes:
        node: [J] position of the loop's node.
        temporal: [J] the node is a storage.
        dimension: [B, J].
        factor: [B, J].
        time: [B, J] duration of one iteration; spatial loops take none.
    """

    def __init__(self, batch: MappingBatch) -> None:
        rows, nodes, dims = batch.factors.shape
        self._problem = batch.problem
        self.node: Ints = np.repeat(np.arange(nodes), dims)
        storages = [isinstance(node, Storage) for node in batch.machine.loop_nodes]
        self.temporal: Bools = np.repeat(np.array(storages, np.bool_), dims)
        order = batch.order.astype(np.int64)
        self.dimension: Ints = order.reshape(rows, -1)
        self.factor: Ints = np.take_along_axis(batch.factors, order, axis=2).reshape(rows, -1)
        self.time: Floats = 1 / np.cumprod(np.where(self.temporal, self.factor, 1), axis=1)

    def relevant(self, space: Dataspace) -> Bools:
        """[B, J] the loop's dimension indexes ``space``."""
        indexes = np.array([dim in space.dimensions for dim in self._problem.dimensions], np.bool_)
        return indexes[self.dimension]


def _last(chosen: Bools) -> Ints:
    """[B] the last chosen column of [B, J], -1 if there is none."""
    last = chosen.shape[1] - 1 - np.argmax(chosen[:, ::-1], axis=1)
    return np.where(chosen.any(axis=1), last, -1)


def _box(problem: Problem, space: Dataspace, tile: Ints) -> list[Ints]:
    """Extent [B] along each rank of tiles [B, D]."""
    index = {dim: d for d, dim in enumerate(problem.dimensions)}
    one = np.ones(len(tile), np.int64)
    return [sum((c * (tile[:, index[dim]] - 1) for dim, c in rank), one) for rank in space.projection]


def _stay(loops: _Loops, space: Dataspace, moving: Bools, innermost: Ints, tile: Ints) -> Floats:
    """[B] longest time that a datum stays in a tile which the loops ``moving`` carry away."""
    problem = loops._problem
    rows = np.arange(len(tile))
    at = np.maximum(innermost, 0)
    moved = loops.dimension[rows, at]
    stay = np.ones(len(tile))
    index = np.arange(loops.node.shape[0])
    box = _box(problem, space, tile)
    for d in np.unique(moved[innermost >= 0]).tolist():
        ranks = [(r, dict(rank)) for r, rank in enumerate(space.projection) if problem.dimensions[d] in dict(rank)]
        beside = np.array([any(dim in rank for _, rank in ranks) for dim in problem.dimensions], np.bool_)
        mine = (moved == d) & (innermost >= 0)
        together = moving & beside[loops.dimension]
        own = loops.dimension == d
        stride = np.where(own & (index > at[:, None]), loops.factor, 1).prod(axis=1)
        steps = np.where(together, loops.factor, 1).prod(axis=1)
        for r, rank in ranks:
            steps = np.minimum(steps, -(-box[r] // (stride * rank[problem.dimensions[d]])))
        # Loops of several levels over the same dimension may go on in the same direction. Two dimensions that move the
        # tile along one rank may cancel (an output column forward, a kernel column back): the whole sweep of both.
        first = np.argmax(together, axis=1)
        swept = loops.time[rows, first] * loops.factor[rows, first]
        cancel = (together & ~own).any(axis=1)
        stay[mine] = np.where(cancel, swept, loops.time[rows, at] * steps)[mine]
    return stay


def _child(batch: MappingBatch, position: int, t: int) -> Ints:
    """[B] position of the next storage inside that keeps dataspace ``t``; one past the last node if none does."""
    nodes = batch.machine.loop_nodes
    storages = [place for place, node in enumerate(nodes) if isinstance(node, Storage)]
    child = np.full(len(batch), len(nodes))
    for s in range(len(storages) - 1, -1, -1):
        if storages[s] > position:
            child = np.where(batch.keep[:, s, t], storages[s], child)
    return child
