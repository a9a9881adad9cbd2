"""What refresh adds to the cost of mappings, so that a mapper can weigh it.

Rows that are kept alive anyway cost power, and time at the ports; tiles cost what the policy does to them. Waiting
makes tiles older, and older tiles may make others wait: durations are lengthened until nothing grows any more.
"""

from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.native.batch_result import BatchResult, Floats, Ints
from camel_plugin.engine.native.tile_times import TileTimes, tile_times
from camel_plugin.spec.machine import EdramCells, Storage
from camel_plugin.spec.task import RefreshDuty, Task


@dataclass(frozen=True)
class Refreshed:
    """B mappings under refresh.

    Attributes:
        cycles: [B] with the time that refresh takes from the ports; inf if it takes all of it.
        refresh_J: [B] of all levels and instances.
        energy_J: [B] of everything: refresh, and the leakage of the cycles lost to it.
    """

    cycles: Floats
    refresh_J: Floats
    energy_J: Floats


def refreshed(task: Task, result: BatchResult) -> Refreshed:
    """``result`` with the refresh that the duties of the task ask for."""
    cycles = result.cycles.astype(np.float64)
    if not task.duties:
        return Refreshed(cycles, np.zeros(len(cycles)), result.energy_J)
    levels = [
        _Level(task, result, place, storage, storage.edram, task.duties[storage.name])
        for place, storage in enumerate(task.machine.storages)
        if storage.edram is not None and storage.name in task.duties
    ]
    stuck = np.zeros(len(cycles), np.bool_)
    while True:
        longer = np.max([cycles, *(level.wait(cycles) for level in levels)], axis=0)
        stuck |= np.isinf(longer)
        longer[stuck] = cycles[stuck]
        if (longer == cycles).all():
            break
        cycles = longer
    refresh_J = np.sum([level.energy_J(cycles) for level in levels], axis=0)
    leakage_J = result.leakage_J.sum(axis=1) / result.cycles * (cycles - result.cycles)
    return Refreshed(np.where(stuck, np.inf, cycles), refresh_J, result.energy_J + refresh_J + leakage_J)


def standing_J_per_cycle(task: Task) -> float:
    """Energy of a cycle for the rows that are kept alive whatever the mapping."""
    machine = task.machine
    return sum(
        duty.rows * machine.instances(name) * refresh.row_energy_J * machine.cycle_s / refresh.retention_s
        for name, duty in task.duties.items()
        if (refresh := machine.storage(name).edram) is not None
    )


def availability(task: Task, storage: Storage) -> float:
    """Most of its time that ``storage`` has for accesses, whatever the mapping."""
    duty = task.duties.get(storage.name)
    if storage.edram is None or duty is None:
        return 1.0
    return storage.edram.availability(duty.share, task.machine.cycle_s, storage.name)


class _Level:
    def __init__(
        self, task: Task, result: BatchResult, place: int, storage: Storage, cells: EdramCells, duty: RefreshDuty
    ) -> None:
        machine = task.machine
        self._cells = cells
        self._duty = duty
        self._instances = machine.instances(storage.name)
        self._period = cells.retention_s / machine.cycle_s
        self._busy = cells.rows_per_array * cells.row_cycles / self._period
        batch = result.batch
        sizes = np.array(task.words_per_value(storage.name))
        read, written = result.reads[:, place] * sizes, (result.fills + result.updates)[:, place] * sizes
        ports = ((read, storage.read_bandwidth), (written, storage.write_bandwidth))
        times = [words.sum(axis=1) / bandwidth for words, bandwidth in ports if bandwidth is not None]
        self._port_cycles: Floats = np.max(times, axis=0) if times else np.zeros(len(batch))
        self._tiles: list[tuple[Floats, TileTimes]] = []
        if duty.tiles.idle:
            return
        capacity = storage.capacity_words
        for t, dataspace in enumerate(batch.problem.dataspaces):
            if batch.keep[:, place, t].any() and task.homes.get(dataspace.name) != storage.name:
                tile = tile_times(batch, storage.name, t)
                words = np.where(batch.keep[:, place, t], np.ceil(tile.words * sizes[t]), 0)
                per_word = storage.word_bits / cells.row_bits if capacity is None else cells.rows / capacity
                self._tiles.append((np.ceil(words * per_word), tile))

    def wait(self, cycles: Floats) -> Floats:
        """[B] cycles that the ports need beside refresh; inf if they never get their turn."""
        share = np.full(len(cycles), self._duty.share)
        if self._tiles:
            share = np.maximum(share, np.array(self._duty.tiles.met)[self._banks()])
        for rows, tile in self._tiles:
            share += np.where(self._refreshes(self._life(tile, cycles)) > 0, rows, 0) / self._cells.rows
        free = 1 - np.minimum(1.0, share) * self._busy
        return np.where(free > 0, np.ceil(self._port_cycles / np.where(free > 0, free, 1.0)), np.inf)

    def energy_J(self, cycles: Floats) -> Floats:
        """[B] energy of all row refreshes."""
        refreshes: Floats = self._duty.rows * self._instances * cycles / self._period
        if self._tiles:
            instances = np.max([np.where(rows > 0, tile.instances, 0) for rows, tile in self._tiles], axis=0)
            standing = np.array(self._duty.tiles.standing)[self._banks()]
            refreshes += standing * instances * cycles / self._period
        for rows, tile in self._tiles:
            life = self._life(tile, cycles)
            refreshes += rows * tile.instances * self._refreshes(life) * np.maximum(1, cycles // life)
        return refreshes * self._cells.row_energy_J

    def _banks(self) -> Ints:
        """[B] banks of an instance that the tiles fill."""
        rows = np.sum([rows for rows, _ in self._tiles], axis=0)
        banks: Ints = np.minimum(np.ceil(rows / self._cells.rows_per_bank), self._cells.banks).astype(np.int64)
        return banks

    def _life(self, tile: TileTimes, cycles: Floats) -> Floats:
        """[B] cycles for which a datum stays without a write."""
        return np.maximum(1, np.rint(tile.unrestored * cycles))

    def _refreshes(self, life: Floats) -> Floats:
        """[B] refreshes that a datum needs in that time."""
        return self._duty.tiles.at(life / self._period)
