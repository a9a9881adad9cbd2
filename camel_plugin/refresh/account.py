"""The account of a step: when every operation runs, how long data live, what refresh costs, and the sums.

Order of computation. Refresh stalls lengthen the step, and a longer step makes data live longer, which may call for
more refresh. We start from the timeline without stalls, ask the policy how much it slows each operation, lengthen
it, and repeat until nothing grows any more. Durations only ever grow, so this ends after a few rounds; lifetimes,
refreshes and leakage are those of the final timeline.
"""

import math
from collections.abc import Mapping

from camel_plugin.files.v04.mapping_writer import write_mapping
from camel_plugin.refresh.activity import LevelActivity, activities
from camel_plugin.refresh.ledger import Ledger
from camel_plugin.refresh.level_refresh import level_refresh
from camel_plugin.refresh.lifetime import lifetimes
from camel_plugin.refresh.remedies import level_lifetimes
from camel_plugin.result import ActionEnergy, LevelTraffic, OperationCost, OperationMapping, StepResult
from camel_plugin.schedule.placement import peak_bytes
from camel_plugin.schedule.timeline import make_timeline
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy


def account(
    plan: Plan, costs: Mapping[str, OperationCost], policy: RefreshPolicy, mapped: Mapping[str, MapResult] | None = None
) -> StepResult:
    """Put the costs of all operations on a timeline and add what refresh costs under ``policy``.

    Args:
        plan: the step with its homes.
        costs: of one run of every operation.
        policy: which rows are refreshed.
        mapped: operation -> what the mapper found, to be told in the result.

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
    machine, step = plan.machine, plan.step
    told = _mappings(plan, mapped or {})
    return StepResult(
        arch=machine.name,
        net=step.network,
        operations=tuple(ledger.operation(each, costs[each.name], told.get(each.name)) for each in step.operations),
        tensors=tuple(ledger.tensor(lifetime) for lifetime in data if not lifetime.staged),
        coverage=step.coverage,
        temperature_C=machine.temperature_C,
        peak_onchip_bytes=sum(peak_bytes(plan).values()),
        area_m2=machine.area_m2,
        technology=machine.technology,
        energies=ActionEnergy.all_of(machine),
        lifetimes=tuple(level_lifetimes(plan, activity, costs) for activity in levels.values()),
        unconfirmed=machine.unconfirmed,
        published=machine.published,
        plan=plan,
    )


def _mappings(plan: Plan, mapped: Mapping[str, MapResult]) -> dict[str, OperationMapping]:
    """How each operation was mapped; operations with equal tasks share one result, which is written once."""
    told: dict[int, OperationMapping] = {}
    for operation in plan.step.operations:
        found = mapped.get(operation.name)
        if found is not None and operation.problem is not None and id(found) not in told:
            text = write_mapping(found.mapping, plan.machine, operation.problem)
            told[id(found)] = OperationMapping(text, found.optimality_gap, found.padded)
    return {name: told[id(found)] for name, found in mapped.items()}


def _wait(cost: OperationCost, activity: LevelActivity, share: float) -> int:
    """Cycles that a level needs for the accesses of one run of an operation, a share of its rows being refreshed."""
    traffic = cost.levels.get(activity.storage.name, LevelTraffic())
    return math.ceil(traffic.port_cycles / activity.availability(share))
