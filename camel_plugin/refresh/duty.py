"""What refresh goes on in the eDRAM levels while an operation runs, known before anything is mapped.

A mapper that is told can weigh it: rows of residents that are kept alive cost power for as long as the operation runs
and take time at the ports, and tiles that outlive the retention time cost refreshes of their own. Ages follow from the
estimated durations of the operations; the account of the step later takes the true ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.refresh.activity import LevelActivity, activities
from camel_plugin.refresh.lifetime import lifetimes
from camel_plugin.refresh.policies.base import RefreshPolicy
from camel_plugin.schedule.estimate import estimated_cycles
from camel_plugin.schedule.timeline import Slot, Timeline, make_timeline
from camel_plugin.spec.machine import Machine, RefreshDuty
from camel_plugin.spec.plan import Plan

QUANTA = 4
"""Rows under refresh are rounded to this fraction of a level, so that distinct problems stay few."""


def duties(plan: Plan, policy: RefreshPolicy | None) -> dict[str, dict[str, RefreshDuty]]:
    """Operation -> eDRAM level -> what the policy refreshes there for the residents.

    Args:
        plan: the placed step; mappings do not count.
        policy: which rows are refreshed; None for a mapper that weighs no refresh.
    """
    if policy is None:
        return {}
    plan = replace(plan, mappings={})
    timeline = make_timeline(plan.step, estimated_cycles(plan))
    data = lifetimes(plan, timeline)
    found: dict[str, dict[str, RefreshDuty]] = {operation.name: {} for operation in plan.step.operations}
    for activity in activities(plan, timeline, data):
        for operation, duty in _of_level(activity, policy).items():
            found[operation][activity.storage.name] = duty
    return found


def idle_duties(machine: Machine, policy: RefreshPolicy) -> dict[str, RefreshDuty]:
    """EDRAM level -> what the policy refreshes there when nothing rests in it."""
    name = "operation"
    slot = Slot(name, 0, 1, 1, 1)
    timeline = Timeline({name: slot}, ((slot,),), 1)
    return {
        storage.name: _of_level(
            LevelActivity(
                storage,
                storage.refresh,
                machine.instances(storage.name),
                machine.cycle_s,
                timeline,
                (),
                {name: (0, 0)},
                {name: ()},
            ),
            policy,
        )[name]
        for storage in machine.storages
        if storage.refresh is not None
    }


def _of_level(activity: LevelActivity, policy: RefreshPolicy) -> Mapping[str, RefreshDuty]:
    refreshed = policy.refresh(activity)
    rows = activity.total_rows * activity.instances
    return {
        operation: RefreshDuty(
            rows=_rounded(count / activity.periods(activity.total_time(operation)) / rows) * activity.total_rows,
            share=_rounded(refreshed.share[operation]),
            tiles=policy.tiles,
        )
        for operation, count in refreshed.rows.items()
    }


def _rounded(share: float) -> float:
    return math.floor(min(1.0, share) * QUANTA + 0.5) / QUANTA
