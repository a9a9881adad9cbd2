"""A mapping that stands already, costed like one that the mapper found."""

import math
import time

from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.search import objective_values
from camel_plugin.engine.padded import useful
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import ChosenMapping
from camel_plugin.spec.task import Task


def costed(task: Task, chosen: ChosenMapping, objective: Objective) -> MapResult | None:
    """The cost of a chosen mapping; None if it exceeds a level or mesh, or keeps data where their homes forbid it.

    Args:
        task: without padding.
        chosen: its mapping.
        objective: that its value is given in.

    Raises:
        InputError: the mapping has other nodes than the machine, or its factors do not multiply up to the problem.
    """
    start = time.perf_counter()
    padded = task.padded(chosen.padded)
    machine = task.constrained
    spaces = {space.name for space in padded.problem.dataspaces}
    for storage in machine.storages:
        keep = chosen.mapping.at(storage.name).keep
        if not storage.keep & spaces <= keep or keep & storage.bypass:
            return None
    model = Model(padded)
    result = model.evaluate(MappingBatch.from_mappings(machine, padded.problem, [chosen.mapping]))
    value = float(objective_values(padded, result, objective)[0])
    if math.isinf(value):
        return None
    found = MapResult(
        mapping=chosen.mapping,
        evaluation=model.report(result, 0),
        objective=objective,
        value=value,
        lower_bound=min(chosen.lower_bound, value),
        evaluated=1,
        wall_s=time.perf_counter() - start,
    )
    return useful(found, task, padded.problem) if chosen.padded else found
