"""Partial mappings: everything inside one node decided, the rest open."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from camel_plugin.mapspace.lattice import Bools, Floats, Ints


@dataclass(frozen=True)
class States:
    """n partial mappings, filled from the compute unit outwards; T dataspaces, Q resources.

    Resource 0 is the energy of the whole problem in J. The others are times in cycles, of the compute units and of
    every port with a bandwidth, as if nothing further out ran in parallel.

    Attributes:
        tile: [n] number of the tile in the lattice.
        spent: [n, Q] decided for good.
        pending: [n, Q, T] decided but for the reuse that loops further out may still bring.
        asked: [n, T] words that the next storage outside is asked for, over all instances.
        live: [n, T] no loop that changes the dataspace's tile stands outside it so far.
        idles: [n, T] loops that do not change the tile bring reuse.
        overlaps: [n, T] loops that shift the tile bring reuse of its overlap with the last one.
        moved: [n, T] some loop outside it has moved the tile.
        shift: [n, T] share of the words still asked for once neighbours hand on theirs when the tile shifts.
        along: [n, T] bits of the loops that shift it along the ranks where there are neighbours.
        needs: [n, T] bits of those of them of which one at least must be a temporal loop.
        undo: [n, T] factor by which the words asked for rise again if none is.
        spared: [n, Q] first reads and fills of partial sums that Timeloop does not count.
        leakage_J: [n] per cycle, of all levels inside.
        order: [n] number of the order class of a node that still gets loops, -1 for none.
        trail: [n] entry of the trail that tells the loops chosen.
        score: [n] least objective of any completion.
    """

    tile: Ints
    spent: Floats
    pending: Floats
    asked: Floats
    live: Bools
    idles: Bools
    overlaps: Bools
    moved: Bools
    shift: Floats
    along: Ints
    needs: Ints
    undo: Floats
    spared: Floats
    leakage_J: Floats
    order: Ints
    trail: Ints
    score: Floats

    def __len__(self) -> int:
        return len(self.tile)

    def take(self, rows: Ints | Bools) -> States:
        """Some of the states."""
        return States(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def but(self, **columns: Any) -> States:
        """The same states with other columns."""
        return replace(self, **columns)

    def _reuse(self) -> Floats:
        """[n, 9 T] less is better: no reuse over idle loops, none over shifts, share left by neighbours ...

        Different sets of loops cannot be compared, so each stands with both signs.
        """
        loops = (self.along, -self.along, self.needs, -self.needs)
        return np.concatenate([~self.idles, ~self.overlaps, self.moved, self.shift, self.undo, *loops], axis=1)

    @staticmethod
    def join(parts: list[States]) -> States:
        """All states of ``parts``, of which there is at least one."""
        return States(
            **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(States)}
        )

    def best(self, count: int) -> tuple[States, float]:
        """The ``count`` of least score, in its order, and the least score left out."""
        rank = np.argsort(self.score, kind="stable")
        left = float(self.score[rank[count]]) if len(self) > count else np.inf
        return self.take(rank[:count]), left

    def undominated(self) -> States:
        """Without states that another one of the same tile, dataspaces and order beats in every respect."""
        pending = self.pending.reshape(len(self), -1)
        costs = np.column_stack([self.spent, pending, self.asked, self._reuse(), self.leakage_J, -self.spared])
        costs = costs[:, (costs != costs[:1]).any(axis=0)]
        bits = self.live @ (1 << np.arange(self.live.shape[1]))
        group = (self.tile * (1 << self.live.shape[1]) + bits) * (int(self.order.max(initial=0)) + 2) + self.order + 1
        kept = np.arange(len(self))
        for key in (self.score, self.spent[:, 0], self.spent[:, 1:].max(axis=1), pending.sum(axis=1)):
            ranked = kept[np.lexsort((kept, self.score[kept], key[kept], group[kept]))]
            champion = ranked[np.searchsorted(group[ranked], group[kept])]
            beaten = (costs[champion] <= costs[kept]).all(axis=1) & (champion != kept)
            kept = kept[~beaten]
        return self.take(kept)


class Trail:
    """The loops behind every state, as a tree of choices."""

    def __init__(self) -> None:
        self._size = 0
        self._parts: list[tuple[Ints, Ints, Ints, Ints, Bools]] = []

    def add(self, parent: Ints, level: int, picks: Ints, order: Ints, along_x: Bools) -> Ints:
        """Entries for new choices: divisor indices ``picks`` [n, D], loop order and placement at the node ``level``."""
        entries = np.arange(self._size, self._size + len(parent))
        self._size += len(parent)
        self._parts.append((parent, np.full(len(parent), level), picks, order, along_x))
        return entries

    def loops(self, entries: Ints, levels: int) -> tuple[Ints, Ints, Bools]:
        """Divisor indices [n, L, D], order classes [n, L] and placements [n, L, D] behind ``entries``."""
        parent, level, picks, order, along_x = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        dims = picks.shape[1]
        all_picks = np.zeros((len(entries), levels, dims), np.int64)
        orders = np.full((len(entries), levels), -1)
        placed = np.zeros((len(entries), levels, dims), np.bool_)
        rows = np.arange(len(entries))
        while (rows := rows[entries[rows] >= 0]).size:
            here = entries[rows]
            all_picks[rows, level[here]] += picks[here]
            placed[rows, level[here]] |= along_x[here]
            orders[rows, level[here]] = np.maximum(orders[rows, level[here]], order[here])
            entries = entries.copy()
            entries[rows] = parent[here]
        return all_picks, orders, placed
