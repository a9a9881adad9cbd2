"""The entries of a result: operations and tensors, refresh included."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin.components.retention import failed_fraction
from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.level_refresh import LevelRefresh
from camel_plugin.refresh.lifetime import Lifetime
from camel_plugin.result import (
    DataLifetime,
    OperationCost,
    OperationMapping,
    OperationRefresh,
    OperationResult,
    TensorResult,
)
from camel_plugin.schedule.cost import dram_standby_W, leakage_W
from camel_plugin.schedule.timeline import Timeline
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import PERSISTENT_KINDS, Operation


@dataclass(frozen=True)
class Ledger:
    """Everything known once the timeline stands still; writes the records of the result.

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

    def operation(self, operation: Operation, cost: OperationCost, mapping: OperationMapping | None) -> OperationResult:
        """All runs of an operation, and how it was mapped."""
        name, repeats = operation.name, self.plan.step.trips(operation.name)
        machine, stall_cycles = self.plan.machine, (self.timeline.slots[name].cycles - cost.cycles) * repeats
        stall_s = stall_cycles * machine.cycle_s
        rows = {level: refreshed.rows[name] for level, refreshed in self.refreshed.items()}
        refresh = OperationRefresh(
            stall_cycles=stall_cycles,
            stall_s=stall_s,
            waits_for=max(self.waits[name], key=lambda level: self.waits[name][level]) if stall_cycles else "",
            rows=rows,
            energy_J={level: count * self.levels[level].edram.row_energy_J for level, count in rows.items()},
            leakage_J=leakage_W(machine) * stall_s,
            dram_J=dram_standby_W(machine) * stall_s,
            corrupted_share=self._corrupted_share(operation),
        )
        lifetimes = tuple(
            self._data(lifetime)
            for lifetime in self.lifetimes
            if lifetime.operation == name and lifetime.level in self.levels
        )
        return OperationResult(
            name, operation.pass_, operation.kind, operation.partner, repeats, cost, refresh, lifetimes, mapping
        )

    def tensor(self, lifetime: Lifetime) -> TensorResult:
        """A tensor at its home."""
        name = lifetime.tensor
        home = self.plan.machine.storage(lifetime.level)
        return TensorResult(
            name=name,
            kind=self.plan.step.tensors[name].kind,
            bytes=home.bits(lifetime.words) / 8,
            home=home.name,
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
