"""Grows partial mappings node by node, from the compute unit outwards, and scores them from below."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from camel_plugin.engine.native.bounds import Bounds, LevelCosts, Tables
from camel_plugin.engine.native.orders import LoopOrder, orders
from camel_plugin.engine.native.search_reuse import Reuse
from camel_plugin.engine.native.search_score import Scores, patterns
from camel_plugin.engine.native.search_state import States, Trail
from camel_plugin.mapspace.containers import Containers
from camel_plugin.mapspace.lattice import Bools, Floats, Ints, Lattice
from camel_plugin.mapspace.space import Keep, MapSpace
from camel_plugin.spec.machine import Storage
from camel_plugin.spec.objective import Objective

EXACT = 1e-9
"""Rounding of sums, in blocks."""

PAIRS = 1 << 18
"""Combinations of state and loop factors that are formed at a time."""


class Tree:
    """The partial mappings of one bypass pattern.

    Args:
        space: the map space.
        lattice: its tiles.
        containers: its containers.
        keep: the bypass pattern.
        objective: what is minimised.
        tables: bounds shared between bypass patterns.
    """

    def __init__(
        self,
        space: MapSpace,
        lattice: Lattice,
        containers: Containers,
        keep: Keep,
        objective: Objective,
        tables: Tables,
    ) -> None:
        self.space = space
        self.lattice = lattice
        self.containers = containers
        self.keep = keep
        self.costs = LevelCosts(space, keep)
        self.bounds = Bounds(space, lattice, self.costs, tables)
        self.scores = Scores(space, lattice, containers, self.costs, self.bounds, objective)
        self.reuse = Reuse(space, lattice, keep)
        self.levels = len(space.nodes)
        self._single = [containers.most[level] == 1 for level in self.bounds.storage_at]
        self.macs = space.problem.macs
        self.trail = Trail()
        self.order_classes: list[LoopOrder] = []
        self._numbers: dict[LoopOrder, int] = {}
        self.room = 0
        self.left = math.inf

    def root(self) -> States:
        """The compute unit alone."""
        resources, _, spaces = self.costs.asked.shape
        spent = np.zeros((1, resources))
        spent[0, :2] = self.macs * self.space.machine.compute.energy_J, self.macs
        root = States(
            tile=np.zeros(1, np.int64),
            spent=spent,
            pending=np.zeros((1, resources, spaces)),
            asked=np.full((1, spaces), float(self.macs)),
            live=np.zeros((1, spaces), np.bool_),
            idles=np.zeros((1, spaces), np.bool_),
            overlaps=np.zeros((1, spaces), np.bool_),
            moved=np.zeros((1, spaces), np.bool_),
            shift=np.ones((1, spaces)),
            along=np.zeros((1, spaces), np.int64),
            needs=np.zeros((1, spaces), np.int64),
            undo=np.ones((1, spaces)),
            spared=np.zeros((1, resources)),
            leakage_J=np.zeros(1),
            order=np.full(1, -1),
            trail=np.full(1, -1),
            score=np.zeros(1),
        )
        return root.but(score=self.scores.score(root, self.levels - 1))

    # -- spatial nodes -----------------------------------------------------------------------------------------

    def placed(self, states: States, level: int, limit: float) -> Iterator[States]:
        """``states`` with the loops of the container ``level``, those scored below ``limit``, in portions."""
        choices = self.containers.choices[level]
        picks = self.containers.picks[level]
        used = choices.factors.prod(axis=1)
        for row, pick in self._pairs(states, picks):
            tile = self.lattice.grown(states.tile[row], picks[pick])
            promising = self.scores.glance(states, row, tile, used[pick], level) < limit
            row, pick = row[promising], pick[promising]
            parent = states.take(row)
            child = self.reuse.multicast(parent, tile[promising], choices.factors[pick], level)
            yield self._marked(child, level, picks[pick], limit, along_x=choices.along_x[pick])

    # -- storages ----------------------------------------------------------------------------------------------

    def reused(self, states: States, level: int, limit: float) -> Iterator[tuple[States, States]]:
        """Loops of the storage ``level`` over which dataspaces are reused.

        Yields:
            states without further loops at the node, and states that still get their other loops; in portions.
        """
        for live, rows in patterns(states.live):
            group = states.take(rows)
            if not live:
                yield states.take(np.zeros(0, np.int64)), group
                continue
            for first, order in enumerate(orders(self.space.problem, live)):
                yield from self._ordered(group, level, order, limit, first == 0)

    def _ordered(
        self, states: States, level: int, order: LoopOrder, limit: float, first: bool
    ) -> Iterator[tuple[States, States]]:
        picks = self._combinations(level, order.loops)
        others_may_be_one = all(mask[0] for d, mask in enumerate(self.space.allowed[level]) if d not in order.loops)
        number = self._order_number(order)
        for row, pick in self._pairs(states, picks, order.loops if level == 0 else ()):
            pick = picks[pick]
            child = self.reuse.shared(states.take(row), pick, order).but(order=np.full(len(row), number))
            ended = child.but(live=np.zeros_like(child.live))
            score = self.scores.score(ended, level, outside=self.bounds.after_reuse(level))
            chosen = np.flatnonzero((score < limit) & (pick.any(axis=1) | first))
            ended = ended.but(score=score).take(chosen)
            ended = self._written(ended, level, pick[chosen], np.zeros((len(chosen), pick.shape[1]), np.bool_))
            where = np.full(len(row), others_may_be_one)
            yield self._marked(self._settled(child, level), level, pick, limit, where=where), ended

    def completed(self, states: States, level: int, limit: float) -> Iterator[States]:
        """``states`` with the loops of the storage ``level`` over which nothing inside is reused; in portions."""
        for number in np.unique(states.order).tolist():
            group = states.take(states.order == number)
            done = self.order_classes[number].loops if number >= 0 else ()
            free = tuple(d for d in range(len(self.lattice.shape)) if d not in done)
            picks = self._combinations(level, free)
            for row, pick in self._pairs(group, picks, range(len(self.lattice.shape)) if level == 0 else ()):
                parent, pick = group.take(row), picks[pick]
                tile = self.lattice.grown(parent.tile, pick)
                fits = self.bounds.fits[level][tile] == 0.0
                child = self._settled(self.reuse.cancelled(parent, pick).but(tile=tile).take(fits), level)
                yield self._marked(child, level, pick[fits], limit)

    def _settled(self, states: States, level: int) -> States:
        """The node's loops are complete: the storage holds its tile, answers what was asked and asks in turn."""
        s = self.bounds.storage_at[level]
        storage = self.space.nodes[level]
        assert isinstance(storage, Storage)
        pending, asked = states.pending.copy(), states.asked.copy()
        live, idles, overlaps, shift = (
            each.copy() for each in (states.live, states.idles, states.overlaps, states.shift)
        )
        if level == 0:
            live[:] = False
        undo = np.where(self.keep[s], 1.0, states.undo)
        spared = states.spared + self.lattice.boxes[:, -1] @ self.costs.spared[:, s].T
        spent = states.spent.copy()
        for t in np.flatnonzero(self.keep[s]).tolist():
            pending[:, :, t] += asked[:, t, None] * self.costs.asked[:, s, t]
            if self._single[s]:
                spent[:, 0] += np.where(live[:, t], 0.0, self._rounded_up(s, t, asked[:, t]))
        # What is no longer live is spent, apart from words asked of storages further out.
        spent += np.where(live[:, None, :], 0.0, pending).sum(axis=2)
        pending *= live[:, None, :]
        for t in np.flatnonzero(self.keep[s]).tolist():
            if self.costs.parent[s, t] >= 0:
                still = states.needs[:, t] & self.lattice.open[states.tile] > 0
                pending[:, :, t] *= np.where(still, shift[:, t], 1.0)[:, None]
                asked[:, t] = self.macs * self.lattice.density[t, states.tile]
                pending[:, :, t] += asked[:, t, None] * self.costs.filled[:, s, t]
                live[:, t] = idles[:, t] = overlaps[:, t] = True
                shift[:, t] = 1.0
            else:
                asked[:, t] = 0.0
        return states.but(
            spent=spent,
            pending=pending,
            asked=asked,
            live=live,
            idles=idles,
            overlaps=overlaps,
            shift=shift,
            undo=undo,
            spared=spared,
            leakage_J=states.leakage_J + storage.energy.leakage_J_per_cycle,
        )

    def _rounded_up(self, s: int, t: int, values: Floats) -> Floats:
        """[n] energy by which whole blocks exceed ``values`` sent by the one instance of storage ``s``.

        Its child counts too if that has one instance.
        """
        storage = self.space.machine.storages[s]
        filled = storage
        for child in np.flatnonzero(self.costs.parent[:, t] == s):
            if self._single[child]:
                filled = self.space.machine.storages[child]
        space = self.space.problem.dataspaces[t]
        if space.read_write:
            again = np.maximum(0.0, values - self.lattice.boxes[t, -1])
            updates = self._excess(values, storage, t) * storage.energy.update_J
            energy = updates + self._excess(again, storage, t) * storage.energy.read_J
        else:
            again = values
            energy = self._excess(values, storage, t) * storage.energy.read_J
        return energy if filled is storage else energy + self._excess(again, filled, t) * filled.energy.write_J

    def _excess(self, values: Floats, storage: Storage, t: int) -> Floats:
        """[n] blocks by which whole blocks exceed ``values``; clusters share theirs, so theirs do not count."""
        blocks = values * self.space.task.words_per_value(storage.name)[t] / storage.block_words
        return np.maximum(0.0, np.ceil(blocks - EXACT) - blocks) if storage.cluster_size == 1 else np.zeros_like(values)

    # -- details -----------------------------------------------------------------------------------------------

    def _order_number(self, order: LoopOrder) -> int:
        if order not in self._numbers:
            self._numbers[order] = len(self.order_classes)
            self.order_classes.append(order)
        return self._numbers[order]

    def _combinations(self, level: int, loops: Sequence[int]) -> Ints:
        """[K, D] divisor indices of all factors that the node allows for ``loops``; 1 elsewhere."""
        options = [
            np.flatnonzero(mask) if d in loops else np.zeros(1, np.int64)
            for d, mask in enumerate(self.space.allowed[level])
        ]
        picks = np.stack([axis.ravel() for axis in np.meshgrid(*options, indexing="ij")], axis=1)
        return np.compress(self.bounds.fits[level][self.lattice.numbers(picks)] == 0.0, picks, axis=0)

    def _pairs(self, states: States, picks: Ints, whole: Sequence[int] = ()) -> Iterator[tuple[Ints, Ints]]:
        """Rows of ``states`` and of ``picks`` whose factors divide what is left (use it up along ``whole``)."""
        if not len(states) or not len(picks):
            return
        index = self.lattice.index(states.tile)
        rows = max(1, PAIRS // len(picks))
        for first in range(0, len(states), rows):
            part = index[first : first + rows]
            fit = np.ones((len(part), len(picks)), np.bool_)
            for d, products in enumerate(self.lattice.products):
                legal = products == len(products) - 1 if d in whole else products >= 0
                if d in whole or picks[:, d].any():
                    fit &= legal[part[:, d]][:, picks[:, d]]
            row, pick = np.nonzero(fit)
            yield row + first, pick

    def _marked(
        self,
        states: States,
        level: int,
        picks: Ints,
        limit: float,
        along_x: Bools | None = None,
        where: Bools | None = None,
    ) -> States:
        """Those scored below ``limit`` and among the best, their loops written down; the node is complete."""
        if where is not None:
            states, picks = states.take(where), picks[where]
        fits = self.bounds.fits[level][states.tile] if level in self.bounds.fits else 0.0
        score = self.scores.score(states, level - 1, finely=False) + fits
        rows = np.flatnonzero(score < limit)
        if len(rows) > self.room:
            rank = np.argsort(score[rows], kind="stable")
            self.left = min(self.left, float(score[rows[rank[self.room]]]))
            rows = np.sort(rows[rank[: self.room]])
        states = states.take(rows)
        states = states.but(score=self.scores.score(states, level - 1))
        chosen = np.flatnonzero(states.score < limit)
        placed = np.zeros((len(chosen), picks.shape[1]), np.bool_) if along_x is None else along_x[rows[chosen]]
        states = self._written(states.take(chosen), level, picks[rows[chosen]], placed)
        return states.but(order=np.full(len(states), -1))

    def _written(self, states: States, level: int, picks: Ints, along_x: Bools) -> States:
        return states.but(trail=self.trail.add(states.trail, level, picks, states.order, along_x))
