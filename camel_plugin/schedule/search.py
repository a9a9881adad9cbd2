"""Search for the micro-batch and the order of a step: everything is placed and estimated, the best few are mapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from camel_plugin.arch.machine import Machine
from camel_plugin.errors import UnknownNameError
from camel_plugin.schedule.estimate import Estimate, estimate
from camel_plugin.schedule.order import ORDERS, ordered
from camel_plugin.schedule.partition import best_cut
from camel_plugin.schedule.plan import Plan, plan
from camel_plugin.workload.step import Step

AUTO = "auto"
CUT = "cut"
"""The order with the cuts of least estimated traffic."""

CHOICES = (*ORDERS, CUT, AUTO)

FINALISTS = 3
"""Plans that a search maps."""


@dataclass(frozen=True)
class Candidate:
    """A plan and what it promises.

    Attributes:
        micro_batch: samples of one run of an operation.
        depth_first: one of ORDERS, or ``cut``.
        plan: the placed step.
        estimate: its bounds.
    """

    micro_batch: int
    depth_first: str
    plan: Plan
    estimate: Estimate


def search(
    machine: Machine, step_of: Callable[[int], Step], sizes: Sequence[int], depth_first: str, objective: str
) -> list[Candidate]:
    """Plans of a step, the most promising first; of those with the same order of operations only one.

    Micro-batches are tried from the smallest on until two in a row promise less than a smaller one did.

    Args:
        machine: to place it on.
        step_of: micro-batch -> the step, in any order.
        sizes: micro-batches, ascending.
        depth_first: one of ORDERS, ``cut``, or ``auto`` to try them all.
        objective: ``edp``, ``energy`` or ``latency``.

    Raises:
        UnknownNameError: no such order.
    """
    if depth_first not in CHOICES:
        raise UnknownNameError("order", depth_first, CHOICES)
    orders = (*ORDERS, CUT) if depth_first == AUTO else (depth_first,)
    found: list[Candidate] = []
    best, misses = math.inf, 0
    for size in sizes:
        plans = _plans(machine, step_of(size), size, orders)
        value = min(candidate.estimate.value(objective) for candidate in plans)
        misses = 0 if value < best else misses + 1
        best = min(best, value)
        found += plans
        if misses == 2:
            break
    return sorted(found, key=lambda candidate: candidate.estimate.value(objective))


def _plans(machine: Machine, step: Step, micro_batch: int, orders: Sequence[str]) -> list[Candidate]:
    plans: dict[tuple[int, ...], Candidate] = {}
    for order in orders:
        work = best_cut(machine, step) if order == CUT else ordered(step, order)
        if work.borders not in plans:
            placed = plan(machine, work)
            plans[work.borders] = Candidate(micro_batch, order, placed, estimate(placed))
    return list(plans.values())


def micro_batches(batch: int) -> list[int]:
    """Divisors of the batch."""
    return [size for size in range(1, batch + 1) if batch % size == 0]


def tried(found: Sequence[Candidate], mapped: Iterable[tuple[float, float]]) -> list[dict[str, float | int | str]]:
    """What a search looked at, for the report; the first ones with the time and energy that were really found."""
    rows: list[dict[str, float | int | str]] = [
        {
            "micro_batch": each.micro_batch,
            "depth_first": each.depth_first,
            "estimated_latency_s": each.estimate.latency_s,
            "estimated_energy_J": each.estimate.energy_J,
            "estimated_dram_bytes": each.estimate.dram_bytes,
        }
        for each in found
    ]
    for row, (latency_s, energy_J) in zip(rows, mapped, strict=False):
        row.update(latency_s=latency_s, energy_J=energy_J)
    return rows
