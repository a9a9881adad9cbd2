"""The Timeloop v0.4 files behind a result, for users who run the real tools on them."""

import csv
import io

from camel_plugin.engine.timeloop.limits import limited_text
from camel_plugin.files.v04.ert import write_ert
from camel_plugin.files.v04.problem_file import write_problem
from camel_plugin.interop.mapped import mapped_files
from camel_plugin.result import StepResult
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.step import Step


def result_files(result: StepResult) -> dict[str, str]:
    """The machines behind a result and its baselines, the problems of its step, and what its mappings need beside them.

    Returns:
        Relative path -> text.
    """
    plans = [each.plan for each in (result, *result.baselines) if each.plan is not None]
    files = {path: text for plan in plans for path, text in machine_files(plan.machine).items()}
    for plan in plans[:1]:
        files |= problem_files(plan.step) | mapped_files(plan, problem_paths(plan.step))
    return files


def machine_files(machine: Machine) -> dict[str, str]:
    """Architecture and energy reference table of a machine, relative path -> text."""
    return {
        f"timeloop/{machine.name}.yaml": limited_text(machine),
        f"timeloop/{machine.name}.ERT.yaml": write_ert(machine),
    }


def problem_paths(step: Step, folder: str = "timeloop/") -> dict[Problem, str]:
    """Each distinct problem of a step, and the file that it is written to."""
    paths: dict[Problem, str] = {}
    for operation in step.operations:
        if operation.problem is not None:
            paths.setdefault(operation.problem, f"{folder}problems/{len(paths):03d}-{operation.problem.shape}.yaml")
    return paths


def problem_files(step: Step, folder: str = "timeloop/") -> dict[str, str]:
    """One file for each distinct problem, and ``problems.csv``: which operation of which pass uses which.

    Args:
        step: the training step.
        folder: in front of every path, those in the index too.

    Returns:
        Relative path -> text.
    """
    paths = problem_paths(step, folder)
    index = io.StringIO()
    rows = csv.writer(index)
    rows.writerow(["operation", "pass", "problem", "repeats", "macs", "Weights", "Inputs", "Outputs"])
    for operation in step.operations:
        if operation.problem is None:
            continue
        tensors = [operation.roles.get(dataspace, "") for dataspace in ("Weights", "Inputs", "Outputs")]
        path, repeats = paths[operation.problem], step.trips(operation.name)
        rows.writerow([operation.name, operation.pass_.value, path, repeats, operation.macs, *tensors])
    files = {path: write_problem(problem) for problem, path in paths.items()}
    return {**files, f"{folder}problems.csv": index.getvalue()}
