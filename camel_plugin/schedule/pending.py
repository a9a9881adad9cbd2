"""A plan on its way through the engine: the problems that it asks to map, and the mappings that it brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from camel_plugin.files.plan_file import PlanFile
from camel_plugin.schedule.given import given_results
from camel_plugin.schedule.residency import task
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import ChosenMapping, Plan
from camel_plugin.spec.task import RefreshDuty, Task


@dataclass(frozen=True)
class PendingPlan:
    """A placed step whose operations are to be mapped.

    Attributes:
        plan: without mappings.
        tasks: operation -> what is mapped for it.
        known: operation -> the result of a mapping that was given.
        objective: of the mapper.
    """

    plan: Plan
    tasks: Mapping[str, Task]
    known: Mapping[str, MapResult]
    objective: Objective

    @classmethod
    def of(
        cls,
        plan: Plan,
        duties: Mapping[str, Mapping[str, RefreshDuty]],
        objective: Objective,
        given: PlanFile | None = None,
    ) -> PendingPlan:
        """A plan with its tasks.

        Args:
            plan: as it was made, or read from ``given``.
            duties: operation -> level -> the refresh that its mapper weighs.
            objective: of the mapper.
            given: the file that the plan came from.
        """
        bare = replace(plan, mappings={})
        tasks = {
            operation.name: replace(
                task(bare, operation, duties.get(operation.name)), name=f"{operation.name} ({operation.pass_.value})"
            )
            for operation in plan.step.operations
            if operation.problem is not None
        }
        known = given_results(given, plan, tasks, objective) if given else {}
        return cls(bare, tasks, known, objective)

    @property
    def sought(self) -> tuple[str, ...]:
        """Operations that need a mapping."""
        return tuple(name for name in self.tasks if name not in self.known)

    def mapped(self, results: Iterable[MapResult]) -> tuple[Plan, dict[str, MapResult]]:
        """The plan with all mappings, and operation -> what the mapper said; ``results`` stand as :attr:`sought`."""
        found = {**self.known, **dict(zip(self.sought, results, strict=True))}
        chosen = {
            name: ChosenMapping(
                found[name].mapping, found[name].padded, found[name].lower_bound, each.found_for(self.objective)
            )
            for name, each in self.tasks.items()
        }
        return replace(self.plan, mappings=chosen), found
