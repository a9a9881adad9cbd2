"""The pipeline: machine and network in, the cost of one training step out: plan -> map -> account -> result."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache as once
from pathlib import Path

from camel_plugin.cache import Cache
from camel_plugin.components.machines import load_machine
from camel_plugin.engine.jobs import Progress, map_all
from camel_plugin.engine.timeloop.energies import with_accelergy_energies
from camel_plugin.files.plan_file import read_plan
from camel_plugin.files.sources import AS_THEY_LIE, Reading
from camel_plugin.plugins import load
from camel_plugin.refresh.assemble import Run
from camel_plugin.refresh.duty import duties
from camel_plugin.result import StepResult
from camel_plugin.schedule.pending import PendingPlan
from camel_plugin.schedule.replan import replanned, with_plan
from camel_plugin.schedule.search import FINALISTS, search
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.refresh import load_policy
from camel_plugin.spec.settings import Energies, Settings, split
from camel_plugin.spec.step import Step
from camel_plugin.workload.load import Input, load_network


def evaluate(arch: str | Path, net: str, **choices: object) -> StepResult:
    """Cost of one training step of ``net`` on ``arch``; keyword arguments and errors as in :func:`compare`."""
    return compare([arch], net, **choices)  # type: ignore[arg-type]


def compare(
    archs: Sequence[str | Path],
    net: str,
    *,
    overrides: Mapping[str, str | float] | None = None,
    reading: Reading = AS_THEY_LIE,
    input: Input | None = None,
    training: Mapping[str, object] | None = None,
    plan: Path | str | None = None,
    workers: int | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    **choices: object,
) -> StepResult:
    """Cost of one training step on the first machine, with the others as its baselines.

    Args:
        archs: machines, by name, machine file or Timeloop v0.4 files.
        net: network, by name, network file or ``package.module:factory``.
        overrides: parameters of the FIRST machine, name -> number or text.
        reading: how Timeloop files are read: values for their Jinja2 templates, say.
        input: shape of one sample, in place of the network file's, see :func:`load_network`.
        training: fields of the recipe in place of the network file's, name -> value or text.
        plan: file of a plan of the first machine, in place of an order: its tree, homes and mappings are taken as they
            stand, and batch, micro-batch and schedule are its own unless given.
        workers: processes, default one a core.
        cache: of mapping results; None for none.
        progress: called as problems are mapped.
        choices: fields of :class:`camel_plugin.spec.settings.Settings` (``refresh``, ``objective``, ``temperature_C``
            ...) and of :class:`camel_plugin.spec.recipe.Recipe` (``batch``, ``schedule`` ...); ``micro_batch`` may be
            ``auto``.

    Raises:
        InputError: something named or given is wrong.
        InfeasibleError: a tensor or problem that the machine cannot hold.
        EngineError: the engine failed.
    """
    settings, recipe = split(choices)
    policy = load_policy(settings.refresh)
    given = read_plan(plan) if plan is not None else None
    if given is not None:
        recipe = with_plan(given, settings, recipe)
    machines = [_machine(arch, settings, {} if position else overrides, reading) for position, arch in enumerate(archs)]
    network = load_network(net, input=input, training=training, **recipe)  # type: ignore[arg-type]

    @once
    def step_of(micro_batch: int | None) -> Step:
        return replace(network, recipe=replace(network.recipe, micro_batch=micro_batch)).kept_step(cache)

    sizes = network.micro_batches if settings.search_micro_batch else [network.recipe.micro_batch]
    planned = [
        search(machine, step_of, sizes, settings.depth_first, settings.objective, policy)
        if given is None or position
        else [replanned(given, machine, step_of(*sizes), policy)]
        for position, machine in enumerate(machines)
    ]
    weighed = policy if load("engines", settings.engine).weighs_refresh else None
    pending = [
        [
            PendingPlan.of(each.plan, duties(each.plan, weighed), settings.objective, None if position else given)
            for each in found[:FINALISTS]
        ]
        for position, found in enumerate(planned)
    ]
    tasks = [one.tasks[name] for plans in pending for one in plans for name in one.sought]
    mapped = iter(map_all(tasks, settings, workers=workers, cache=cache, progress=progress))
    run = Run(settings, network.recipe, policy)
    first, *baselines = (
        run.best(found, [run.result(one, [next(mapped) for _ in one.sought], overrides or {}) for one in plans])
        for found, plans, overrides in zip(planned, pending, [overrides, *[None] * len(archs)], strict=False)
    )
    return replace(first, baselines=tuple(baselines))


def _machine(
    arch: str | Path, settings: Settings, overrides: Mapping[str, str | float] | None, reading: Reading
) -> Machine:
    machine = load_machine(arch, overrides, temperature_C=settings.temperature_C, reading=reading)
    return with_accelergy_energies(machine) if settings.energies is Energies.ACCELERGY else machine
