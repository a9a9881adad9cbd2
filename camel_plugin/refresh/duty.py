"""What refresh goes on in the eDRAM levels while an operation runs, known before anything is mapped.

A mapper that is told can weigh it: rows of residents that are kept alive cost power for as long as the operation runs
and take time at the ports, and tiles that outlive the retention time cost refreshes of their own. Ages follow from the
estimated durations of the operations; the account of the step later takes the true ones.
"""

import math

import numpy as np

from camel_plugin.refresh.activity import activities
from camel_plugin.refresh.level_refresh import level_refresh
from camel_plugin.refresh.lifetime import lifetimes
from camel_plugin.schedule.estimate import estimated_cycles
from camel_plugin.schedule.timeline import make_timeline
from camel_plugin.spec.machine import EdramCells, Machine
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy, share_met, tabulated
from camel_plugin.spec.task import RefreshDuty

QUANTA = 4
"""Rows under refresh are rounded to this fraction of a level, so that distinct problems stay few."""


def duties(plan: Plan, policy: RefreshPolicy | None) -> dict[str, dict[str, RefreshDuty]]:
    """Operation -> eDRAM level -> what the policy refreshes there for the residents.

    Args:
        plan: the placed step.
        policy: which rows are refreshed; None for a mapper that weighs no refresh.
    """
    if policy is None:
        return {}
    timeline = make_timeline(plan.step, estimated_cycles(plan))
    data = lifetimes(plan, timeline, {})
    found: dict[str, dict[str, RefreshDuty]] = {operation.name: {} for operation in plan.step.operations}
    for activity in activities(plan, timeline, data):
        refreshed = level_refresh(policy, activity)
        for operation, count in refreshed.rows.items():
            passes = activity.periods(activity.total_time(operation)) * activity.instances
            occupied = activity.live[operation][0] / activity.edram.banks
            found[operation][activity.storage.name] = _duty(
                activity.edram, policy, count / passes / activity.total_rows, refreshed.share[operation], occupied
            )
    return found


def idle_duties(machine: Machine, policy: RefreshPolicy) -> dict[str, RefreshDuty]:
    """EDRAM level -> what the policy refreshes there when nothing rests in it."""
    found = {}
    for storage in machine.storages:
        if (cells := storage.edram) is not None:
            total, empty = np.array([float(cells.rows)]), np.zeros(1)
            rows = policy.standing(total, empty)
            share = share_met(total, empty, rows)
            found[storage.name] = _duty(cells, policy, float(rows[0]) / cells.rows, float(share[0]), 0.0)
    return found


def _duty(cells: EdramCells, policy: RefreshPolicy, rows: float, share: float, occupied: float) -> RefreshDuty:
    """Rows, share and occupied banks of one instance, as shares of all there are."""
    tiles = tabulated(policy, cells.banks, cells.rows_per_bank, math.ceil(_rounded(occupied) * cells.banks))
    return RefreshDuty(_rounded(rows) * cells.rows, _rounded(share), tiles)


def _rounded(share: float) -> float:
    return math.floor(min(1.0, share) * QUANTA + 0.5) / QUANTA
