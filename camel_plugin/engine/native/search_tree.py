"""Grows partial mappings node by node, from the compute unit outwards, and scores them from below."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from camel_plugin.arch.machine import Fanout, Storage
from camel_plugin.engine.base import Objective
from camel_plugin.engine.native.bounds import Bounds, LevelCosts, Tables
from camel_plugin.engine.native.containers import Containers
from camel_plugin.engine.native.lattice import Bools, Floats, Ints, Lattice
from camel_plugin.engine.native.mapspace import Keep, MapSpace
from camel_plugin.engine.native.orders import Order, orders
from camel_plugin.engine.native.search_state import States, Trail

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
        self.keep = keep
        self.objective = objective
        self.costs = LevelCosts(space, keep)
        self.bounds = Bounds(space, lattice, self.costs, tables)
        self.trail = Trail()
        self.order_classes: list[Order] = []
        self._numbers: dict[Order, int] = {}
        problem, nodes = space.problem, space.nodes
        self.levels = len(nodes)
        self.macs = problem.macs
        self.compute_J = self.macs * space.machine.compute.energy_J
        self.containers = containers
        self.spatial = containers.choices
        self.reach, self.parallel = containers.reach, containers.most
        self.read_write = [t for t, dataspace in enumerate(problem.dataspaces) if dataspace.read_write]
        self.room = 0
        self.left = math.inf
        self.sliding = [t for t, d in enumerate(problem.dataspaces) if any(len(rank) > 1 for rank in d.projection)]

    # -- states ------------------------------------------------------------------------------------------------

    def root(self) -> States:
        """The compute unit alone."""
        spaces = self.keep.shape[1]
        root = States(
            tile=np.zeros(1, np.int64),
            energy_J=np.array([self.compute_J]),
            pending_J=np.zeros((1, spaces)),
            asked=np.full((1, spaces), float(self.macs)),
            live=np.zeros((1, spaces), np.bool_),
            time=np.array([float(self.macs)]),
            leakage_J=np.zeros(1),
            spared_J=np.zeros(1),
            order=np.full(1, -1),
            trail=np.full(1, -1),
            score=np.zeros(1),
        )
        return self.scored(root, self.levels - 1)

    # -- spatial nodes -----------------------------------------------------------------------------------------

    def placed(self, states: States, level: int, limit: float) -> Iterator[States]:
        """``states`` with the loops of the container ``level``, those scored below ``limit``, in portions."""
        choices = self.spatial[level]
        picks = self.containers.picks[level]
        for row, pick in self._pairs(states, picks):
            parent = states.take(row)
            tile = self._grown(parent.tile, picks[pick])
            used = choices.factors[pick].prod(axis=1).astype(np.float64)
            sent, copies, live = self._multicast(parent, tile, level, choices.factors[pick])
            child = parent.but(
                tile=tile,
                asked=parent.asked * sent / used[:, None],
                live=live,
                time=parent.time / used,
                leakage_J=parent.leakage_J * used,
                spared_J=parent.spared_J * copies,
            )
            yield self._marked(child, level, picks[pick], limit, along_x=choices.along_x[pick])

    def _multicast(self, parent: States, tile: Ints, level: int, factors: Ints) -> tuple[Floats, Floats, Bools]:
        """Different tiles asked for [n, T], copies of a partial sum [n], and what may still be reused [n, T]."""
        dims = self.space.problem.dimensions
        index = self._index(parent.tile)
        sent = np.ones(parent.asked.shape)
        live = parent.live.copy()
        copies = np.ones(len(parent))
        used = factors.prod(axis=1)
        into_compute = level == self.levels - 1
        for t, dataspace in enumerate(self.space.problem.dataspaces):
            for rank in dataspace.projection:
                places = [dims.index(dim) for dim, _ in rank]
                steps = [
                    coef * self.lattice.divisors[d][index[:, d]] for d, (_, coef) in zip(places, rank, strict=True)
                ]
                sent[:, t] *= _distinct([factors[:, d] for d in places], steps)
            span = self.lattice.boxes[t, tile] / self.lattice.boxes[t, parent.tile]
            if into_compute or (t in self.sliding and self._direct_child_keeps(level, t)):
                span_ = self.lattice.touched[t, tile] * self.lattice.volume[tile] / self.lattice.boxes[t, parent.tile]
                sent[:, t] = np.minimum(sent[:, t], np.maximum(1.0, span_))
            if into_compute:
                live[:, t] = (sent[:, t] < used) | ((t in self.sliding) & (used > 1))
            if t in self.read_write:
                copies *= used / np.maximum(1.0, span)
        return sent, np.maximum(1.0, copies), live

    def _direct_child_keeps(self, level: int, t: int) -> bool:
        s = self.bounds.storage_at.get(level + 1)
        return s is not None and bool(self.keep[s, t])

    # -- storages ----------------------------------------------------------------------------------------------

    def reused(self, states: States, level: int, limit: float) -> Iterator[tuple[States, States]]:
        """Loops of the storage ``level`` over which dataspaces are reused.

        Yields:
            states without further loops at the node, and states that still get their other loops; in portions.
        """
        for live, rows in _patterns(states.live):
            group = states.take(rows)
            if not live:
                yield states.take(np.zeros(0, np.int64)), group
                continue
            for first, order in enumerate(orders(self.space.problem, live)):
                yield from self._ordered(group, level, order, limit, first == 0)

    def _ordered(
        self, states: States, level: int, order: Order, limit: float, first: bool
    ) -> Iterator[tuple[States, States]]:
        lattice = self.lattice
        picks = self._combinations(level, order.loops)
        others_may_be_one = all(mask[0] for d, mask in enumerate(self.space.allowed[level]) if d not in order.loops)
        number = self._order_number(order)
        for row, pick in self._pairs(states, picks, order.loops if level == 0 else ()):
            parent, pick = states.take(row), picks[pick]
            pending, asked, live = parent.pending_J.copy(), parent.asked.copy(), parent.live.copy()
            tile, stage_pick = parent.tile, np.zeros_like(pick)
            for k, (stage, reused) in enumerate(zip(order.stages, order.reused, strict=True)):
                stage_pick[:, stage] = pick[:, stage]
                tile = self._grown(parent.tile, stage_pick)
                closed = pick[:, [d for later in order.stages[k + 1 :] for d in later]].any(axis=1)
                for t in reused:
                    share = np.minimum(1.0, lattice.touched[t, tile] / lattice.density[t, parent.tile])
                    pending[:, t] *= share
                    asked[:, t] *= share
                    live[:, t] &= ~closed
            looped = pick.any(axis=1)
            live[:, list(order.none)] &= ~looped[:, None]
            child = parent.but(tile=tile, pending_J=pending, asked=asked, order=np.full(len(parent), number))
            ended = child.but(live=np.zeros_like(live))
            ended = ended.but(score=self._score(ended, self.bounds.after_reuse(level), level, finely=True))
            chosen = (ended.score < limit) & (looped | first)
            ended = self._written(
                ended.take(chosen), level, pick[chosen], np.zeros((chosen.sum(), pick.shape[1]), np.bool_)
            )
            where = np.full(len(row), others_may_be_one)
            only = self._marked(self._settled(child.but(live=live), level), level, pick, limit, where=where)
            yield only, ended

    def completed(self, states: States, level: int, limit: float) -> Iterator[States]:
        """``states`` with the loops of the storage ``level`` over which nothing inside is reused; in portions."""
        for number in np.unique(states.order):
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
        energy, spared = states.energy_J.copy(), states.spared_J.copy()
        pending, asked, live = states.pending_J.copy(), states.asked.copy(), states.live.copy()
        reads, updates = np.zeros(len(states)), np.zeros(len(states))
        copied_outside = self.parallel[level] > 1
        for t, dataspace in enumerate(self.space.problem.dataspaces):
            if not self.keep[s, t]:
                continue
            still = live[:, t].copy()
            cost = pending[:, t] + asked[:, t] * self.costs.asked_J[s, t]
            words = np.where(still, 0.0, asked[:, t])
            volume = self.lattice.boxes[t, -1]
            if dataspace.read_write:
                updates += words
                reads += 0.0 if copied_outside else np.maximum(0.0, words - volume)
                spared += volume * self.costs.spared_J[s, t]
            else:
                reads += words
            energy += np.where(still, 0.0, cost)
            pending[:, t] = np.where(still, cost, 0.0)
            if self.costs.parent[s, t] >= 0:
                asked[:, t] = self.macs * self.lattice.density[t, states.tile]
                pending[:, t] += asked[:, t] * self.costs.filled_J[s, t]
                live[:, t] = True
            else:
                energy += pending[:, t]
                asked[:, t], pending[:, t], live[:, t] = 0.0, 0.0, False
        time = states.time
        for bandwidth, words in ((storage.read_bandwidth, reads), (storage.write_bandwidth, updates)):
            if bandwidth is not None:
                time = np.maximum(time, words / bandwidth)
        return states.but(
            energy_J=energy,
            pending_J=pending,
            asked=asked,
            live=live,
            time=time,
            leakage_J=states.leakage_J + storage.energy.leakage_J_per_cycle,
            spared_J=spared,
        )

    # -- scores ------------------------------------------------------------------------------------------------

    def scored(self, states: States, level: int, finely: bool = True) -> States:
        """The states with their scores, ``level`` being the next node to decide."""
        return states.but(score=self._score(states, self.bounds.inside(level), level, finely))

    def _score(self, states: States, outside: Floats, level: int, finely: bool) -> Floats:
        """Least objective of any completion; ``finely`` takes into account that loop orders favour few dataspaces."""
        lattice, tile = self.lattice, states.tile
        containers = self.parallel[level + 1] > 1
        cost = states.pending_J.copy()
        for t in range(cost.shape[1]):
            compulsory = np.minimum(1.0, lattice.touched[t, -1] / lattice.density[t, tile])
            s, between = self._next_keeper(level, t)
            if s >= 0:
                asked = states.asked[:, t] * self.costs.asked_J[s, t]
                cost[:, t] += asked * compulsory if between else asked
            if containers or not finely:
                cost[:, t] *= np.where(states.live[:, t], compulsory, 1.0)
        least = self._least_pending(states, cost) if finely and not containers else cost.sum(axis=1)
        energy = states.energy_J + least + outside[tile]
        energy -= states.spared_J * self._copies(tile, level) + self._spared_outside(level)
        cycles = np.maximum(states.time / self.reach[level + 1][tile], 1.0)
        energy += states.leakage_J * states.time + cycles * self._leakage_outside(level)
        if self.objective is Objective.ENERGY:
            return energy
        seconds = cycles * self.space.machine.cycle_s
        return energy * seconds if self.objective is Objective.EDP else np.where(np.isfinite(energy), seconds, np.inf)

    def _least_pending(self, states: States, cost: Floats) -> Floats:
        """Least of the pending costs [n] over the loop orders of the next storage."""
        least = cost.sum(axis=1)
        for live, rows in _patterns(states.live):
            if not live or not rows.size:
                continue
            tile, dear = states.tile[rows], cost[rows]
            room = [
                (self.lattice.shape[d] - 1 - i) * self.lattice.strides[d] for d, i in enumerate(self._index(tile).T)
            ]
            best = np.full(len(rows), -np.inf)
            for order in orders(self.space.problem, live):
                saved, full = np.zeros(len(rows)), tile
                for stage, reused in zip(order.stages, order.reused, strict=True):
                    full = full + sum(room[d] for d in stage)
                    for t in reused:
                        share = self.lattice.touched[t, full] / self.lattice.density[t, tile]
                        saved += dear[:, t] * np.maximum(0.0, 1 - share)
                np.maximum(best, saved, out=best)
            least[rows] -= best
        return least

    def _copies(self, number: Ints, level: int) -> Floats:
        """Most copies of a partial sum that the containers still open can make."""
        if self.parallel[level + 1] == 1:
            return np.ones(len(number))
        most = self.lattice.volume[-1] / self.lattice.volume[number]
        return np.minimum(most, self.parallel[level + 1])

    def _spared_outside(self, level: int) -> float:
        """Most that storages at ``level`` and further out can be spared of first reads and fills."""
        volumes = self.lattice.boxes[:, -1]
        return sum(
            self.parallel[place] * float(self.costs.spared_J[s] @ volumes)
            for place, s in self.bounds.storage_at.items()
            if place <= level
        )

    def _leakage_outside(self, level: int) -> float:
        return sum(
            node.energy.leakage_J_per_cycle for node in self.space.nodes[: level + 1] if isinstance(node, Storage)
        )

    def _next_keeper(self, level: int, t: int) -> tuple[int, bool]:
        """The next storage outside that keeps dataspace ``t`` (-1 if none), and whether a container stands between."""
        between = False
        for l in range(level, -1, -1):
            if l in self.spatial:
                between = True
            elif self.keep[self.bounds.storage_at[l], t]:
                return self.bounds.storage_at[l], between
        return -1, between

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
        return picks[self.bounds.fits[level][self.lattice.numbers(picks)] == 0.0]

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
        score = self.scored(states, level - 1, finely=False).score + fits
        rows = np.flatnonzero(score < limit)
        if len(rows) > self.room:
            rank = np.argsort(score[rows], kind="stable")
            self.left = min(self.left, float(score[rows[rank[self.room]]]))
            rows = np.sort(rows[rank[: self.room]])
        states = self.scored(states.take(rows), level - 1)
        chosen = np.flatnonzero(states.score < limit)
        placed = np.zeros((len(chosen), picks.shape[1]), np.bool_) if along_x is None else along_x[rows[chosen]]
        states = self._written(states.take(chosen), level, picks[rows[chosen]], placed)
        return states.but(order=np.full(len(states), -1))

    def _written(self, states: States, level: int, picks: Ints, along_x: Bools) -> States:
        return states.but(trail=self.trail.add(states.trail, level, picks, states.order, along_x))


def _patterns(live: Bools) -> Iterator[tuple[frozenset[int], Ints]]:
    """The different rows of [n, T] as sets, and the numbers of the rows that equal each."""
    bits = live @ (1 << np.arange(live.shape[1]))
    for code in np.flatnonzero(np.bincount(bits)):
        yield frozenset(t for t in range(live.shape[1]) if code >> t & 1), np.flatnonzero(bits == code)


def _distinct(factors: list[Ints], steps: list[Ints]) -> Floats:
    """Different sums of multiples of two steps: all pairs less those reached again; a bound for more loops."""
    if len(factors) == 1:
        return factors[0].astype(np.float64)
    if len(factors) == 2:
        common = np.gcd(steps[0], steps[1])
        again = np.maximum(0, factors[0] - steps[1] // common) * np.maximum(0, factors[1] - steps[0] // common)
        return (factors[0] * factors[1] - again).astype(np.float64)
    return 1.0 + sum(factor - 1.0 for factor in factors)
