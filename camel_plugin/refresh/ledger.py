"""The entries of an account: operations and tensors, refresh included."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin.components.retention import failed_fraction
from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.level_refresh import LevelRefresh
from camel_plugin.refresh.lifetime import Lifetime, Rule
from camel_plugin.schedule.cost import LevelTraffic, OperationCost, dram_standby_W, leakage_W
from camel_plugin.schedule.timeline import Timeline
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import PERSISTENT_KINDS, Operation


@dataclass(frozen=True)
class DataLifetime:
    """How long data of one tensor live in one eDRAM level.

    Attributes:
        tensor: its name.
        level: storage level.
        lifetime_s: from write to last read, the longest of its data.
        retention_s: of that level.
        refreshes: of each of its data during that lifetime, floor(lifetime / retention) if the policy restores.
        corrupted_share: expected share of its bits that are lost, 0 if the policy restores.
        rule: how the lifetime was found.
    """

    tensor: str
    level: str
    lifetime_s: float
    retention_s: float
    refreshes: int
    corrupted_share: float
    rule: Rule


@dataclass(frozen=True)
class OperationAccount:
    """One operation, ALL its runs, refresh included; plain sums over operations give the step.

    Attributes:
        name: of the operation.
        repeats: its runs.
        start_s: of its first run.
        end_s: of its first run.
        cycles: of all runs.
        stall_cycles: of these, spent waiting for refresh.
        latency_s: of all runs.
        bound_by: ``compute``, ``vector`` or a storage level (the one that waits for refresh, if one does).
        utilization: of the multiply-accumulate units, stalls included.
        macs: multiply-accumulates.
        compute_J: of the multiply-accumulates or element operations.
        dynamic_J: of each on-chip level.
        leakage_J: of the whole chip.
        refresh_J: of each eDRAM level.
        dram_J: everything off chip.
        refresh_count: row refreshes.
        dram_read_bytes: from DRAM.
        dram_written_bytes: to DRAM.
        levels: traffic of every level.
        lifetimes: of tiles that it stages through eDRAM and of resident tensors whose last use it is.
        corrupted_share: expected share of lost bits among the data in eDRAM that it reads.
    """

    name: str
    repeats: int
    start_s: float
    end_s: float
    cycles: int
    stall_cycles: int
    latency_s: float
    bound_by: str
    utilization: float
    macs: int
    compute_J: float
    dynamic_J: Mapping[str, float]
    leakage_J: float
    refresh_J: Mapping[str, float]
    dram_J: float
    refresh_count: float
    dram_read_bytes: float
    dram_written_bytes: float
    levels: Mapping[str, LevelTraffic]
    lifetimes: tuple[DataLifetime, ...]
    corrupted_share: float

    @property
    def energy_J(self) -> float:
        """Sum of the parts."""
        parts = (self.compute_J, *self.dynamic_J.values(), self.leakage_J, *self.refresh_J.values(), self.dram_J)
        return math.fsum(parts)


@dataclass(frozen=True)
class TensorAccount:
    """One tensor at its home.

    Attributes:
        name: of the tensor.
        home: storage level.
        bytes: it occupies there.
        produced_by: operation that first writes it, None for what exists before the step.
        last_used_by: operation that uses it last.
        lifetime_s: longest time from a write to the last read before the next one.
        refreshes: of each of its data during that time (0 outside eDRAM).
        rule: how the lifetime was found.
    """

    name: str
    home: str
    bytes: float
    produced_by: str | None
    last_used_by: str
    lifetime_s: float
    refreshes: int
    rule: Rule


@dataclass(frozen=True)
class Ledger:
    """Everything known once the timeline stands still; writes the accounts.

    Attributes:
        plan: the step with homes and mappings.
        timeline: with all stalls.
        lifetimes: of all tensors and tiles.
        levels: what each eDRAM level holds.
        refreshed: what the policy does there.
        waits: operation -> level -> cycles that the level needs under refresh.
        restores: the policy keeps old data alive.
    """

    plan: Plan
    timeline: Timeline
    lifetimes: tuple[Lifetime, ...]
    levels: Mapping[str, LevelActivity]
    refreshed: Mapping[str, LevelRefresh]
    waits: Mapping[str, Mapping[str, int]]
    restores: bool

    def operation(self, operation: Operation, cost: OperationCost) -> OperationAccount:
        """All runs of an operation."""
        name, repeats = operation.name, self.plan.step.trips(operation.name)
        slot, cycle_s = self.timeline.slots[name], self.plan.machine.cycle_s
        latency_s = slot.cycles * repeats * cycle_s
        standby_s = (slot.cycles - cost.cycles) * repeats * cycle_s
        stalled = slot.cycles > cost.cycles
        macs = cost.macs * repeats
        rows = {level: refreshed.rows[name] for level, refreshed in self.refreshed.items()}
        return OperationAccount(
            name=name,
            repeats=repeats,
            start_s=slot.start * cycle_s,
            end_s=slot.end * cycle_s,
            cycles=slot.cycles * repeats,
            stall_cycles=(slot.cycles - cost.cycles) * repeats,
            latency_s=latency_s,
            bound_by=max(self.waits[name], key=lambda level: self.waits[name][level]) if stalled else cost.bound_by,
            utilization=cost.utilization * cost.cycles / slot.cycles,
            macs=macs,
            compute_J=cost.compute_J * repeats,
            dynamic_J={level: energy * repeats for level, energy in cost.dynamic_J.items()},
            leakage_J=leakage_W(self.plan.machine) * latency_s,
            refresh_J={level: rows[level] * self.levels[level].edram.row_energy_J for level in rows},
            dram_J=cost.dram_J * repeats + dram_standby_W(self.plan.machine) * standby_s,
            refresh_count=sum(rows.values()),
            dram_read_bytes=cost.dram_read_bytes * repeats,
            dram_written_bytes=cost.dram_written_bytes * repeats,
            levels={level: traffic.scaled(repeats) for level, traffic in cost.levels.items()},
            lifetimes=tuple(
                self._data(lifetime)
                for lifetime in self.lifetimes
                if lifetime.operation == name and lifetime.level in self.levels
            ),
            corrupted_share=self._corrupted_share(operation),
        )

    def tensor(self, lifetime: Lifetime) -> TensorAccount:
        """A tensor at its home."""
        name = lifetime.tensor
        home = self.plan.machine.storage(lifetime.level)
        return TensorAccount(
            name=name,
            home=home.name,
            bytes=home.bits(lifetime.words) / 8,
            produced_by=self._producer(name),
            last_used_by=lifetime.operation,
            lifetime_s=lifetime.cycles * self.plan.machine.cycle_s,
            refreshes=self._refreshes(lifetime),
            rule=lifetime.rule,
        )

    def _data(self, lifetime: Lifetime) -> DataLifetime:
        return DataLifetime(
            tensor=lifetime.tensor,
            level=lifetime.level,
            lifetime_s=lifetime.cycles * self.plan.machine.cycle_s,
            retention_s=self.levels[lifetime.level].edram.retention_s,
            refreshes=self._refreshes(lifetime),
            corrupted_share=self._lost(lifetime),
            rule=lifetime.rule,
        )

    def _refreshes(self, lifetime: Lifetime) -> int:
        """Times that every policy that restores must refresh each datum."""
        activity = self.levels.get(lifetime.level)
        return activity.refreshes(lifetime.cycles) if activity and self.restores else 0

    def _lost(self, lifetime: Lifetime) -> float:
        """Expected share of lost bits at the end of a lifetime."""
        activity = self.levels.get(lifetime.level)
        if activity is None or self.restores or math.isinf(activity.edram.retention_median_s):
            return 0.0
        return failed_fraction(activity.edram, lifetime.cycles * self.plan.machine.cycle_s)

    def _corrupted_share(self, operation: Operation) -> float:
        """Expected share of lost bits among the eDRAM data that an operation reads, each at its oldest."""
        read = [
            activity.lifetimes[number]
            for activity in self.levels.values()
            for number in activity.holders[operation.name]
            if activity.lifetimes[number].tensor in operation.reads
        ]
        words = sum(data.words * data.instances for data in read)
        return sum(data.words * data.instances * self._lost(data) for data in read) / words if words else 0.0

    def _producer(self, name: str) -> str | None:
        """First operation that writes a tensor which does not exist before the step."""
        if self.plan.step.tensors[name].kind in PERSISTENT_KINDS:
            return None
        return next((operation.name for operation in self.plan.step.operations if name in operation.writes), None)
