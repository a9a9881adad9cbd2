"""Search for the micro-batch and the order of a step: everything is placed and estimated, the best few are mapped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from camel_plugin.errors import UnknownNameError
from camel_plugin.schedule.estimate import Estimate, estimate
from camel_plugin.schedule.order import ORDERS, loops, ordered
from camel_plugin.schedule.partition import best_cut
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Step

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
        plan: the placed step; its order is one of ORDERS, or ``cut``.
        estimate: its bounds.
    """

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
    found: list[Candidate] = []
    best, misses = math.inf, 0
    for size in sizes:
        plans = _plans(machine, step_of(size), depth_first)
        value = min(candidate.estimate.value(objective) for candidate in plans)
        misses = 0 if value < best else misses + 1
        best = min(best, value)
        found += plans
        if misses == 2:
            break
    return sorted(found, key=lambda candidate: candidate.estimate.value(objective))


def _plans(machine: Machine, step: Step, depth_first: str) -> list[Candidate]:
    named = ORDERS if depth_first in (AUTO, CUT) else (depth_first,)
    steps = [(order, ordered(step, order)) for order in named]
    if depth_first in (AUTO, CUT):
        steps.append((CUT, best_cut(machine, step)))
    found: dict[tuple[int, ...], Candidate] = {}
    for order, work in steps:
        cuts = tuple(loop.start for loop in loops(work))
        if cuts not in found:
            placed = replace(plan(machine, work), order=order)
            found[cuts] = Candidate(placed, estimate(placed))
    if depth_first == CUT:
        # The model behind the cuts knows no addresses; where it errs, one of the named orders moves less.
        least = min(found.values(), key=lambda candidate: candidate.estimate.dram_bytes)
        return [replace(least, plan=replace(least.plan, order=CUT))]
    return list(found.values())


def micro_batches(batch: int) -> list[int]:
    """Divisors of the batch."""
    return [size for size in range(1, batch + 1) if batch % size == 0]


def tried(found: Sequence[Candidate], mapped: Iterable[tuple[float, float]]) -> list[dict[str, float | int | str]]:
    """What a search looked at, for the report; the first ones with the time and energy that were really found."""
    rows: list[dict[str, float | int | str]] = [
        {
            "micro_batch": each.plan.step.micro_batch,
            "depth_first": each.plan.order,
            "estimated_latency_s": each.estimate.latency_s,
            "estimated_energy_J": each.estimate.energy_J,
            "estimated_dram_bytes": each.estimate.dram_bytes,
        }
        for each in found
    ]
    for row, (latency_s, energy_J) in zip(rows, mapped, strict=False):
        row.update(latency_s=latency_s, energy_J=energy_J)
    return rows


def note(found: Sequence[Candidate], mapped: Sequence[tuple[float, float]]) -> str:
    """The same in a sentence."""
    sizes = ", ".join(str(size) for size in sorted({each.plan.step.micro_batch for each in found}))
    best = "; ".join(
        f"micro-batch {each.plan.step.micro_batch} {each.plan.order}: {latency_s * 1e3:.4g} ms, {energy_J * 1e3:.4g} mJ"
        for each, (latency_s, energy_J) in zip(found, mapped, strict=False)
    )
    return f"searched {len(found)} plans (micro-batch {sizes}), the most promising mapped: {best}"
