"""AccelForge, where it is present, on every distinct problem of RevNet-38's training step on `camel`.

Its model scores the mapping that the native engine chose for each; its mapper searches where that takes seconds.
docs/engines.md says why the figures differ where a window slides.
"""

import math
from functools import cache

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.accelforge import AccelForgeEngine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.errors import EngineError
from camel_plugin.schedule.residency import place, task
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.machine import Fanout, Machine
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.task import Task
from camel_plugin.workload.load import load_network

OUTERMOST = "dram"


@cache
def distinct() -> dict[str, Task]:
    """First operation with a problem -> what the scheduler gives the mapper for that one."""
    machine, step = load_machine("camel"), load_network("revresnet").step()
    plan = place(machine, step)
    found: dict[Problem, tuple[str, Task]] = {}
    for operation in step.operations:
        if operation.problem is not None and operation.problem not in found:
            found[operation.problem] = operation.name, task(plan, operation)
    return dict(found.values())


def slides(problem: Problem) -> bool:
    """Two loops move one rank of a tensor, so that neighbouring tiles overlap."""
    return any(
        sum(problem.size[dimension] > 1 for dimension, _ in rank) > 1
        for space in problem.dataspaces
        for rank in space.projection
    )


@cache
def native(name: str) -> MapResult:
    return NativeEngine().map(distinct()[name], Objective.EDP, 2.0)


@pytest.fixture(scope="module")
def engine():
    try:
        AccelForgeEngine().version()
    except EngineError as error:
        pytest.skip(str(error))
    return AccelForgeEngine()


@pytest.mark.parametrize("name", distinct())
def test_its_model_of_our_mapping(engine, name):
    problem = distinct()[name].problem
    ours = native(name).evaluation
    theirs = engine.evaluate(distinct()[name], native(name).mapping)
    assert theirs.computes == problem.macs
    assert theirs.compute_J == pytest.approx(ours.compute_J, rel=1e-6)
    assert {level: set(stats.tensors) for level, stats in theirs.levels.items()} == {
        level: set(stats.tensors) for level, stats in ours.levels.items()
    }
    outside = {tensor: (words.reads, words.updates) for tensor, words in ours.levels[OUTERMOST].tensors.items()}
    for tensor, words in theirs.levels[OUTERMOST].tensors.items():
        if problem.dataspace(tensor).read_write or not slides(problem):
            assert (words.reads, words.updates) == outside[tensor]
        else:
            assert words.reads >= outside[tensor][0]  # halos are loaded again
    if slides(problem):
        # Timeloop's rules let neighbours share what slides, and AccelForge does not: it can only ask for more.
        assert theirs.cycles >= ours.cycles
        assert theirs.energy_J >= 0.99 * ours.energy_J
    else:
        assert theirs.cycles == ours.cycles
        assert theirs.energy_J == pytest.approx(ours.energy_J, rel=0.05)


@pytest.mark.parametrize("name", [name for name, each in distinct().items() if not slides(each.problem)])
def test_its_mapper_where_no_window_slides(engine, name):
    """It takes up to ten seconds for each of these. What it finds costs the same in the native model."""
    machine, problem = distinct()[name].machine, distinct()[name].problem
    found = engine.map(distinct()[name], Objective.EDP, 120.0)
    ours = evaluate(distinct()[name], found.mapping)
    assert found.evaluation.computes == problem.macs
    assert found.evaluation.cycles == ours.cycles
    assert found.evaluation.energy_J == pytest.approx(ours.energy_J, rel=0.05)
    for tensor, words in found.evaluation.levels[OUTERMOST].tensors.items():
        assert words.reads + words.updates == problem.volume(tensor)
    if sayable(machine, found.mapping):
        assert Objective.EDP.of(ours.energy_J, ours.cycles * machine.cycle_s) >= native(name).lower_bound * (1 - 1e-9)


def sayable(machine: Machine, mapping: Mapping) -> bool:
    """Every dimension stands on one axis: Timeloop's mappings cannot have four of sixteen on each, AccelForge's can."""
    return all(
        math.prod(mapping.at(node.name).factor(name) for name in mapping.at(node.name).x_dims) <= node.mesh_x
        for node in machine.nodes
        if isinstance(node, Fanout)
    )
