"""``camel map``: the best mapping of a problem, as ``timeloop-mapper`` would look for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camel_plugin.cli.model import ArchFiles, AsJson, ErtFile, FillErt, ProblemFiles
from camel_plugin.cli.options import Dense, Jinja, ObjectiveOption, Pad, Refresh, parse_reading
from camel_plugin.spec.objective import Objective

if TYPE_CHECKING:
    from camel_plugin.spec.evaluation import MapResult

BUDGET_S = 60.0
"""Default wall-clock budget; most problems need a second."""

Budget = Annotated[float, typer.Option(min=0.0, metavar="SECONDS", help="Most seconds to search.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder for mapping, problem and stats.")]


def map_command(
    arch: ArchFiles,
    problem: ProblemFiles = None,
    jinja: Jinja = None,
    dense: Dense = False,
    ert: ErtFile = None,
    fill_ert: FillErt = False,
    objective: ObjectiveOption = Objective.EDP,
    refresh: Refresh = "lifetime",
    budget: Budget = BUDGET_S,
    pad: Pad = False,
    as_json: AsJson = False,
    out: Out = None,
) -> None:
    """The best mapping on any Timeloop v0.4 files, proven optimal or with the gap to a bound.

    The objective includes the refresh of tiles that pass through eDRAM; ``--refresh none`` leaves it out.
    """
    import json
    from functools import partial

    from rich.console import Console

    from camel_plugin.cli.json_output import infeasible_as_json, print_json
    from camel_plugin.cli.model import arch_sources, file_sources, print_evaluation
    from camel_plugin.components.resolve import read_machine
    from camel_plugin.engine.native import NativeEngine
    from camel_plugin.engine.padded import map_padded
    from camel_plugin.files.v04 import read_problem, write_mapping
    from camel_plugin.files.v04.problem_file import write_problem
    from camel_plugin.refresh.duty import idle_duties
    from camel_plugin.spec.refresh import load_policy
    from camel_plugin.spec.task import Task

    reading = parse_reading(jinja, dense)
    sources = arch_sources(arch)
    layer = read_problem(file_sources(problem) or sources, reading)
    machine = read_machine(sources, ert=ert, fill_ert=fill_ert, problem=layer, reading=reading)
    task = Task(machine, layer, duties=idle_duties(machine, load_policy(refresh)))
    errors = Console(stderr=True)
    searching = errors.status("searching (Ctrl-C stops with the best so far)")
    with infeasible_as_json(as_json), searching as status:

        def progress(value: float, bound: float) -> None:
            gap = 1 - bound / value if value > 0 else 0.0
            status.update(f"best {objective.value} {value:.5g}, gap {gap:.2%} (Ctrl-C stops with the best so far)")

        engine = NativeEngine(progress=progress, keep_on_interrupt=True)
        find = partial(map_padded, engine) if pad else engine.map
        result = find(task, objective, budget)
    mapped = layer.with_bounds(result.padded)
    text = write_mapping(result.mapping, machine, mapped)
    stats = map_json(result, text)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "mapping.yaml").write_text(text)
        (out / "problem.yaml").write_text(write_problem(mapped))
        (out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")
    if as_json:
        print_json(stats)
        return
    console = Console()
    if result.padded:
        bounds = ", ".join(f"{dim} {layer.size[dim]} to {bound}" for dim, bound in result.padded.items())
        console.print(f"# padded: {bounds}", highlight=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True, end="")
    print_evaluation(result.evaluation, console, machine.unconfirmed)
    proof = "proven optimal" if result.optimality_gap == 0 else f"at most {result.optimality_gap:.2%} above the optimum"
    console.print(
        f"{objective.value} {result.value:.6g} {_unit(objective)}, {proof}; {result.evaluated:,} mappings costed "
        f"in {result.wall_s:.2f} s",
        highlight=False,
        soft_wrap=True,
    )


def map_json(result: MapResult, mapping: str) -> dict[str, object]:
    """A mapper's result as JSON: the evaluation, ``mapping`` as the text of a v0.4 file, and how good it is."""
    from camel_plugin.cli.model import evaluation_json

    return evaluation_json(result.evaluation) | {
        "mapping": mapping,
        "objective": result.objective.value,
        "value": result.value,
        "lower_bound": result.lower_bound,
        "optimality_gap": result.optimality_gap,
        "padded": dict(result.padded),
        "evaluated": result.evaluated,
        "wall_s": result.wall_s,
    }


def _unit(objective: Objective) -> str:
    return {Objective.EDP: "J s", Objective.ENERGY: "J", Objective.LATENCY: "s"}[objective]
