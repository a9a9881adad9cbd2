"""``camel sweep``: the same evaluation over the values of several axes, resumable."""

from pathlib import Path
from typing import Annotated

import typer

from camel_plugin.cli import options
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.recipe import Schedule

Axes = Annotated[
    list[str], typer.Option("--axis", metavar="KEY=V1,V2 | KEY=FIRST:LAST:COUNT", help="What to vary; repeatable.")
]
Folder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of sweep.jsonl (resumed) and sweep.csv.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Evaluate again the points that failed before.")]


def sweep_command(
    arch: options.Arch,
    net: options.Net,
    axes: Axes,
    out: Folder,
    settings: options.Settings = None,
    batch: options.Batch = None,
    micro_batch: options.MicroBatch = None,
    norm_group: options.NormGroup = None,
    schedule: options.ScheduleOption = None,
    training: options.Training = None,
    refresh: options.Refresh = "lifetime",
    temperature: options.Temperature = None,
    objective: options.ObjectiveOption = Objective.EDP,
    budget: options.Budget = options.BUDGET_S,
    retry_failed: Retry = False,
) -> None:
    """Evaluate every combination of the axes; an interrupted sweep goes on where it stopped."""
    from functools import partial

    from rich.console import Console

    from camel_plugin import evaluate
    from camel_plugin.cache import Cache, default_folder
    from camel_plugin.components.machines import load_machine_file
    from camel_plugin.plugins import registered
    from camel_plugin.report import export
    from camel_plugin.sweep import runner, space, store

    overrides = options.parse_settings(settings)
    choices = {
        "schedule": [schedule.value for schedule in Schedule],
        "objective": [objective.value for objective in Objective],
        "refresh": list(registered("refresh")),
        "engine": list(registered("engines")),
    }
    parsed = [space.parse_axis(axis, load_machine_file(arch).parameters, choices) for axis in axes]
    fixed = {
        "arch": arch,
        "net": net,
        "overrides": overrides,
        "batch": batch,
        "micro_batch": micro_batch,
        "norm_group": norm_group,
        "schedule": schedule.value if schedule else None,
        "training": options.parse_settings(training, "--training"),
        "refresh": refresh,
        "temperature_C": temperature,
        "objective": objective.value,
        "budget_s": budget,
    }
    points = space.product(parsed, fixed)
    console = Console(stderr=True, highlight=False)

    def progress(done: int, total: int, record: store.Record) -> None:
        label = ", ".join(f"{key}={value}" for key, value in record.varied.items())
        console.print(f"{done}/{total} {record.status} {label} {record.message}".rstrip())

    known = store.Store(out / "sweep.jsonl")
    cached = partial(evaluate, cache=Cache(default_folder()))
    try:
        records = runner.run(points, known, cached, retry_failed=retry_failed, progress=progress)
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here")
        raise typer.Exit(130) from None
    rows = runner.to_rows(records)
    (path,) = export.add(out, {"sweep.csv": export.csv_text(rows)})
    console.print(f"{len(rows)} points in {path}")
    if any(record.status == store.FAILED for record in records):
        raise typer.Exit(1)
