"""Cost of a placed step in closed form, before any mapping: bounds of traffic and time, good enough to rank plans.

Every operand moves once between its home and the array, multiply-accumulates run at full utilisation, transfers overlap
with them perfectly, and all rows of residents are refreshed once a retention time, whatever the policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from camel_plugin.schedule.cost import dram_standby_W, leakage_W
from camel_plugin.schedule.vector import vector_unit
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Operation


@dataclass(frozen=True)
class Estimate:
    """Time, energy and traffic of a step.

    Attributes:
        latency_s: of the step.
        energy_J: of the step, accesses below the homes left out.
        dram_bytes: to and from the outermost level.
    """

    latency_s: float
    energy_J: float
    dram_bytes: float


def estimate(plan: Plan) -> Estimate:
    """Bounds of a placed step."""
    machine, outermost = plan.machine, plan.machine.storages[0]
    held = {s.name: _rows_held(plan, s.name) for s in machine.storages if s.refresh is not None}
    time_s = energy_J = moved = 0.0
    for index, operation in enumerate(plan.step.operations):
        trips = plan.step.trips(operation.name)
        traffic = _traffic(plan, operation)
        cycles = _cycles(machine, operation, traffic)
        latency_s = cycles * machine.cycle_s * trips
        read, written = traffic.get(outermost.name, (0, 0))
        moved += outermost.bits(read + written) / 8 * trips
        accesses = sum(_access_J(machine.storage(name), *t) for name, t in traffic.items())
        time_s += latency_s
        energy_J += accesses * trips + (leakage_W(machine) + dram_standby_W(machine)) * latency_s
        energy_J += sum(_refresh_W(machine.storage(name), rows[index]) for name, rows in held.items()) * latency_s
    return Estimate(time_s, energy_J, moved)


def estimated_cycles(plan: Plan) -> dict[str, int]:
    """Operation -> clock cycles of one run, at least."""
    return {op.name: math.ceil(_cycles(plan.machine, op, _traffic(plan, op))) for op in plan.step.operations}


def _cycles(machine: Machine, operation: Operation, traffic: Mapping[str, tuple[int, int]]) -> float:
    return max(_work(machine, operation), *(_busy(machine.storage(name), *t) for name, t in traffic.items()))


def _work(machine: Machine, operation: Operation) -> float:
    units = machine.instances(machine.compute.name)
    return max(1.0, operation.macs / units, operation.vector_ops / vector_unit(machine).lanes)


def _traffic(plan: Plan, operation: Operation) -> dict[str, tuple[int, int]]:
    """Home -> words read and written there in one run."""
    found: dict[str, tuple[int, int]] = {}
    for position, names in enumerate((operation.reads, operation.writes)):
        for name in names:
            words = [*found.get(plan.home_levels[name], (0, 0))]
            words[position] += plan.step.tensors[name].words(operation.touched.get(name))
            found[plan.home_levels[name]] = (words[0], words[1])
    return found


def _busy(storage: Storage, read: int, written: int) -> float:
    ports = ((read, storage.read_bandwidth), (written, storage.write_bandwidth))
    return max(words / bandwidth if bandwidth else 0.0 for words, bandwidth in ports)


def _access_J(storage: Storage, read: int, written: int) -> float:
    return (read * storage.energy.read_J + written * storage.energy.write_J) / storage.block_words


def _refresh_W(storage: Storage, rows: int) -> float:
    refresh = storage.refresh
    return rows * refresh.row_energy_J / refresh.retention_s if refresh else 0.0


def _rows_held(plan: Plan, level: str) -> list[int]:
    """Rows of residents during each operation (shared ones counted twice)."""
    change = [0] * (len(plan.step.operations) + 1)
    for block in _blocks(plan, level):
        change[block[0]] += block[2]
        change[block[1] + 1] -= block[2]
    return list(accumulate(change))


def _blocks(plan: Plan, level: str) -> Iterable[tuple[int, int, int]]:
    for name, block in plan.blocks.items():
        if plan.homes[name].level == level:
            yield block.live.first, block.live.last, block.stop - block.start
