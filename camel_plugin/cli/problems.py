"""``camel problems``: the Timeloop v0.4 problems of a training step, without any machine."""

from pathlib import Path
from typing import Annotated

import typer

from camel_plugin.cli import options


def problems_command(
    net: options.Net,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for problems/*.yaml and problems.csv.")],
    input: options.Input = None,
    batch: options.Batch = None,
    micro_batch: options.MicroBatch = None,
    norm_group: options.NormGroup = None,
    schedule: options.ScheduleOption = None,
    training: options.Training = None,
    strict: options.Strict = False,
) -> None:
    """Write every distinct problem of a training step, and which operation of which pass uses which."""
    import sys

    from camel_plugin.interop.specs import problem_files
    from camel_plugin.report import export
    from camel_plugin.workload.load import load_network

    network = load_network(
        net,
        input=options.parse_input(input),
        batch=batch,
        micro_batch=micro_batch,
        norm_group=norm_group,
        schedule=schedule,
        training=options.parse_settings(training, "--training"),
        strict=strict or None,
    )
    step = network.step()
    for note in step.coverage.unsupported:
        print(f"NOT modelled: {note}", file=sys.stderr)
    for path in export.add(out, problem_files(step, folder="")):
        print(path)
