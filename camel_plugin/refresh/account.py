"""The account of a step: when every operation runs, how long data live, what refresh costs, and the sums.

Order of computation. Refresh stalls lengthen the step, and a longer step makes data live longer, which may call for
more refresh. We start from the timeline without stalls, ask the policy how much it slows each operation, lengthen
it, and repeat until nothing grows any more. Durations only ever grow, so this ends after a few rounds; lifetimes,
refreshes and leakage are those of the final timeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin.refresh.activity import LevelActivity, activities
from camel_plugin.refresh.ledger import Ledger, OperationAccount, TensorAccount
from camel_plugin.refresh.level_refresh import level_refresh
from camel_plugin.refresh.lifetime import lifetimes
from camel_plugin.refresh.remedies import LevelLifetimes, level_lifetimes
from camel_plugin.schedule.cost import LevelTraffic, OperationCost
from camel_plugin.schedule.timeline import make_timeline
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy


@dataclass(frozen=True)
class StepAccount:
    """A whole step.

    Attributes:
        operations: in execution order.
        tensors: by first use.
        policy: name of the refresh policy.
        lifetimes: of each eDRAM level, against its retention time.
        latency_s: of the step.
        refresh_count: row refreshes.
        refresh_J: of all levels.
        energy_J: of everything.
    """

    operations: tuple[OperationAccount, ...]
    tensors: tuple[TensorAccount, ...]
    policy: str
    lifetimes: tuple[LevelLifetimes, ...] = ()

    @property
    def latency_s(self) -> float:
        """Sum over the operations."""
        return math.fsum(operation.latency_s for operation in self.operations)

    @property
    def refresh_count(self) -> float:
        """Sum over the operations."""
        return math.fsum(operation.refresh_count for operation in self.operations)

    @property
    def refresh_J(self) -> float:
        """Sum over the operations and levels."""
        return math.fsum(energy for operation in self.operations for energy in operation.refresh_J.values())

    @property
    def energy_J(self) -> float:
        """Sum over the operations."""
        return math.fsum(operation.energy_J for operation in self.operations)


def account(plan: Plan, costs: Mapping[str, OperationCost], policy: RefreshPolicy) -> StepAccount:
    """Put the costs of all operations on a timeline and add what refresh costs under ``policy``.

    Args:
        plan: the step with homes and mappings.
        costs: of one run of every operation.
        policy: which rows are refreshed.

    Raises:
        InfeasibleError: the policy must refresh a level that has no time left for accesses.
    """
    waits: dict[str, dict[str, int]] = {name: {} for name in costs}
    while True:
        cycles = {name: max([costs[name].cycles, *waits[name].values()]) for name in costs}
        timeline = make_timeline(plan.step, cycles)
        data = lifetimes(plan, timeline, {name: cost.tiles for name, cost in costs.items()})
        levels = {activity.storage.name: activity for activity in activities(plan, timeline, data)}
        refreshed = {level: level_refresh(policy, activity) for level, activity in levels.items()}
        longer = {
            (name, level): wait
            for level, activity in levels.items()
            for name, share in refreshed[level].share.items()
            if share and (wait := _wait(costs[name], activity, share)) > waits[name].get(level, 0)
        }
        if not longer:
            break
        for (name, level), wait in longer.items():
            waits[name][level] = wait
    ledger = Ledger(plan, timeline, data, levels, refreshed, waits, policy.restores)
    return StepAccount(
        tuple(ledger.operation(operation, costs[operation.name]) for operation in plan.step.operations),
        tuple(ledger.tensor(lifetime) for lifetime in data if not lifetime.staged),
        policy.name,
        tuple(level_lifetimes(plan, activity, costs) for activity in levels.values()),
    )


def _wait(cost: OperationCost, activity: LevelActivity, share: float) -> int:
    """Cycles that a level needs for the accesses of one run of an operation, a share of its rows being refreshed."""
    traffic = cost.levels.get(activity.storage.name, LevelTraffic())
    return math.ceil(traffic.port_cycles / activity.availability(share))
