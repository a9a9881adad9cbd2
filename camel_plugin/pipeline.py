"""The pipeline: machine and network in, the cost of one training step out.

machine file --render, resolve--> Machine
network file --capture, lower---> Step
Machine + Step --place----------> homes of the tensors; a machine and a problem for each operation
engine -------------------------> a mapping and its cost for each distinct problem
everything --account------------> lifetimes, refresh, totals
"""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from camel_plugin import workload
from camel_plugin.cache import Cache, content_key, source_digest
from camel_plugin.components.machines import load_machine
from camel_plugin.engine.base import MapResult, Objective
from camel_plugin.engine.jobs import Job, Progress, map_all, task_key
from camel_plugin.engine.timeloop.energies import with_accelergy_energies
from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.files.plan_file import PlanFile, read_plan
from camel_plugin.files.v04.mapping_file import write_mapping
from camel_plugin.interop.specs import machine_files, problem_files
from camel_plugin.plugins import load
from camel_plugin.refresh.account import account
from camel_plugin.refresh.duty import duties
from camel_plugin.refresh.ledger import OperationAccount
from camel_plugin.refresh.policies.base import RefreshPolicy
from camel_plugin.refresh.remedies import LevelLifetimes
from camel_plugin.report.refresh import level_notes
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
from camel_plugin.schedule.estimate import estimate
from camel_plugin.schedule.formats import format_notes, in_words
from camel_plugin.schedule.given import given_results
from camel_plugin.schedule.placement import peak_bytes
from camel_plugin.schedule.replan import replan
from camel_plugin.schedule.residency import operation_machine
from camel_plugin.schedule.search import AUTO, FINALISTS, Candidate, micro_batches, search, tried
from camel_plugin.schedule.search import note as search_note
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.plan import ChosenMapping, Plan
from camel_plugin.spec.step import Operation, Step
from camel_plugin.workload.capture.inputs import InputTensor
from camel_plugin.workload.network import Network
from camel_plugin.workload.network_file import load_network


def evaluate(arch: str, net: str, **choices: Any) -> StepResult:
    """Cost of one training step of ``net`` on ``arch``; keyword arguments and errors as in :func:`compare`."""
    return compare([arch], net, **choices)


def compare(
    archs: Sequence[str],
    net: str,
    *,
    overrides: Mapping[str, str | float] | None = None,
    input: Sequence[int] | InputTensor | Mapping[str, InputTensor] | None = None,
    batch: int | None = None,
    micro_batch: int | str | None = None,
    depth_first: str = "network",
    plan: Path | str | None = None,
    schedule: str | None = None,
    training: Mapping[str, Any] | None = None,
    strict: bool = False,
    refresh: str = "lifetime",
    temperature_C: float | None = None,
    objective: str = "edp",
    dataset: int | None = None,
    epochs: float | None = None,
    engine: str = "native",
    energies: str = "builtin",
    budget_s: float = 10.0,
    pad: bool = True,
    workers: int | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> StepResult:
    """Cost of one training step on the first machine, with the others as its baselines.

    Args:
        archs: machines, by name, machine file or Timeloop v0.4 files.
        net: network, by name, network file or ``package.module:factory``.
        overrides: parameters of the FIRST machine, name -> number or text.
        input: shape of one sample, in place of the network file's, see :func:`load_network`.
        batch: samples of the step.
        micro_batch: samples of one run of an operation; divides ``batch``. ``auto`` searches for the best.
        depth_first: how far a micro-batch runs before the next one starts: ``network``, ``stage``, ``block``, ``none``
            (one operation), ``cut`` (where the estimated traffic is least) or ``auto`` (all of them are tried).
        plan: file of a plan of the first machine, in place of an order: its tree, homes and mappings are taken as they
            stand, and batch, micro-batch and schedule are its own unless given.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        training: further settings of the recipe in place of the network file's, name -> value or text:
            ``optimizer``, ``trainable``, ``precision`` ..., see :mod:`camel_plugin.spec.recipe`.
        strict: refuse networks with operators that are not modelled.
        refresh: registered refresh policy.
        temperature_C: of every machine, in place of their own.
        objective: ``edp``, ``energy`` or ``latency`` of each operation.
        dataset: samples of an epoch, for totals of an epoch.
        epochs: until the target accuracy; with ``dataset`` gives time and energy to accuracy.
        engine: registered engine.
        energies: ``builtin`` component models, or ``accelergy``: what the installed Accelergy says of the same files.
        budget_s: wall-clock budget of the mapper for one distinct problem.
        pad: also map padded sizes of problems, where meshes cannot share out the true ones evenly.
        workers: processes, default one a core.
        cache: of mapping results; None for none.
        progress: called as problems are mapped.

    Raises:
        InputError: something named or given is wrong.
        InfeasibleError: a tensor or problem that the machine cannot hold.
        EngineError: the engine failed.
    """
    policy: RefreshPolicy = load("refresh", refresh)()
    if epochs is not None and dataset is None:
        raise InputError("epochs of what?", field="epochs", value=epochs, suggestion="give dataset, its samples")
    try:
        goal = Objective(objective)
    except ValueError:
        raise InputError(
            "unknown objective", field="objective", value=objective, suggestion="valid: " + ", ".join(Objective)
        ) from None
    machines = [
        load_machine(arch, overrides if position == 0 else None, temperature_C=temperature_C)
        for position, arch in enumerate(archs)
    ]
    if energies == "accelergy":
        machines = [with_accelergy_energies(machine) for machine in machines]
    elif energies != "builtin":
        raise UnknownNameError("source of energies", energies, ("accelergy", "builtin"), field="energies")
    given = read_plan(plan) if plan is not None else None
    if given is not None:
        if given.mappings and engine != "native":
            raise InputError(
                "mappings of a plan are evaluated by the native model", field="engine", value=engine,
                suggestion="use native, or take the mappings out of the plan",
            )  # fmt: skip
        if depth_first not in ("network", given.order):
            raise InputError("a plan has its order", field="depth_first", value=depth_first, suggestion=given.order)
        batch, micro_batch = batch or given.batch, micro_batch or given.micro_batch
        schedule = schedule or given.schedule
    searched = micro_batch == AUTO
    network = load_network(
        net,
        input=input,
        batch=batch,
        micro_batch=None if searched else _size(micro_batch),
        schedule=schedule,
        training=training,
        strict=strict or None,
    )

    @functools.cache
    def step_of(size: int) -> Step:
        return _step(replace(network, micro_batch=size), cache)

    sizes = micro_batches(network.batch) if searched else [network.micro_batch]
    searches = [
        search(machine, lambda size, on=machine: in_words(on, step_of(size)), sizes, depth_first, goal)  # type: ignore[misc]
        for machine in (machines if given is None else machines[1:])
    ]
    if given is not None:
        fixed = replan(given, machines[0], in_words(machines[0], step_of(network.micro_batch)))
        searches.insert(0, [Candidate(fixed, estimate(fixed))])
    weighed = policy if load("engines", engine).weighs_refresh else None
    finalists = [
        [_Plan.of(candidate.plan, weighed, goal, given if position == 0 else None) for candidate in found[:FINALISTS]]
        for position, found in enumerate(searches)
    ]
    jobs = [plan.jobs[name] for plans in finalists for plan in plans for name in plan.sought]
    mapped = iter(
        map_all(
            engine, jobs, objective=goal, budget_s=budget_s, pad=pad, workers=workers, cache=cache, progress=progress
        )
    )
    settings = {
        "schedule": network.schedule,
        "training": network.recipe,
        "batch": network.batch,
        "refresh": refresh,
        "objective": goal.value,
        "energies": energies,
        "budget_s": budget_s,
        "pad": pad,
    }
    results = []
    for position, (found, plans) in enumerate(zip(searches, finalists, strict=True)):
        own = {**settings, "overrides": dict(overrides or {}) if position == 0 else {}}
        outcomes = [
            plan.result(
                [next(mapped) for _ in plan.sought],
                goal,
                policy,
                engine,
                own,
            )
            for plan in plans
        ]
        best = min(outcomes, key=lambda outcome: outcome.totals.value(goal))
        if len(found) > 1:
            costs = [(outcome.totals.latency_s, outcome.totals.energy_J) for outcome in outcomes]
            best = replace(
                best,
                settings={**best.settings, "schedule_search": tried(found, costs)},
                notes=[search_note(found, costs), *best.notes],
            )
        run = run_totals(best.totals, network.batch, dataset, epochs)
        results.append(replace(best, run=run, notes=[*best.notes, *_run_notes(run)]))
    files = {path: text for machine in machines for path, text in machine_files(machine).items()}
    problems = problem_files(step_of(results[0].settings["micro_batch"]))
    return replace(results[0], baselines=tuple(results[1:]), files={**files, **problems})


def _step(network: Network, cache: Cache | None) -> Step:
    """The step of a network. One made of our own modules is kept: its next run needs no torch."""
    if cache is None or not network.origin:
        return network.step()
    key = content_key(source_digest(Path(workload.__file__).parent), version("torch"), network)
    step = cache.get(key, Step)
    if step is None:
        step = network.step()
        cache.put(key, step)
    return step


def _size(micro_batch: int | str | None) -> int | None:
    if isinstance(micro_batch, str):
        raise InputError("not a micro-batch", field="micro_batch", value=micro_batch, suggestion=f"a number or {AUTO}")
    return micro_batch


@dataclass(frozen=True)
class _Plan:
    """A placed step on its way through the engine.

    Attributes:
        plan: without mappings.
        jobs: operation -> its problem with the machine to map it on.
        known: operation -> the result of a mapping that was given.
    """

    plan: Plan
    jobs: Mapping[str, Job]
    known: Mapping[str, MapResult]

    @classmethod
    def of(cls, plan: Plan, policy: RefreshPolicy | None, objective: Objective, given: PlanFile | None) -> _Plan:
        """A plan with its jobs; the mapper weighs refresh by ``policy`` if there is one."""
        bare = replace(plan, mappings={})
        known = duties(bare, policy) if policy else {}
        jobs = {
            operation.name: Job(
                operation_machine(bare, operation).with_duties(known.get(operation.name, {})),
                operation.problem,
                f"{plan.machine.name}: {operation.name}",
            )
            for operation in plan.step.operations
            if operation.problem is not None
        }
        return cls(bare, jobs, given_results(given, plan, jobs, objective) if given else {})

    @property
    def sought(self) -> list[str]:
        """Operations that need a mapping."""
        return [name for name in self.jobs if name not in self.known]

    def result(
        self,
        mapped: Sequence[MapResult],
        objective: Objective,
        policy: RefreshPolicy,
        engine: str,
        settings: Mapping[str, Any],
    ) -> StepResult:
        found = {**self.known, **dict(zip(self.sought, mapped, strict=True))}
        chosen = {
            name: ChosenMapping(
                found[name].mapping, found[name].padded, found[name].lower_bound, task_key(job, objective)
            )
            for name, job in self.jobs.items()
        }
        plan = replace(self.plan, mappings=chosen)
        machine, step = plan.machine, plan.step
        costs = {
            operation.name: operation_cost(
                plan, operation, found[operation.name].evaluation if operation.name in found else None
            )
            for operation in step.operations
        }
        accounts = account(plan, costs, policy)
        lifetimes = [_lifetimes(level) for level in accounts.lifetimes]
        operations = [
            _operation_result(machine, operation, entry, step.trips(operation.name), found.get(operation.name))
            for operation, entry in zip(step.operations, accounts.operations, strict=True)
        ]
        retention_s = {s.name: s.refresh.retention_s for s in machine.storages if s.refresh is not None}
        return StepResult(
            arch=machine.name,
            net=step.network,
            engine=engine,
            settings={
                **settings,
                "micro_batch": step.micro_batch,
                "depth_first": plan.order,
                "temperature_C": machine.temperature_C,
                "retention_s": retention_s,
            },
            versions=_versions(machine, self.plan.step),
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
            notes=[
                *format_notes(machine, step),
                *_spill_notes(plan),
                *_padding_notes(plan),
                *_anew_notes(self.sought if self.known else ()),
                *(note for level in lifetimes for note in level_notes(level)),
            ],
            lifetimes=lifetimes,
            unconfirmed=machine.unconfirmed,
            published=machine.published,
            plan=plan,
        )


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


def _run_notes(run: Mapping[str, float]) -> list[str]:
    named = {"epoch": "an epoch", "target": "until the target (TTA, ETA)"}
    return [
        f"{words}: {run[f'{name}_latency_s']:.4g} s, {run[f'{name}_energy_J']:.4g} J"
        for name, words in named.items()
        if f"{name}_latency_s" in run
    ]


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


def _padding_notes(plan: Plan) -> list[str]:
    pairs = [
        (operation.macs * plan.step.trips(operation.name), problem.macs * plan.step.trips(operation.name))
        for operation in plan.step.operations
        if (problem := plan.mapped_problem(operation)) is not None and problem != operation.problem
    ]
    if not pairs:
        return []
    added = sum(mapped for _, mapped in pairs) / sum(asked for asked, _ in pairs) - 1
    return [f"{len(pairs)} operations are mapped on padded sizes: {added:.1%} more MACs there, not counted as work"]


def _anew_notes(names: Sequence[str]) -> list[str]:
    return [f"{len(names)} operations are mapped anew beside the plan's mappings: {', '.join(names)}"] if names else []


def _spill_notes(plan: Plan) -> list[str]:
    if not plan.reasons:
        return []
    outermost = plan.machine.storages[0]
    sizes = {name: outermost.bits(plan.step.tensors[name].words()) / 8 for name in plan.reasons}
    largest = max(sizes, key=lambda name: sizes[name])
    return [
        f"{len(sizes)} of {len(plan.ranges)} tensors rest in {outermost.name}; "
        f"the largest is {largest} ({sizes[largest]:.0f} bytes: {plan.reasons[largest]})"
    ]
