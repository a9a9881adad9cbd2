"""Least cost of what is not yet decided: every level must at least fill its tiles, with the best loops outside.

Costs are additive over (level, dataspace), and each part depends on one tile only: words per iteration = words of the
box / iterations of the tile where reuse ends. So the least cost outside a tile follows from one sweep over the lattice
of tiles per node, from the outermost node inwards. Simplifications (fills of spatial copies, overlap of windows, whole
blocks, meshes) only ever lower the cost.
"""

from collections.abc import Iterable

import numpy as np

from camel_plugin.engine.native.orders import orders
from camel_plugin.engine.native.task_refresh import availability
from camel_plugin.mapspace.lattice import Floats, Lattice
from camel_plugin.mapspace.space import Keep, MapSpace
from camel_plugin.spec.machine import Storage


class LevelCosts:
    """What values cost under one bypass pattern; Q resources, S storages outermost first, T dataspaces.

    Resource 0 is energy in J, number 1 the time of the compute units, the others the time of a port in cycles.

    Attributes:
        keep: the bypass pattern.
        asked: [Q, S, T] cost of a value that the storage is asked for: a read, or an update and the read before it.
        filled: [Q, S, T] cost of a value filled into the storage; 0 where nothing outside keeps the dataspace.
        spared: [Q, S, T] cost of a partial sum that needs no first read or fill.
        parent: [S, T] storage that fills this one, -1 if none or if the dataspace is bypassed.
    """

    def __init__(self, space: MapSpace, keep: Keep) -> None:
        ports = [
            (s, kind, bandwidth * availability(space.task, storage))
            for s, storage in enumerate(space.machine.storages)
            for kind, bandwidth in (("read", storage.read_bandwidth), ("write", storage.write_bandwidth))
            if bandwidth is not None
        ]
        self.keep = keep
        self.asked, self.filled, self.spared = (np.zeros((2 + len(ports), *keep.shape)) for _ in range(3))
        self.parent = np.full(keep.shape, -1)
        for t, dataspace in enumerate(space.problem.dataspaces):
            outer = -1
            for s, storage in enumerate(space.machine.storages):
                if keep[s, t]:
                    costs = [_word_energies(storage), (0.0, 0.0, 0.0)]
                    costs += [_port_times(kind, 1 / bandwidth if s == at else 0.0) for at, kind, bandwidth in ports]
                    read, fill, update = np.array(costs).T * space.task.words_per_value(storage.name)[t]
                    self.asked[:, s, t] = read + update if dataspace.read_write else read
                    self.filled[:, s, t] = fill if outer >= 0 else 0.0
                    if dataspace.read_write:
                        self.spared[:, s, t] = read + self.filled[:, s, t]
                    self.parent[s, t] = outer
                    outer = s


def _word_energies(storage: Storage) -> tuple[float, float, float]:
    """Least energy of a word that is read, filled, updated: full blocks, whole clusters."""
    words = storage.block_words * storage.cluster_size
    energy = storage.energy
    return energy.read_J / words, energy.write_J / words, energy.update_J / words


def _port_times(kind: str, cycles: float) -> tuple[float, float, float]:
    """Time on a port of a word that is read, filled, updated."""
    return (cycles, 0.0, 0.0) if kind == "read" else (0.0, cycles, cycles)


Tables = dict[tuple[object, ...], Floats]
"""Bounds by (node, bypasses from there outwards, pending energies): patterns that agree there share them."""


class Bounds:
    """Least energy outside a tile.

    Args:
        space: the map space.
        lattice: its tiles.
        costs: of the bypass pattern.
        tables: filled on demand, shared between patterns.
    """

    def __init__(self, space: MapSpace, lattice: Lattice, costs: LevelCosts, tables: Tables) -> None:
        self.space = space
        self.lattice = lattice
        self.costs = costs
        self.storage_at = {
            level: s
            for s, level in enumerate(level for level, node in enumerate(space.nodes) if isinstance(node, Storage))
        }
        self.fits = {level: self._fits(level) for level in self.storage_at}
        macs = space.problem.macs
        self.own = {
            level: tuple(
                macs * (costs.filled[0, s, t] + costs.asked[0, parent, t])
                if (parent := costs.parent[s, t]) >= 0
                else 0.0
                for t in range(costs.keep.shape[1])
            )
            for level, s in self.storage_at.items()
        }
        self._tables = tables
        self._outer = {level: costs.keep[:s].tobytes() for level, s in self._storages_outside().items()}

    def _fits(self, level: int) -> Floats:
        """[N] 0 where the tile fits the storage, inf where it does not."""
        storage = self.space.nodes[level]
        assert isinstance(storage, Storage)
        if storage.depth is None:
            return np.zeros(self.lattice.size)
        resident = self.space.task.resident(storage.name)
        words = np.zeros(self.lattice.size)
        sizes = self.space.task.words_per_value(storage.name)
        for t, dataspace in enumerate(self.space.problem.dataspaces):
            if self.costs.keep[self.storage_at[level], t]:
                whole = dataspace.name in resident
                values = dataspace.volume(self.space.problem.size) if whole else self.lattice.boxes[t]
                words += values * sizes[t]
        return np.where(words <= storage.depth * storage.block_words, 0.0, np.inf)

    def inside(self, level: int) -> Floats:
        """[N] least energy of the transfers into storages at ``level`` and further out, for each tile inside it."""
        return self._inside(level, (0.0,) * len(self.space.problem.dataspaces))

    def outside(self, level: int) -> Floats:
        """[N] the same for each tile that ``level`` itself holds."""
        return self.fits.get(level, 0.0) + self._inside(
            level - 1, self.own.get(level, (0.0,) * self.costs.keep.shape[1])
        )

    def _storages_outside(self) -> dict[int, int]:
        """Number of storages at each node and further out."""
        return {level: sum(place <= level for place in self.storage_at) for level in range(-1, len(self.space.nodes))}

    def _inside(self, level: int, pending: tuple[float, ...]) -> Floats:
        key = (level, self._outer[level], pending)
        if key not in self._tables:
            self._tables[key] = self._least_inside(level, pending)
        return self._tables[key]

    def after_reuse(self, level: int) -> Floats:
        """:meth:`_after_reuse`, remembered."""
        key = (level, self._outer[level], "after reuse")
        if key not in self._tables:
            self._tables[key] = self._after_reuse(level)
        return self._tables[key]

    def _after_reuse(self, level: int) -> Floats:
        """[N] least energy outside each tile when more loops of the storage ``level`` follow and nothing is pending."""
        masks = [mask.copy() for mask in self.space.allowed[level]]
        for mask in masks:
            mask[0] = True
        return self.lattice.best_outside(self.outside(level), masks)

    def _least_inside(self, level: int, pending: tuple[float, ...]) -> Floats:
        """[N] as :meth:`inside`, plus ``pending`` energies (per word and iteration) of levels further in."""
        lattice = self.lattice
        live = frozenset(t for t, energy in enumerate(pending) if energy)
        if level < 0:
            whole = np.full(lattice.size, np.inf)
            whole[-1] = sum(pending[t] * lattice.touched[t, -1] for t in live)
            return whole
        allowed = self.space.allowed[level]
        if level not in self.storage_at:
            return lattice.best_outside(self._inside(level - 1, pending), allowed)
        if not live:
            return lattice.best_outside(self.outside(level), allowed)
        own, fits = self.own[level], self.fits[level]

        def carried(still: Iterable[int]) -> Floats:
            kept = tuple(own[t] + (pending[t] if t in still else 0.0) for t in range(len(own)))
            return fits + self._inside(level - 1, kept)

        least = carried(live)
        for order in orders(self.space.problem, live):
            value = self.after_reuse(level)
            for k in range(len(order.stages) - 1, -1, -1):
                for t in order.reused[k]:
                    value = value + pending[t] * lattice.touched[t]
                value = np.minimum(value, carried([t for later in order.reused[k:] for t in later]))
                masks = [mask | _one(mask) if d in order.stages[k] else None for d, mask in enumerate(allowed)]
                value = lattice.best_outside(value, masks)
            for t in order.none:
                value = value + pending[t] * lattice.density[t]
            np.minimum(least, value, out=least)
        return least


def _one(mask: np.ndarray) -> np.ndarray:
    first = np.zeros_like(mask)
    first[0] = True
    return first
