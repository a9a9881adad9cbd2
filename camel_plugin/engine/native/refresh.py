"""What refresh adds to the cost of mappings, so that a mapper can weigh it.

Rows that are kept alive anyway cost power, and time at the ports; tiles cost what the policy does to them. Waiting
makes tiles older, and older tiles may make others wait: durations are lengthened until nothing grows any more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camel_plugin.components.base import Refresh
from camel_plugin.engine.native.result import BatchResult, Floats
from camel_plugin.engine.native.tile_times import TileTimes, tile_times
from camel_plugin.spec.machine import Machine, RefreshDuty, Storage, TileRefresh

ROUNDING = 1e-9
"""Of seconds into cycles, in retention times."""


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


def refreshed(machine: Machine, result: BatchResult) -> Refreshed:
    """``result`` with the refresh that ``machine.duties`` asks for."""
    cycles = result.cycles.astype(np.float64)
    if not machine.duties:
        return Refreshed(cycles, np.zeros(len(cycles)), result.energy_J)
    levels = [
        _Level(machine, result, place, storage, storage.refresh, machine.duties[storage.name])
        for place, storage in enumerate(machine.storages)
        if storage.refresh is not None and storage.name in machine.duties
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


def standing_J_per_cycle(machine: Machine) -> float:
    """Energy of a cycle for the rows that are kept alive whatever the mapping."""
    return sum(
        duty.rows * machine.instances(name) * refresh.row_energy_J * machine.cycle_s / refresh.retention_s
        for name, duty in machine.duties.items()
        if (refresh := machine.storage(name).refresh) is not None
    )


def availability(machine: Machine, storage: Storage) -> float:
    """Most of its time that ``storage`` has for accesses, whatever the mapping."""
    duty = machine.duties.get(storage.name)
    if storage.refresh is None or duty is None:
        return 1.0
    return storage.refresh.availability(duty.share, machine.cycle_s, storage.name)


class _Level:
    def __init__(
        self, machine: Machine, result: BatchResult, place: int, storage: Storage, refresh: Refresh, duty: RefreshDuty
    ) -> None:
        self._refresh = refresh
        self._duty = duty
        self._instances = machine.instances(storage.name)
        self._period = refresh.retention_s / machine.cycle_s
        self._busy = refresh.rows_per_array * refresh.row_cycles / self._period
        batch = result.batch
        sizes = np.array([storage.words_per_value.get(space.name, 1.0) for space in batch.problem.dataspaces])
        read, written = result.reads[:, place] * sizes, (result.fills + result.updates)[:, place] * sizes
        ports = ((read, storage.read_bandwidth), (written, storage.write_bandwidth))
        times = [words.sum(axis=1) / bandwidth for words, bandwidth in ports if bandwidth is not None]
        self._port_cycles: Floats = np.max(times, axis=0) if times else np.zeros(len(batch))
        self._tiles: list[tuple[Floats, TileTimes]] = []
        if duty.tiles is TileRefresh.NEVER:
            return
        capacity = storage.capacity_words
        for t, dataspace in enumerate(batch.problem.dataspaces):
            if batch.keep[:, place, t].any() and machine.homes.get(dataspace.name) != storage.name:
                tile = tile_times(batch, storage.name, t)
                words = np.where(batch.keep[:, place, t], np.ceil(tile.words * sizes[t]), 0)
                per_word = storage.word_bits / refresh.row_bits if capacity is None else refresh.rows / capacity
                self._tiles.append((np.ceil(words * per_word), tile))

    def wait(self, cycles: Floats) -> Floats:
        """[B] cycles that the ports need beside refresh; inf if they never get their turn."""
        share = np.full(len(cycles), self._duty.share)
        for rows, tile in self._tiles:
            if self._duty.tiles is TileRefresh.HELD:
                share[rows > 0] = 1.0
            else:
                share += np.where(self._refreshes(self._life(tile, cycles)) > 0, rows, 0) / self._refresh.rows
        free = 1 - np.minimum(1.0, share) * self._busy
        return np.where(free > 0, np.ceil(self._port_cycles / np.where(free > 0, free, 1.0)), np.inf)

    def energy_J(self, cycles: Floats) -> Floats:
        """[B] energy of all row refreshes."""
        refreshes: Floats = self._duty.rows * self._instances * cycles / self._period
        if self._duty.tiles is TileRefresh.HELD and self._tiles:
            size = self._refresh.rows_per_bank
            held = np.sum([rows for rows, _ in self._tiles], axis=0)
            banks = np.minimum(np.ceil(held / size), self._refresh.banks)
            instances = np.max([np.where(rows > 0, tile.instances, 0) for rows, tile in self._tiles], axis=0)
            refreshes += banks * size * instances * cycles / self._period
        else:
            for rows, tile in self._tiles:
                life = self._life(tile, cycles)
                refreshes += rows * tile.instances * self._refreshes(life) * np.maximum(1, cycles // life)
        return refreshes * self._refresh.row_energy_J

    def _life(self, tile: TileTimes, cycles: Floats) -> Floats:
        """[B] cycles for which a datum stays without a write."""
        return np.maximum(1, np.rint(tile.unrestored * cycles))

    def _refreshes(self, life: Floats) -> Floats:
        """[B] refreshes that a datum needs in that time."""
        return np.floor(life / self._period + ROUNDING)
