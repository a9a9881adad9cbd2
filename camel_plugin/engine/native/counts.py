"""Access counts of one dataspace at every storage."""

from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.native.batch_result import Bools, Floats, Ints
from camel_plugin.engine.native.children import child_share, children
from camel_plugin.engine.native.links import linkable, links
from camel_plugin.engine.native.nest import Nest
from camel_plugin.engine.native.tiles import volume
from camel_plugin.engine.native.walk import Demand, demand
from camel_plugin.spec.machine import Fanout


@dataclass(frozen=True)
class Counts:
    """Words per instance, [S, B] each; 0 where the dataspace is bypassed."""

    capacity: Ints
    reads: Ints
    fills: Ints
    updates: Ints
    temporal_reductions: Ints


class _Traffic:
    """What moves between the levels, gathered from the compute units outwards.

    Attributes:
        content: [B] words that one instance of the level looked at is asked for.
        words: [S, B] tile of each storage.
        accesses: [S, B] words that its children ask of each storage.
        share: [S, B] words that one instance asks of its parent.
        peers: [S, B] words that it exchanges with neighbours.
    """

    def __init__(self, nest: Nest, dataspace: int) -> None:
        shape = (len(nest.layout.storages), nest.rows)
        self.nest = nest
        self.dataspace = dataspace
        self.keep = nest.keep[:, dataspace]
        self.content: Floats = nest.steps.astype(np.float64)
        self.words: Ints = np.zeros(shape, np.int64)
        self.accesses, self.share, self.peers = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._child: Demand | None = Demand.of_compute(nest)
        for level in range(len(nest.layout.nodes) - 1, -1, -1):
            if isinstance(nest.layout.nodes[level], Fanout):
                self._container(level)
            else:
                self._storage(level, nest.layout.storages.index(level))

    def _storage(self, level: int, place: int) -> None:
        asks = demand(self.nest, self.dataspace, level)
        self.words[place] = asks.words
        self.accesses[place] = self.content
        self.share[place] = asks.asked
        self.content = np.where(self.keep[place], asks.asked, self.content)
        self._child = asks

    def _container(self, level: int) -> None:
        nest = self.nest
        kids = children(nest, self.dataspace, level)
        place = nest.layout.storages.index(level + 1) if level + 1 in nest.layout.storages else None
        if kids.irregular.size and place is not None:
            rows = kids.irregular
            fanout = nest.fanouts[level, rows]
            self.share[place, rows] = child_share(self.share[place, rows], kids.multicasts, fanout)
        before = self.content
        self.content = before * kids.tiles
        if linkable(nest, self.dataspace, level):
            child = self._child or demand(nest, self.dataspace, level + 1)
            linked = links(nest, self.dataspace, level, kids.tiles, child)
            if linked is not None:
                rows = linked.rows
                direct = level + 1 == len(nest.layout.nodes)
                kept = np.full(len(rows), direct) if place is None else self.keep[place, rows]
                fanout = nest.fanouts[level, rows]
                # A child that bypasses the dataspace asks for its own children, who find no links.
                bypassed = linked.accesses * (before[rows] * fanout / linked.delivered)
                self.content[rows] = np.where(kept, linked.accesses, bypassed)
                if place is not None:
                    self.share[place, rows] = np.where(kept, linked.share, self.share[place, rows])
                    self.peers[place, rows] = np.where(kept, linked.transferred / nest.used[level + 1, rows], 0.0)
        self._child = None


def count(nest: Nest, dataspace: int) -> Counts:
    """Accesses of one dataspace at every storage."""
    traffic = _Traffic(nest, dataspace)
    keep = traffic.keep
    outermost = keep & (np.cumsum(keep, axis=0) == 1)
    accesses = traffic.accesses + traffic.peers
    asked = np.where(outermost, 0.0, traffic.share + traffic.peers)
    none = np.zeros(keep.shape, np.int64)
    capacity = np.where(keep, traffic.words, 0)
    if nest.layout.problem.dataspaces[dataspace].read_write:
        # The first partial sum of every word is written, not added to: its read, and its fill, never happen.
        first = _partitions(nest, dataspace)
        reads = _nearest(keep, accesses - first)
        fills = _nearest(keep & ~outermost, asked - first)
        updates = _nearest(keep, traffic.accesses)
        return Counts(capacity, reads, fills, updates, reads)
    reads = _nearest(keep, accesses)
    fills = np.where(keep, asked, 0.0).astype(np.int64)
    return Counts(capacity, reads, fills, none, none)


def _nearest(where: Bools, words: Floats) -> Ints:
    """Whole words, rounded half up; never negative."""
    return np.where(where, np.maximum(np.floor(words + 0.5), 0.0), 0.0).astype(np.int64)


def _partitions(nest: Nest, dataspace: int) -> Ints:
    """Words [S, B] of the tensor that one instance of each storage is in charge of.

    A container divides its share in proportion of its child's box to its own, rounded down.
    """
    shape = nest.layout.shapes[dataspace]
    share = volume(shape.extents(nest.tiles[0]), nest.rows)
    result = np.zeros((len(nest.layout.storages), nest.rows), np.int64)
    for level, node in enumerate(nest.layout.nodes):
        if isinstance(node, Fanout):
            whole = volume(shape.extents(nest.tiles[level]), nest.rows)
            part = volume(shape.extents(nest.tiles[level + 1]), nest.rows)
            used = nest.fanouts[level] > 1
            share = np.where(used, share * part // whole, share)
        else:
            result[nest.layout.storages.index(level)] = share
    return result
