"""Mappings that a plan brings along: evaluated where they fit, left to the mapper where the plan was changed."""

from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.engine.native.chosen import costed
from camel_plugin.files.plan_file import PlanFile
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.task import Task


def given_results(file: PlanFile, plan: Plan, tasks: Mapping[str, Task], objective: Objective) -> dict[str, MapResult]:
    """Operation -> the cost of the mapping that the plan gives it.

    A mapping that was found for another task, because homes or refresh changed since, has no bound that holds; one
    that does not even fit is left out here, to be found anew.

    Args:
        file: that the plan was read from, for messages.
        plan: with its mappings.
        tasks: operation -> what is mapped for it.
        objective: of the mapper.

    Raises:
        SpecError: a mapping does not fit although nothing around it changed; with file, line and field.
    """
    found = {}
    for name, chosen in plan.mappings.items():
        key = tasks[name].found_for(objective)
        result = costed(tasks[name], chosen, objective)
        if result is not None:
            found[name] = result if chosen.found_for == key else replace(result, lower_bound=0.0)
        elif chosen.found_for in ("", key):
            raise file.mappings[name].node.error(
                f"the mapping of {name} exceeds a level, or keeps data where machine and homes do not let it",
                suggestion="leave the entry out to have it mapped anew",
            )
    return found
