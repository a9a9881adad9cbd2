"""``camel doctor``: what is installed, what is missing and how to get it, and a self-test of every engine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camel_plugin.engine.protocol import Engine
    from camel_plugin.spec.problem import Problem

REQUIRED = ("numpy", "pydantic", "pyyaml", "jinja2", "typer", "rich", "torch")
OPTIONAL = {
    "pandas": "StepResult.to_pandas: pip install 'camel-plugin[report]'",
    "matplotlib": "plots: pip install 'camel-plugin[report]'",
}
SELF_TEST_S = 60.0
"""Budget of one self-test; each takes a few seconds, most of it to start the tools."""


def doctor_command() -> None:
    """Say what is installed and missing, and let every engine map one small layer."""
    from importlib.metadata import PackageNotFoundError, version

    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from camel_plugin.plugins import load, registered

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    def listing(*columns: str) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        return table

    console = Console()
    packages = listing("package", "found", "needed for, or how to get it")
    packages.add_row("python", sys.version.split()[0], "")
    missing = [package for package in REQUIRED if installed(package) is None]
    for package in REQUIRED:
        packages.add_row(package, installed(package) or "MISSING", "required")
    for package, purpose in OPTIONAL.items():
        packages.add_row(package, installed(package) or "-", escape(purpose))
    packages.add_row("accelergy", *accelergy())
    console.print(packages)

    engines, failed = listing("engine", "version", "self-test, or how to get it"), False
    for name in registered("engines"):
        found, outcome = examine(load("engines", name)())
        failed |= outcome.startswith("FAILED")
        engines.add_row(name, found, escape(outcome))
    console.print(engines)
    if missing or failed:
        raise typer.Exit(1)


def accelergy() -> tuple[str, str]:
    """Where Accelergy is, and whether its answers are those of our estimators."""
    import shutil
    from pathlib import Path

    from camel_plugin.errors import EngineError
    from camel_plugin.interop.accelergy import plug_in_path
    from camel_plugin.interop.accelergy.self_test import ask

    found = shutil.which("accelergy")
    if found is None:
        return "-", "eDRAM in Accelergy: in the container timeloopaccelergy/accelergy-timeloop-infrastructure"
    try:
        return found, ask(found)
    except EngineError as error:
        hint = f"install camel-plugin with the pip of {Path(found).parent}, or name {plug_in_path()} in globals"
        return found, f"without our estimators ({error}): {hint}"


def examine(engine: Engine) -> tuple[str, str]:
    """Version of an engine and the outcome of its self-test; ``-`` and how to get it where it is absent."""
    from camel_plugin.errors import CamelError

    try:
        found = engine.version()
    except CamelError as error:
        return "-", str(error)
    return found, self_test(engine)


def self_test(engine: Engine) -> str:
    """Map one small layer on the built-in machine; ``ok``, or what went wrong."""
    from camel_plugin.components.machines import load_machine
    from camel_plugin.errors import CamelError
    from camel_plugin.spec.objective import Objective
    from camel_plugin.spec.task import Task

    problem = small_layer()
    try:
        result = engine.map(Task(load_machine("camel"), problem), Objective.EDP, SELF_TEST_S)
    except CamelError as error:
        return f"FAILED: {error}"
    evaluation = result.evaluation
    if evaluation.computes != problem.macs:
        return f"FAILED: {evaluation.computes} multiply-accumulates counted, {problem.macs} needed"
    return f"ok: {evaluation.cycles} cycles, {evaluation.energy_J * 1e9:.4g} nJ in {result.wall_s:.1f} s"


def small_layer() -> Problem:
    """A fully connected layer of 16 by 16; where a window slides AccelForge takes much longer."""
    from camel_plugin.spec.problem import Dataspace, Problem

    return Problem(
        dimensions=("C", "M", "R", "S", "N", "P", "Q"),
        bounds=(16, 16, 1, 1, 1, 1, 1),
        dataspaces=(
            Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
            Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 1)), (("S", 1), ("Q", 1)))),
            Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
        ),
        name="self-test",
    )
