"""Cost of a placed step in closed form, before any mapping: bounds of traffic and time, good enough to rank plans.

Every operand moves once between its home and the array, multiply-accumulates run at full utilisation, transfers overlap
with them perfectly, and residents are refreshed as the policy says, their rows as the occupied ones.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

import numpy as np

from camel_plugin.result import Estimate
from camel_plugin.schedule.cost import dram_standby_W, leakage_W
from camel_plugin.spec.machine import EdramCells, Machine, Storage
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.step import Operation


def estimate(plan: Plan, policy: RefreshPolicy) -> Estimate:
    """Bounds of a placed step."""
    machine, outermost = plan.machine, plan.machine.storages[0]
    energy_J = moved = 0.0
    times_s = []
    for operation in plan.step.operations:
        trips = plan.step.trips(operation.name)
        traffic = _traffic(plan, operation)
        cycles = _cycles(machine, operation, traffic)
        latency_s = cycles * machine.cycle_s * trips
        read, written = traffic.get(outermost.name, (0, 0))
        moved += outermost.bits(read + written) / 8 * trips
        accesses = sum(_access_J(machine.storage(name), *t) for name, t in traffic.items())
        times_s.append(latency_s)
        energy_J += accesses * trips + (leakage_W(machine) + dram_standby_W(machine)) * latency_s
    energy_J += sum(_refresh_J(plan, policy, s.name, s.edram, times_s) for s in machine.storages if s.edram is not None)
    return Estimate(math.fsum(times_s), energy_J, moved)


def estimated_cycles(plan: Plan) -> dict[str, int]:
    """Operation -> clock cycles of one run, at least."""
    return {op.name: math.ceil(_cycles(plan.machine, op, _traffic(plan, op))) for op in plan.step.operations}


def _cycles(machine: Machine, operation: Operation, traffic: Mapping[str, tuple[int, int]]) -> float:
    return max(_work(machine, operation), *(machine.storage(name).port_cycles(*t) for name, t in traffic.items()))


def _work(machine: Machine, operation: Operation) -> float:
    units = machine.units
    return max(1.0, operation.macs / units, operation.vector_ops / machine.vector_unit.lanes)


def _traffic(plan: Plan, operation: Operation) -> dict[str, tuple[int, int]]:
    """Home -> words read and written there in one run."""
    found: dict[str, tuple[int, int]] = {}
    for position, names in enumerate((operation.reads, operation.writes)):
        for name in names:
            words = [*found.get(plan.home_levels[name], (0, 0))]
            words[position] += plan.step.tensors[name].words(operation.touched.get(name))
            found[plan.home_levels[name]] = (words[0], words[1])
    return found


def _access_J(storage: Storage, read: int, written: int) -> float:
    return (read * storage.energy.read_J + written * storage.energy.write_J) / storage.block_words


def _refresh_J(plan: Plan, policy: RefreshPolicy, level: str, cells: EdramCells, times_s: Sequence[float]) -> float:
    """Energy to refresh the residents of a level over a step (rows that two share counted twice)."""
    ends_s = np.array([0.0, *accumulate(times_s)])
    blocks = [block for name, block in plan.blocks.items() if plan.homes[name].level == level]
    first = np.array([block.live.first for block in blocks], int)
    behind = np.array([block.live.last + 1 for block in blocks], int)
    rows = np.array([block.stop - block.start for block in blocks], float)
    change = np.zeros(len(ends_s))
    np.add.at(change, first, rows)
    np.add.at(change, behind, -rows)
    total = np.full(len(times_s), float(cells.rows))
    standing = policy.standing(total, np.minimum(total, np.cumsum(change)[:-1]))
    passes = np.array(times_s) / cells.retention_s
    refreshes = policy.refreshes((ends_s[behind] - ends_s[first]) / cells.retention_s)
    return float(standing @ passes + rows @ refreshes) * cells.row_energy_J
