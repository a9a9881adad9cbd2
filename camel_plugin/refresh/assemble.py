"""The result of a plan whose operations are mapped."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import zip_longest

from camel_plugin.cache import content_key
from camel_plugin.refresh.account import account
from camel_plugin.result import StepResult, TriedPlan
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.pending import PendingPlan
from camel_plugin.schedule.search import Candidate
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.settings import Order, Settings
from camel_plugin.spec.step import Step


@dataclass(frozen=True)
class Run:
    """What a run chose.

    Attributes:
        settings: of the run.
        recipe: of the network.
        policy: which rows are refreshed.
    """

    settings: Settings
    recipe: Recipe
    policy: RefreshPolicy

    def best(self, found: Sequence[Candidate], results: Sequence[StepResult]) -> StepResult:
        """The best of the plans that were mapped, with what was tried beside them.

        Args:
            found: all plans, the most promising first.
            results: of the first ones.
        """
        goal = self.settings.objective
        best = min(results, key=lambda result: goal.of(result.totals.energy_J, result.totals.latency_s))
        return replace(best, search=_tried(found, results)) if len(found) > 1 else best

    def result(
        self, pending: PendingPlan, mapped: Sequence[MapResult], overrides: Mapping[str, str | float]
    ) -> StepResult:
        """What a step costs.

        Args:
            pending: its plan.
            mapped: what the mapper found for the operations that were sought.
            overrides: parameters of the machine that were set.
        """
        plan, found = pending.mapped(mapped)
        costs = {
            operation.name: operation_cost(
                plan, operation, found[operation.name].evaluation if operation.name in found else None
            )
            for operation in plan.step.operations
        }
        return replace(
            account(plan, costs, self.policy, found),
            settings=replace(self.settings, depth_first=Order(plan.order)),
            recipe=replace(self.recipe, micro_batch=plan.step.micro_batch, norm_group=plan.step.norm_group),
            overrides=overrides,
            versions=_versions(plan.machine, plan.step),
            mapped_anew=pending.sought if pending.known else (),
        )


def _tried(found: Sequence[Candidate], results: Sequence[StepResult]) -> tuple[TriedPlan, ...]:
    """What a search looked at; the first ones with the time and energy that were really found."""
    return tuple(
        TriedPlan(
            each.plan.step.micro_batch,
            each.plan.order,
            each.estimate,
            result.totals.latency_s if result else None,
            result.totals.energy_J if result else None,
        )
        for each, result in zip_longest(found, results)
    )


def _versions(machine: Machine, step: Step) -> dict[str, str]:
    packages = {name: version(name) for name in ("camel-plugin", "numpy", "torch")}
    content = {"machine_sha256": content_key(machine), "step_sha256": content_key(step.body, step.tensors, step.bits)}
    return {"python": platform.python_version(), **packages, **content}
