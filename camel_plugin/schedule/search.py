"""Search for the micro-batch and the order of a step: everything is placed and estimated, the best few are mapped."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from camel_plugin.result import Estimate
from camel_plugin.schedule.estimate import estimate
from camel_plugin.schedule.formats import in_words
from camel_plugin.schedule.order import ORDERS, loops, ordered
from camel_plugin.schedule.partition import best_cut
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.settings import Order
from camel_plugin.spec.step import Step

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

    def value(self, objective: Objective) -> float:
        """What is minimised."""
        return objective.of(self.estimate.energy_J, self.estimate.latency_s)


def search(
    machine: Machine,
    step_of: Callable[[int | None], Step],
    sizes: Sequence[int | None],
    order: Order,
    objective: Objective,
    policy: RefreshPolicy,
) -> list[Candidate]:
    """Plans of a step, the most promising first; of those with the same order of operations only one.

    Micro-batches are tried from the smallest on until two in a row promise less than a smaller one did.

    Args:
        machine: to place it on.
        step_of: micro-batch -> the step, in any order.
        sizes: micro-batches, ascending.
        order: of the loops; ``auto`` tries them all.
        objective: what counts.
        policy: which rows are refreshed.
    """
    found: list[Candidate] = []
    best, misses = math.inf, 0
    for size in sizes:
        plans = _plans(machine, in_words(machine, step_of(size)), order, policy)
        value = min(candidate.value(objective) for candidate in plans)
        misses = 0 if value < best else misses + 1
        best = min(best, value)
        found += plans
        if misses == 2:
            break
    return sorted(found, key=lambda candidate: candidate.value(objective))


def _plans(machine: Machine, step: Step, asked: Order, policy: RefreshPolicy) -> list[Candidate]:
    steps = [(order, ordered(step, order)) for order in (ORDERS if asked in (Order.AUTO, Order.CUT) else (asked,))]
    if asked in (Order.AUTO, Order.CUT):
        steps.append((Order.CUT, best_cut(machine, step)))
    found: dict[tuple[int, ...], Candidate] = {}
    for order, work in steps:
        cuts = tuple(loop.start for loop in loops(work))
        if cuts not in found:
            placed = replace(plan(machine, work, policy), order=order.value)
            found[cuts] = Candidate(placed, estimate(placed, policy))
    if asked is Order.CUT:
        # The model behind the cuts knows no addresses; where it errs, one of the named orders moves less.
        least = min(found.values(), key=lambda candidate: candidate.estimate.dram_bytes)
        return [replace(least, plan=replace(least.plan, order=Order.CUT.value))]
    return list(found.values())
