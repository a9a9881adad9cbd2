"""``camel model``: the cost of one mapping, as ``timeloop-model`` would say it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camel_plugin.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from camel_plugin.files.sources import Source
    from camel_plugin.spec.evaluation import Evaluation

ArchFiles = Annotated[
    list[str],
    typer.Option(
        "--arch",
        metavar="FILE",
        help="Timeloop v0.4 architecture and what belongs to it (files, folders, patterns), or a machine of "
        "`camel list`; repeatable.",
    ),
]
ProblemFiles = Annotated[
    list[str] | None,
    typer.Option("--problem", metavar="FILE", help="Timeloop v0.4 problem, if --arch holds none; repeatable."),
]
MappingFiles = Annotated[
    list[str] | None,
    typer.Option("--mapping", metavar="FILE", help="Timeloop v0.4 mapping, if --arch holds none; repeatable."),
]
ErtFile = Annotated[
    Path | None,
    typer.Option("--ert", metavar="FILE", help="Energies in Accelergy's ERT.yaml form, in place of our own."),
]
FillErt = Annotated[bool, typer.Option("--fill-ert", help="Estimate what the energy table leaves out, and name it.")]


class TimeloopRule(StrEnum):
    """Rules of Timeloop's that are not physics (docs/model.md)."""

    FORGET_HALO = "forget-halo"
    LINK_TRANSFERS = "link-transfers"
    COUNT_GAPS = "count-gaps"


Without = Annotated[
    list[TimeloopRule] | None,
    typer.Option("--without", help="Timeloop rule to switch off where physics is wanted; repeatable."),
]
IgnoreConstraints = Annotated[
    bool, typer.Option("--ignore-constraints", help="Take a mapping that contradicts the machine's constraints.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def model_command(
    arch: ArchFiles,
    problem: ProblemFiles = None,
    mapping: MappingFiles = None,
    ignore_constraints: IgnoreConstraints = False,
    jinja: options.Jinja = None,
    dense: options.Dense = False,
    ert: ErtFile = None,
    fill_ert: FillErt = False,
    without: Without = None,
    refresh: options.Refresh = "lifetime",
    as_json: AsJson = False,
) -> None:
    """Cycles, accesses and energy of a given mapping, on any Timeloop v0.4 files.

    Refresh of tiles that pass through eDRAM stands beside them.
    """
    from camel_plugin.cli.json_output import print_json
    from camel_plugin.components.resolve import read_machine
    from camel_plugin.engine.native.model import evaluate
    from camel_plugin.engine.native.model_rules import ModelRules
    from camel_plugin.files.v04 import read_mapping, read_problem
    from camel_plugin.refresh.duty import idle_duties
    from camel_plugin.spec.refresh import load_policy
    from camel_plugin.spec.task import Task

    reading = options.parse_reading(jinja, dense)
    sources = arch_sources(arch)
    layer = read_problem(file_sources(problem) or sources, reading)
    machine = read_machine(sources, ert=ert, fill_ert=fill_ert, problem=layer, reading=reading)
    task = Task(machine, layer, duties=idle_duties(machine, load_policy(refresh)))
    rules = ModelRules(**{rule.value.replace("-", "_"): False for rule in without or ()})
    given = read_mapping(
        file_sources(mapping) or sources, machine, layer, reading, ignore_constraints=ignore_constraints
    )
    result = evaluate(task, given, rules)
    if as_json:
        print_json(evaluation_json(result))
        return
    from rich.console import Console

    print_evaluation(result, Console(), machine.unconfirmed)


def arch_sources(given: Sequence[str]) -> list[Source]:
    """All that ``--arch`` names."""
    from camel_plugin.components.machines import machine_sources

    return [source for each in given for source in machine_sources(each)]


def file_sources(given: Sequence[str] | None) -> list[Source]:
    """All files that an option names."""
    from camel_plugin.files.sources import expand

    return [file for each in given or () for file in expand(each)]


def evaluation_json(result: Evaluation) -> dict[str, object]:
    """An evaluation as JSON: energies in J, counts in words per instance."""
    return {
        "cycles": result.cycles,
        "computes": result.computes,
        "utilization": result.utilization,
        "energy_J": result.energy_J,
        "compute_J": result.compute_J,
        "refresh_J": result.refresh_J,
        "stall_cycles": result.stall_cycles,
        "bound_by": result.bound_by,
        "levels": {
            name: {
                "instances": level.instances,
                "utilized_instances": level.utilized_instances,
                "bound": level.cycles,
                "energy_J": level.energy_J,
                "leakage_J": level.leakage_J,
                "tensors": {
                    tensor: {
                        "utilized_capacity": stats.utilized_capacity,
                        "reads": stats.reads,
                        "fills": stats.fills,
                        "updates": stats.updates,
                        "temporal_reductions": stats.temporal_reductions,
                        "energy_J": stats.energy_J,
                    }
                    for tensor, stats in level.tensors.items()
                },
            }
            for name, level in result.levels.items()
        },
    }


def print_evaluation(result: Evaluation, console: Console, unconfirmed: Sequence[str] = ()) -> None:
    """An evaluation for people to read; accesses are words per instance, energies sums over all instances."""
    from rich import box
    from rich.measure import Measurement
    from rich.segment import Segments
    from rich.table import Table

    from camel_plugin.report.units import column, quantity

    levels = result.levels.values()
    energies = [level.energy_J for level in levels] + [level.leakage_J for level in levels]
    unit = column([*energies, result.compute_J], "J")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("level", no_wrap=True)
    titles = ("used", "cycles", "tile", "reads", "fills", "updates", "energy", "leakage")
    for title, measure in zip(titles, ("", "", *["words"] * 4, unit.unit, unit.unit), strict=True):
        table.add_column(f"{title}\n{measure}", justify="right", no_wrap=True)
    for name, level in result.levels.items():
        used = f"{level.utilized_instances}/{level.instances}"
        joules = unit.format(level.energy_J), unit.format(level.leakage_J)
        table.add_row(name, used, f"{level.cycles:,}", "", "", "", "", *joules)
        for tensor, stats in level.tensors.items():
            counts = (stats.utilized_capacity, stats.reads, stats.fills, stats.updates)
            table.add_row(f"  {tensor}", "", "", *(f"{count:,}" for count in counts), unit.format(stats.energy_J))
    table.add_row("compute", "", "", "", "", "", "", unit.format(result.compute_J))
    console.print(
        f"{result.cycles:,} cycles (bound by {result.bound_by}), {result.computes:,} MACs, utilization "
        f"{result.utilization:.2%}, {quantity(result.energy_J, 'J')}",
        highlight=False,
        soft_wrap=True,
    )
    # Below its natural width a table would lose digits: it runs over the edge instead.
    natural = Measurement.get(console, console.options.update(max_width=1000), table).maximum
    console.print(Segments(console.render(table, console.options.update(width=natural))), crop=False, soft_wrap=True)
    if result.refresh_J or result.stall_cycles:
        console.print(
            f"refresh, beside these: {quantity(result.refresh_J, 'J')} and {result.stall_cycles:,} cycles",
            highlight=False,
        )
    console.print("accesses are words per instance, energies those of all instances", style="dim", highlight=False)
    for note in unconfirmed:
        console.print(f"unconfirmed: {note}", style="dim", highlight=False, soft_wrap=True, markup=False)
