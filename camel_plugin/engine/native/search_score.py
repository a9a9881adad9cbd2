"""Scores: the least objective that any completion of a partial mapping can have."""

from collections.abc import Iterator

import numpy as np

from camel_plugin.engine.native.bounds import Bounds, LevelCosts
from camel_plugin.engine.native.orders import idle_loops, orders
from camel_plugin.engine.native.search_state import States
from camel_plugin.engine.native.task_refresh import standing_J_per_cycle
from camel_plugin.mapspace.containers import Containers
from camel_plugin.mapspace.lattice import Bools, Floats, Ints, Lattice
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Storage
from camel_plugin.spec.objective import Objective


class Scores:
    """Scores partial mappings of one bypass pattern.

    Args:
        space: the map space.
        lattice: its tiles.
        containers: its containers.
        costs: of the bypass pattern.
        bounds: least energy outside a tile.
        objective: what is minimised.
    """

    def __init__(
        self,
        space: MapSpace,
        lattice: Lattice,
        containers: Containers,
        costs: LevelCosts,
        bounds: Bounds,
        objective: Objective,
    ) -> None:
        self._problem = space.problem
        self._cycle_s = space.machine.cycle_s
        self._lattice = lattice
        self._containers = containers
        self._costs = costs
        self._bounds = bounds
        self._objective = objective
        self._idle = idle_loops(space.problem)
        levels = range(-1, len(space.nodes))
        self._keepers = {level: [self._next_keeper(level, t) for t in range(len(self._idle))] for level in levels}
        self._spared = {level: self._most_spared(level) for level in levels}
        self._ports = {level: self._compulsory(level) for level in levels}
        self._leakage_J = {
            level: standing_J_per_cycle(space.task)
            + sum(n.energy.leakage_J_per_cycle for n in space.nodes[: level + 1] if isinstance(n, Storage))
            for level in levels
        }

    def _next_keeper(self, level: int, t: int) -> tuple[int, bool]:
        """The next storage outside that keeps dataspace ``t`` (-1 if none), and whether a container stands between."""
        between = False
        for place in range(level, -1, -1):
            s = self._bounds.storage_at.get(place)
            if s is None:
                between = True
            elif self._costs.keep[s, t]:
                return s, between
        return -1, between

    def _most_spared(self, level: int) -> Floats:
        """[Q] the most that storages at ``level`` and further out can be spared of first reads and fills."""
        volumes = self._lattice.boxes[:, -1]
        spared = np.zeros(len(self._costs.spared))
        for place, s in self._bounds.storage_at.items():
            if place <= level:
                spared += self._containers.most[place] * (self._costs.spared[:, s] @ volumes)
        return spared

    def _compulsory(self, level: int) -> Floats:
        """[Q] the least time on the ports of storages at ``level`` and further out: every word once, in parallel."""
        words = self._lattice.touched[:, -1] * self._lattice.volume[-1]
        time = np.zeros(len(self._costs.asked))
        for place, s in self._bounds.storage_at.items():
            if place <= level:
                cost = self._costs.asked[:, s] + self._costs.filled[:, s] - self._costs.spared[:, s]
                time += np.maximum(0.0, cost) @ words / self._containers.most[place]
        time[0] = 0.0
        return time

    def score(self, states: States, level: int, finely: bool = True, outside: Floats | None = None) -> Floats:
        """[n] scores, ``level`` being the next node to decide.

        Args:
            states: the partial mappings.
            level: next node.
            finely: take into account that a loop order favours few dataspaces.
            outside: [N] least energy outside each tile, if not that of any loops at ``level`` and further out.
        """
        lattice, tile = self._lattice, states.tile
        outside = self._bounds.inside(level) if outside is None else outside
        open_containers = self._containers.most[level + 1] > 1
        coarse = open_containers or not finely
        cost, times = states.pending[:, 0].copy(), states.spent[:, 1:].copy()
        for t in range(cost.shape[1]):
            compulsory = np.minimum(1.0, lattice.touched[t, -1] / lattice.density[t, tile])
            reuse = np.where(states.live[:, t], compulsory, 1.0)
            s, between = self._keepers[level][t]
            if s >= 0:
                asked = states.asked[:, t] * compulsory if between else states.asked[:, t]
                cost[:, t] += asked * self._costs.asked[0, s, t]
                for q in np.flatnonzero(self._costs.asked[1:, s, t]):
                    times[:, q] += asked * reuse * self._costs.asked[1 + q, s, t]
            if coarse:
                cost[:, t] *= reuse
            times += states.pending[:, 1:, t] * reuse[:, None]
        least = cost.sum(axis=1) if coarse else self._least_pending(states, cost)
        copies = np.ones(len(tile))
        if open_containers:
            copies = np.minimum(lattice.volume[-1] / lattice.volume[tile], self._containers.most[level + 1])
        energy = states.spent[:, 0] + least + outside[tile]
        energy -= states.spared[:, 0] * copies + self._spared[level][0]
        times -= states.spared[:, 1:] * copies[:, None] + self._spared[level][1:]
        time = times.max(axis=1)
        cycles = np.maximum(time / self._containers.reach[level + 1][tile], max(1.0, self._ports[level].max()))
        energy += states.leakage_J * time + cycles * self._leakage_J[level]
        return self._of(energy, cycles)

    def glance(self, states: States, rows: Ints, tile: Ints, used: Ints, level: int) -> Floats:
        """Scores of ``states[rows]`` with ``used`` instances at the container ``level``, from little: a first sieve."""
        reach = self._containers.reach[level][tile]
        most = np.minimum(self._lattice.volume[-1] / self._lattice.volume[tile], self._containers.most[level])
        energy = states.spent[rows, 0] + self._bounds.inside(level - 1)[tile]
        energy -= states.spared[rows, 0] * used * most + self._spared[level][0]
        cycles = np.maximum(states.spent[rows, 1] / (used * reach), 1.0)
        return self._of(energy + cycles * self._leakage_J[level], cycles)

    def _of(self, energy: Floats, cycles: Floats) -> Floats:
        """The objective."""
        if self._objective is Objective.ENERGY:
            return energy
        seconds = cycles * self._cycle_s
        if self._objective is Objective.EDP:
            return np.multiply(energy, seconds)
        return np.where(np.isfinite(energy), seconds, np.inf)

    def _least_pending(self, states: States, cost: Floats) -> Floats:
        """Least of the pending costs [n] over the loop orders of the next storage."""
        least: Floats = cost.sum(axis=1)
        for live, rows in patterns(states.live):
            if not live or not rows.size:
                continue
            tile, dear, overlaps = states.tile[rows], cost[rows], states.overlaps[rows]
            idles = states.idles[rows]
            still = states.needs[rows] & self._lattice.open[tile][:, None] > 0
            shift = np.where(still, states.shift[rows], 1.0)
            index = np.unravel_index(tile, self._lattice.shape)
            room = [
                (n - 1 - i) * stride
                for n, i, stride in zip(self._lattice.shape, index, self._lattice.strides, strict=True)
            ]
            best = np.full(len(rows), -np.inf)
            for order in orders(self._problem, live):
                saved, full = np.zeros(len(rows)), tile
                seen: list[int] = []
                for stage, reused in zip(order.stages, order.reused, strict=True):
                    full = full + sum(room[d] for d in stage)
                    seen += stage
                    for t in reused:
                        density = self._lattice.density[t]
                        still = tile + sum(room[d] for d in seen if d in self._idle[t])
                        words = np.where(idles[:, t], density[still], density[tile])
                        words = np.where(overlaps[:, t], self._lattice.touched[t, full], words)
                        saved += dear[:, t] * np.maximum(0.0, 1 - shift[:, t] * words / density[tile])
                np.maximum(best, saved, out=best)
            least[rows] -= best
        return least


def patterns(live: Bools) -> Iterator[tuple[frozenset[int], Ints]]:
    """The different rows of [n, T] as sets, and the numbers of the rows that equal each."""
    bits = live @ (1 << np.arange(live.shape[1]))
    for code in np.flatnonzero(np.bincount(bits)):
        yield frozenset(t for t in range(live.shape[1]) if code >> t & 1), np.flatnonzero(bits == code)
