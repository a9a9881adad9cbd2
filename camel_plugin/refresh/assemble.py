"""The result of a plan whose operations are mapped."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

from camel_plugin.cache import content_key
from camel_plugin.files.v04.mapping_file import write_mapping
from camel_plugin.refresh.account import account
from camel_plugin.refresh.ledger import OperationAccount
from camel_plugin.refresh.remedies import LevelLifetimes
from camel_plugin.result import (
    LevelResult,
    LifetimeResult,
    OperationResult,
    StepResult,
    TensorResult,
    run_totals,
    total,
)
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.pending import PendingPlan
from camel_plugin.schedule.placement import peak_bytes
from camel_plugin.schedule.search import Candidate
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.step import Operation, Step


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
        settings = dict(best.settings)
        if len(found) > 1:
            settings["schedule_search"] = _tried(found, results)
        run = run_totals(best.totals, self.recipe.batch, self.settings.dataset, self.settings.epochs)
        return replace(best, settings=settings, run=run)

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
        machine, step = plan.machine, plan.step
        costs = {
            operation.name: operation_cost(
                plan, operation, found[operation.name].evaluation if operation.name in found else None
            )
            for operation in step.operations
        }
        accounts = account(plan, costs, self.policy)
        operations = [
            _operation_result(machine, operation, entry, step.trips(operation.name), found.get(operation.name))
            for operation, entry in zip(step.operations, accounts.operations, strict=True)
        ]
        retention_s = {s.name: s.edram.retention_s for s in machine.storages if s.edram is not None}
        return StepResult(
            arch=machine.name,
            net=step.network,
            engine=self.settings.engine,
            settings={
                **self._settings,
                "overrides": dict(overrides),
                "micro_batch": step.micro_batch,
                "depth_first": plan.order,
                "temperature_C": machine.temperature_C,
                "retention_s": retention_s,
            },
            versions=_versions(machine, step),
            totals=total(
                operations,
                peak_onchip_bytes=sum(peak_bytes(plan).values()),
                area_m2=machine.area_m2,
            ),
            operations=operations,
            tensors=[
                TensorResult(
                    name=entry.name,
                    kind=step.tensors[entry.name].kind.value,
                    bytes=entry.bytes,
                    home=entry.home,
                    produced_by=entry.produced_by,
                    last_used_by=entry.last_used_by,
                    lifetime_s=entry.lifetime_s,
                    refreshes=entry.refreshes,
                )
                for entry in accounts.tensors
            ],
            coverage=asdict(step.coverage),
            lifetimes=[_lifetimes(level) for level in accounts.lifetimes],
            unconfirmed=machine.unconfirmed,
            published=machine.published,
            mapped_anew=pending.sought if pending.known else (),
            plan=plan,
        )

    @property
    def _settings(self) -> dict[str, Any]:
        chosen = self.settings
        return {
            "schedule": self.recipe.schedule.value,
            "training": self.recipe.heeded,
            "batch": self.recipe.batch,
            "refresh": chosen.refresh,
            "objective": chosen.objective.value,
            "energies": chosen.energies.value,
            "budget_s": chosen.budget_s,
            "pad": chosen.pad,
        }


def _tried(found: Sequence[Candidate], results: Sequence[StepResult]) -> list[dict[str, float | int | str]]:
    """What a search looked at; the first ones with the time and energy that were really found."""
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
    for row, result in zip(rows, results, strict=False):
        row.update(latency_s=result.totals.latency_s, energy_J=result.totals.energy_J)
    return rows


def _operation_result(
    machine: Machine, operation: Operation, entry: OperationAccount, trips: int, mapped: MapResult | None
) -> OperationResult:
    return OperationResult(
        name=operation.name,
        pass_=operation.pass_.value,
        kind=operation.kind,
        partner=operation.partner,
        repeats=trips,
        macs=entry.macs,
        cycles=entry.cycles,
        stall_cycles=entry.stall_cycles,
        latency_s=entry.latency_s,
        bound_by=entry.bound_by,
        utilization=entry.utilization,
        energy_J=entry.energy_J,
        compute_J=entry.compute_J,
        dynamic_J=sum(entry.dynamic_J.values()),
        leakage_J=entry.leakage_J,
        refresh_J=sum(entry.refresh_J.values()),
        dram_J=entry.dram_J,
        refresh_count=entry.refresh_count,
        dram_bytes=entry.dram_read_bytes + entry.dram_written_bytes,
        levels={
            name: LevelResult(traffic.read_words, traffic.written_words, traffic.energy_J)
            for name, traffic in entry.levels.items()
        },
        lifetimes=[
            LifetimeResult(data.tensor, data.level, data.lifetime_s, data.retention_s, data.rule)
            for data in entry.lifetimes
        ],
        mapping=write_mapping(mapped.mapping, machine, operation.problem) if mapped and operation.problem else "",
        optimality_gap=mapped.optimality_gap if mapped else None,
        padded=dict(mapped.padded) if mapped else {},
        corrupted_share=entry.corrupted_share,
    )


def _versions(machine: Machine, step: Step) -> dict[str, str]:
    packages = {name: version(name) for name in ("camel-plugin", "numpy", "torch")}
    content = {
        "machine_sha256": content_key(machine),
        "step_sha256": content_key(step.body, step.tensors, step.bits),
    }
    return {"python": platform.python_version(), **packages, **content}


def _lifetimes(level: LevelLifetimes) -> dict[str, Any]:
    return {
        "level": level.level,
        "retention_s": level.retention_s,
        "histogram": [
            {"below_retentions": None if math.isinf(edge) else edge, "share_of_rows": share}
            for edge, share in level.histogram.items()
        ],
        "outliving": [asdict(remedy) for remedy in level.outliving],
    }
