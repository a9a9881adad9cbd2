"""Grows partial mappings node by node, from the compute unit outwards, and scores them from below."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from camel_plugin.arch.machine import Storage
from camel_plugin.engine.base import Objective
from camel_plugin.engine.native.bounds import Bounds, LevelCosts, Tables
from camel_plugin.engine.native.containers import Containers
from camel_plugin.engine.native.lattice import Bools, Floats, Ints, Lattice, ranks_are_separate
from camel_plugin.engine.native.mapspace import Keep, MapSpace
from camel_plugin.engine.native.orders import Order, orders
from camel_plugin.engine.native.search_score import Scores, patterns
from camel_plugin.engine.native.search_state import States, Trail

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
        self.levels = len(space.nodes)
        self._single = [containers.most[level] == 1 for level in self.bounds.storage_at]
        self.macs = space.problem.macs
        self.trail = Trail()
        self.order_classes: list[Order] = []
        self._numbers: dict[Order, int] = {}
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
            tile = self._grown(states.tile[row], picks[pick])
            promising = self.scores.glance(states, row, tile, used[pick], level) < limit
            row, pick = row[promising], pick[promising]
            parent = states.take(row)
            child = self._multicast(parent, tile[promising], choices.factors[pick], level)
            yield self._marked(child, level, picks[pick], limit, along_x=choices.along_x[pick])

    def _multicast(self, parent: States, tile: Ints, factors: Ints, level: int) -> States:
        """The states inside a container whose loops ``factors`` [n, D] make their tiles ``tile``."""
        lattice = self.lattice
        dims = self.space.problem.dimensions
        index, index_after = self._index(parent.tile), self._index(tile)
        used = factors.prod(axis=1).astype(np.float64)
        sent, live, idles = np.ones(parent.asked.shape), parent.live.copy(), parent.idles.copy()
        shift, along, needs = parent.shift.copy(), parent.along.copy(), parent.needs.copy()
        copies = np.ones(len(parent))
        into_compute = level == self.levels - 1
        for t, dataspace in enumerate(self.space.problem.dataspaces):
            shifted, longest = np.zeros(len(parent), np.bool_), np.ones(len(parent))
            separable = ranks_are_separate(dataspace)
            for rank in dataspace.projection:
                places = [dims.index(dim) for dim, _ in rank]
                steps = [coef * lattice.divisors[d][index[:, d]] for d, (_, coef) in zip(places, rank, strict=True)]
                different = _distinct([factors[:, d] for d in places], steps)
                sent[:, t] = sent[:, t] * different if separable else np.maximum(sent[:, t], different)
                for a, b in itertools.permutations(places, 2):
                    shifts = (factors[:, a] > 1) & (index_after[:, b] < lattice.shape[b] - 1)
                    longest = np.where(shifts, np.maximum(longest, different), longest)
                    shifted |= shifts
                    if into_compute:
                        along[:, t] |= np.where(shifts, 1 << a | 1 << b, 0)
                        needs[:, t] |= np.where(shifts, 1 << b, 0)
            inside, outside = lattice.boxes[t, parent.tile], lattice.density[t, tile] * lattice.volume[tile]
            if into_compute:
                # A neighbour hands on what it held a step before, to all but those at the edge.
                idles[:, t] = sent[:, t] < used
                shift[:, t] = 1 / longest
                live[:, t] = idles[:, t] | shifted
            elif self._kept_by(level + 1, t):
                least = np.maximum(1.0, lattice.touched[t, tile] * lattice.volume[tile] / inside)
                sent[:, t] = np.where(shifted, np.minimum(sent[:, t], least), sent[:, t])
            if dataspace.read_write:
                copies *= np.maximum(1.0, used / np.maximum(1.0, outside / inside))
        shrunk = np.where(np.arange(parent.spent.shape[1]) > 0, 1 / used[:, None], 1.0)
        missing = parent.needs & lattice.open[tile][:, None] == 0
        return parent.but(
            tile=tile,
            spent=parent.spent * shrunk,
            pending=parent.pending * shrunk[:, :, None],
            asked=parent.asked * np.where(missing, parent.undo, 1.0) * sent / used[:, None],
            undo=np.where(missing, 1.0, parent.undo),
            live=live,
            idles=idles,
            shift=shift,
            along=along,
            needs=needs,
            spared=parent.spared * shrunk * copies[:, None],
            leakage_J=parent.leakage_J * used,
        )

    def _kept_by(self, level: int, t: int) -> bool:
        s = self.bounds.storage_at.get(level)
        return s is not None and bool(self.keep[s, t])

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
        self, states: States, level: int, order: Order, limit: float, first: bool
    ) -> Iterator[tuple[States, States]]:
        picks = self._combinations(level, order.loops)
        others_may_be_one = all(mask[0] for d, mask in enumerate(self.space.allowed[level]) if d not in order.loops)
        number = self._order_number(order)
        for row, pick in self._pairs(states, picks, order.loops if level == 0 else ()):
            pick = picks[pick]
            child = self._shared(states.take(row), pick, order).but(order=np.full(len(row), number))
            ended = child.but(live=np.zeros_like(child.live))
            score = self.scores.score(ended, level, outside=self.bounds.after_reuse(level))
            chosen = np.flatnonzero((score < limit) & (pick.any(axis=1) | first))
            ended = ended.but(score=score).take(chosen)
            ended = self._written(ended, level, pick[chosen], np.zeros((len(chosen), pick.shape[1]), np.bool_))
            where = np.full(len(row), others_may_be_one)
            yield self._marked(self._settled(child, level), level, pick, limit, where=where), ended

    def _shared(self, parent: States, picks: Ints, order: Order) -> States:
        """The states once the loops ``picks`` [n, D] stand around them in the given order."""
        lattice = self.lattice
        pending, asked, live = parent.pending.copy(), parent.asked.copy(), parent.live.copy()
        undo = parent.undo.copy()
        so_far, tile = np.zeros_like(picks), parent.tile
        moved = np.zeros(live.shape, np.bool_)
        idle_picks = [np.zeros_like(picks) for _ in self.scores.idle]
        for k, (stage, reused) in enumerate(zip(order.stages, order.reused, strict=True)):
            so_far[:, stage] = picks[:, stage]
            tile = self._grown(parent.tile, so_far)
            closed = picks[:, [d for later in order.stages[k + 1 :] for d in later]].any(axis=1)
            for t, idle in enumerate(self.scores.idle):
                quiet = [d for d in stage if d in idle]
                idle_picks[t][:, quiet] = picks[:, quiet] * ~moved[:, t, None]
                moved[:, t] |= picks[:, [d for d in stage if d not in idle]].any(axis=1)
            for t in reused:
                words = lattice.density[t, self._grown(parent.tile, idle_picks[t])]
                words = np.where(parent.idles[:, t], words, lattice.density[t, parent.tile])
                words = np.where(parent.overlaps[:, t], lattice.touched[t, tile], words)
                share = np.minimum(1.0, words / lattice.density[t, parent.tile])
                handed_on = self._handed_on(parent, t, so_far)
                undo[:, t] = np.where(self._any(so_far, parent.needs[:, t]), 1.0, 1 / handed_on)
                share *= handed_on
                pending[:, :, t] *= share[:, None]
                asked[:, t] *= share
                live[:, t] &= ~closed & (parent.overlaps[:, t] | ~moved[:, t])
        live[:, list(order.none)] &= np.logical_not(picks.any(axis=1))[:, None]
        return parent.but(tile=tile, pending=pending, asked=asked, live=live, undo=undo)

    def _handed_on(self, parent: States, t: int, picks: Ints) -> Floats:
        """[n] share of the words still asked for when the loops ``picks`` shift the tile along its neighbours.

        Only steps of the loops in ``needs`` shift it by the distance of neighbours. Other loops along the same rank that
        stand inside leave such steps a fraction of all.
        """
        shifted = self._any(picks, parent.along[:, t]) & (parent.needs[:, t] & self.lattice.open[parent.tile] > 0)
        others = np.ones(len(parent))
        for d, divisors in enumerate(self.lattice.divisors):
            other = (parent.along[:, t] & ~parent.needs[:, t]) >> d & 1
            others *= np.where(other, divisors[picks[:, d]], 1)
        others = np.where(self._any(picks, parent.needs[:, t]), 1.0, others)
        return np.where(shifted, 1 - (1 - parent.shift[:, t]) / others, 1.0)

    @staticmethod
    def _any(picks: Ints, dims: Ints) -> Bools:
        """[n] one of the dimensions with bits ``dims`` [n] has a loop in ``picks`` [n, D]."""
        return ((picks > 0) @ (1 << np.arange(picks.shape[1])) & dims) > 0

    def completed(self, states: States, level: int, limit: float) -> Iterator[States]:
        """``states`` with the loops of the storage ``level`` over which nothing inside is reused; in portions."""
        for number in np.unique(states.order).tolist():
            group = states.take(states.order == number)
            done = self.order_classes[number].loops if number >= 0 else ()
            free = tuple(d for d in range(len(self.lattice.shape)) if d not in done)
            picks = self._combinations(level, free)
            for row, pick in self._pairs(group, picks, range(len(self.lattice.shape)) if level == 0 else ()):
                parent, pick = group.take(row), picks[pick]
                tile = self._grown(parent.tile, pick)
                fits = self.bounds.fits[level][tile] == 0.0
                child = self._settled(parent.but(tile=tile).take(fits), level)
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

    def _rounded_up(self, s: int, t: int, words: Floats) -> Floats:
        """[n] energy by which whole blocks exceed ``words`` sent by the one instance of storage ``s``.

        Its child counts too if that has one instance.
        """
        storage = self.space.machine.storages[s]
        filled = storage
        for child in np.flatnonzero(self.costs.parent[:, t] == s):
            if self._single[child]:
                filled = self.space.machine.storages[child]
        if self.space.problem.dataspaces[t].read_write:
            again = np.maximum(0.0, words - self.lattice.boxes[t, -1])
            energy = _excess(words, storage) * storage.energy.update_J + _excess(again, storage) * storage.energy.read_J
        else:
            again = words
            energy = _excess(words, storage) * storage.energy.read_J
        return energy if filled is storage else energy + _excess(again, filled) * filled.energy.write_J

    # -- helpers -----------------------------------------------------------------------------------------------

    def _order_number(self, order: Order) -> int:
        if order not in self._numbers:
            self._numbers[order] = len(self.order_classes)
            self.order_classes.append(order)
        return self._numbers[order]

    def _index(self, tile: Ints) -> Ints:
        return np.stack(np.unravel_index(tile, self.lattice.shape), axis=1)

    def _grown(self, tile: Ints, picks: Ints) -> Ints:
        """Numbers of the tiles once the loops ``picks`` [n, D] stand around them."""
        index = self._index(tile)
        number = tile.copy()
        for d, products in enumerate(self.lattice.products):
            number += (products[index[:, d], picks[:, d]] - index[:, d]) * self.lattice.strides[d]
        return number

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
        index = self._index(states.tile)
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


def _excess(words: Floats, storage: Storage) -> Floats:
    """[n] blocks by which whole blocks exceed ``words``; clusters share theirs, so theirs do not count."""
    blocks = words / storage.block_words
    return np.maximum(0.0, np.ceil(blocks - EXACT) - blocks) if storage.cluster_size == 1 else np.zeros_like(words)


def _distinct(factors: list[Ints], steps: list[Ints]) -> Floats:
    """Different sums of multiples of two steps: all pairs less those reached again; a bound for more loops."""
    if len(factors) == 1:
        return np.asarray(factors[0], np.float64)
    if len(factors) == 2:
        common = np.gcd(steps[0], steps[1])
        again = np.maximum(0, factors[0] - steps[1] // common) * np.maximum(0, factors[1] - steps[0] // common)
        return np.asarray(factors[0] * factors[1] - again, np.float64)
    return np.asarray(np.sum([factor - 1.0 for factor in factors], axis=0) + 1.0, np.float64)
