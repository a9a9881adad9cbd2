"""Padded forms of a problem, tried beside the true one. Work on padding is not counted as useful."""

from dataclasses import replace

from camel_plugin.engine.protocol import Engine
from camel_plugin.errors import InfeasibleError
from camel_plugin.mapspace.padding import paddings
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.task import Task


def map_padded(engine: Engine, task: Task, objective: Objective, budget_s: float) -> MapResult:
    """The best mapping of a task or of a padded form of it, ``budget_s`` seconds for each.

    Errors are those of :meth:`Engine.map`.
    """
    best = engine.map(task, objective, budget_s)
    evaluated, wall_s = best.evaluated, best.wall_s
    for other in paddings(task, compute_bound=best.evaluation.bound_by == "compute"):
        try:
            found = engine.map(replace(task, problem=other), objective, budget_s)
        except InfeasibleError:
            continue
        evaluated, wall_s = evaluated + found.evaluated, wall_s + found.wall_s
        if found.value < best.value:
            best = useful(found, task, other)
    return replace(best, evaluated=evaluated, wall_s=wall_s)


def useful(found: MapResult, task: Task, padded: Problem) -> MapResult:
    """What was found for the padded problem of a task, with only the work of the true bounds counted."""
    macs = task.problem.macs
    utilization = macs / (found.evaluation.cycles * task.machine.units)
    evaluation = replace(found.evaluation, computes=macs, utilization=utilization)
    bounds = {dim: bound for dim, bound in padded.size.items() if bound != task.problem.size[dim]}
    return replace(found, evaluation=evaluation, padded=bounds)
