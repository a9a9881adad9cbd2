"""The AccelForge engine: an independent mapper and model from the group behind Timeloop."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from camel_plugin.engine.accelforge.answer import read_figures, read_nodes
from camel_plugin.engine.accelforge.specification import write_mapping, write_specification
from camel_plugin.errors import EngineError
from camel_plugin.spec.evaluation import Evaluation, MapResult
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.task import Task

PYTHON_VARIABLE = "CAMEL_ACCELFORGE_PYTHON"
HOW = "pip install 'camel-plugin[accelforge]' (Python 3.12 or newer) and graphviz"
SCORE_S = 120.0
"""Time given to the score of one mapping, which takes tenths of a second."""
MAPPER = Path(__file__).with_name("mapper.py")


def python() -> tuple[str, str]:
    """A Python that has AccelForge, and its version: ``$CAMEL_ACCELFORGE_PYTHON``, or this one.

    Raises:
        EngineError: it has not, or graphviz's dot is missing; says how to get it.
    """
    found = _python(os.environ.get(PYTHON_VARIABLE, sys.executable))
    if shutil.which("dot") is None:
        raise EngineError("AccelForge's mapper needs graphviz's dot, which is not on PATH: install graphviz")
    return found


@cache
def _python(command: str) -> tuple[str, str]:
    try:
        answer = subprocess.run(  # noqa: S603
            [command, str(MAPPER)], capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(
            f"{command} does not run: {error}; {PYTHON_VARIABLE} names a Python with AccelForge"
        ) from error
    if answer.returncode:
        said = (answer.stderr.strip().splitlines() or ["nothing"])[-1]
        raise EngineError(f"AccelForge is not installed for {command} ({said}): {HOW}; or set {PYTHON_VARIABLE}")
    return command, answer.stdout.split()[-1]


class AccelForgeEngine:
    """Engine that runs AccelForge's mapper; docs/engines.md says where its model differs by definition."""

    name = "accelforge"
    weighs_refresh = False

    def version(self) -> str:
        """Version of ``accelforge``.

        Raises:
            EngineError: it is not installed.
        """
        return python()[1]

    def map(self, task: Task, objective: Objective, budget_s: float) -> MapResult:
        """The best of its Pareto-optimal mappings; its lower bound is that of the arithmetic alone.

        Its mapper has no partial result: a search that the budget cuts off is an error.

        Raises:
            EngineError: AccelForge is not installed, failed, found nothing or took too long, or its answer cannot
                be true; names the folder with its console.
        """
        start, machine, problem = time.perf_counter(), task.constrained, task.problem
        with _Folder(problem) as folder:
            rows = folder.run("map", write_specification(task), budget_s)
            results = []
            for row in rows:
                mapping = read_nodes(row["nodes"], machine, problem)
                results.append((mapping, read_figures(row["figures"], mapping, machine, problem)))
        goal = Objective(objective)
        mapping, evaluation = min(
            results, key=lambda result: goal.of(result[1].energy_J, result[1].cycles * machine.cycle_s)
        )
        least_s = problem.macs / machine.units * machine.cycle_s
        return MapResult(
            mapping=mapping,
            evaluation=evaluation,
            objective=goal,
            value=goal.of(evaluation.energy_J, evaluation.cycles * machine.cycle_s),
            lower_bound=goal.of(evaluation.compute_J, least_s),
            evaluated=len(rows),
            wall_s=time.perf_counter() - start,
        )

    def evaluate(self, task: Task, mapping: Mapping) -> Evaluation:
        """What its model says of one of our mappings.

        Raises:
            EngineError: as for :meth:`map`.
        """
        text = write_specification(task) + write_mapping(mapping, task)
        with _Folder(task.problem) as folder:
            (row,) = folder.run("score", text, SCORE_S)
            return read_figures(row["figures"], mapping, task.constrained, task.problem)


class _Folder:
    """A folder of one run: AccelForge draws pictures into the current one. It stays when something fails."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.path = Path(tempfile.mkdtemp(prefix="camel-accelforge-"))

    def __enter__(self) -> _Folder:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, EngineError):
            raise EngineError(f"{self.problem.name}: {error}; files and console are in {self.path}") from error
        shutil.rmtree(self.path, ignore_errors=True)

    def run(self, task: str, specification: str, budget_s: float) -> list[dict[str, Any]]:
        """Rows of the answer (EngineError if there is none)."""
        folder = self.path
        (folder / "specification.yaml").write_text(specification, encoding="utf-8")
        command, _ = python()
        with (folder / "console.log").open("wb") as log:
            try:
                answer = subprocess.run(  # noqa: S603
                    [command, str(MAPPER), task, "specification.yaml", "answer.json"],
                    cwd=folder,
                    env={**os.environ, "TMPDIR": str(folder)},  # where it forgets pickles
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=max(budget_s, 1.0),
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise EngineError(f"AccelForge did not finish within {budget_s:g} s") from None
        lines = (folder / "console.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if answer.returncode or not (folder / "answer.json").is_file():
            raise EngineError(f"AccelForge failed: {lines[-1] if lines else 'it printed nothing'}")
        rows: list[dict[str, Any]] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        if not rows:
            raise EngineError("AccelForge found no mapping")
        return rows
