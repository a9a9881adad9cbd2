"""``camel doctor``: what is installed, what is missing and how to get it, and a self-test."""

from __future__ import annotations

import sys

REQUIRED = ("numpy", "pydantic", "pyyaml", "jinja2", "typer", "rich", "torch")
OPTIONAL = {
    "pandas": "StepResult.to_pandas: pip install 'camel-plugin[report]'",
    "matplotlib": "plots: pip install 'camel-plugin[report]'",
    "accelergy": "our estimators inside Accelergy: the accelergy-timeloop-infrastructure container, or its repository",
    "pytimeloop": "the same files on real Timeloop: the accelergy-timeloop-infrastructure container",
}
PROGRAMS = {
    "timeloop-mapper": "the accelergy-timeloop-infrastructure container",
    "timeloop-model": "the accelergy-timeloop-infrastructure container",
    "accelergy": "the accelergy-timeloop-infrastructure container",
}


def doctor_command() -> None:
    """Say what is installed and missing, and map one layer as a self-test."""
    import shutil
    from importlib.metadata import PackageNotFoundError, version

    import typer
    from rich.console import Console
    from rich.table import Table

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("what", "found", "needed for, or how to get it"):
        table.add_column(column)
    table.add_row("python", sys.version.split()[0], "")
    missing = [package for package in REQUIRED if installed(package) is None]
    for package in REQUIRED:
        table.add_row(package, installed(package) or "MISSING", "required")
    for package, purpose in OPTIONAL.items():
        table.add_row(package, installed(package) or "-", purpose)
    for program, purpose in PROGRAMS.items():
        table.add_row(program, shutil.which(program) or "-", purpose)
    console.print(table)
    failure = self_test()
    console.print("self-test of the native engine: " + (failure or "ok"), highlight=False)
    if missing or failure:
        raise typer.Exit(1)


def self_test() -> str | None:
    """Map one layer on the built-in machine; what went wrong, or None."""
    from camel_plugin.arch import load_machine
    from camel_plugin.engine.base import Objective
    from camel_plugin.engine.native import NativeEngine
    from camel_plugin.errors import CamelError
    from camel_plugin.workload.problem import Dataspace, Problem

    problem = Problem(
        dimensions=("C", "M", "R", "S", "N", "P", "Q"),
        bounds=(16, 16, 3, 3, 1, 8, 8),
        dataspaces=(
            Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
            Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 1)), (("S", 1), ("Q", 1)))),
            Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
        ),
        name="self-test",
    )
    try:
        result = NativeEngine().map(load_machine("camel"), problem, Objective.EDP, budget_s=5.0)
    except CamelError as error:
        return f"FAILED: {error}"
    if result.evaluation.computes != problem.macs:
        return f"FAILED: {result.evaluation.computes} multiply-accumulates counted, {problem.macs} needed"
    return None
