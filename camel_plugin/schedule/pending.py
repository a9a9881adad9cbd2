"""A plan on its way through the engine: the problems that it asks to map, and the mappings that it brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from camel_plugin.engine.base import MapResult
from camel_plugin.engine.jobs import Job, task_key
from camel_plugin.files.plan_file import PlanFile
from camel_plugin.schedule.given import given_results
from camel_plugin.schedule.residency import operation_machine
from camel_plugin.spec.machine import RefreshDuty
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import ChosenMapping, Plan


@dataclass(frozen=True)
class PendingPlan:
    """A placed step whose operations are to be mapped.

    Attributes:
        plan: without mappings.
        jobs: operation -> its problem with the machine to map it on.
        known: operation -> the result of a mapping that was given.
        objective: of the mapper.
    """

    plan: Plan
    jobs: Mapping[str, Job]
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
        """A plan with its jobs.

        Args:
            plan: as it was made, or read from ``given``.
            duties: operation -> level -> the refresh that its mapper weighs.
            objective: of the mapper.
            given: the file that the plan came from.
        """
        bare = replace(plan, mappings={})
        jobs = {
            operation.name: Job(
                operation_machine(bare, operation).with_duties(duties.get(operation.name, {})),
                operation.problem,
                f"{plan.machine.name}: {operation.name}",
            )
            for operation in plan.step.operations
            if operation.problem is not None
        }
        known = given_results(given, plan, jobs, objective) if given else {}
        return cls(bare, jobs, known, objective)

    @property
    def sought(self) -> tuple[str, ...]:
        """Operations that need a mapping."""
        return tuple(name for name in self.jobs if name not in self.known)

    def mapped(self, results: Iterable[MapResult]) -> tuple[Plan, dict[str, MapResult]]:
        """The plan with all mappings, and operation -> what the mapper said; ``results`` stand as :attr:`sought`."""
        found = {**self.known, **dict(zip(self.sought, results, strict=True))}
        chosen = {
            name: ChosenMapping(
                found[name].mapping, found[name].padded, found[name].lower_bound, task_key(job, self.objective)
            )
            for name, job in self.jobs.items()
        }
        return replace(self.plan, mappings=chosen), found
