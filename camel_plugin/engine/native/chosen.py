"""A mapping that stands already, costed like one that the mapper found."""

from __future__ import annotations

import math
import time

from camel_plugin.engine.base import MapResult
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.search import objective_values
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.mapspace.padding import useful
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import ChosenMapping
from camel_plugin.spec.problem import Problem


def costed(machine: Machine, problem: Problem, chosen: ChosenMapping, objective: Objective) -> MapResult | None:
    """The cost of a chosen mapping; None if it exceeds a level or mesh, or keeps data where their homes forbid it.

    Args:
        machine: as the operation finds it.
        problem: of the operation, without padding.
        chosen: its mapping.
        objective: that its value is given in.

    Raises:
        InputError: the mapping has other nodes than the machine, or its factors do not multiply up to the problem.
    """
    start = time.perf_counter()
    padded = problem.with_bounds(chosen.padded)
    spaces = {space.name for space in padded.dataspaces}
    for storage in machine.storages:
        keep = chosen.mapping.at(storage.name).keep
        if not storage.keep & spaces <= keep or keep & storage.bypass:
            return None
    model = Model(machine, padded)
    result = model.evaluate(MappingBatch.from_mappings(machine, padded, [chosen.mapping]))
    value = float(objective_values(machine, result, objective)[0])
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
    return useful(found, machine, problem, padded) if chosen.padded else found
