"""Values of several sizes in one memory: the model against a rescaled machine, the mapper against enumeration."""

from __future__ import annotations

import itertools
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from exhaustive_mapper import mappings
from small_nests import random_machine, random_problem

from camel_plugin.engine.accelforge.specification import write_specification
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.search import objective_values
from camel_plugin.engine.timeloop import TimeloopEngine
from camel_plugin.errors import InfeasibleError, InputError
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.machine import Storage
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

MOST = 1_500


def coarser(storage: Storage, times: int) -> Storage:
    """The same memory described in words ``times`` as large."""
    ports = {
        port: None if (words := getattr(storage, port)) is None else words / times
        for port in ("read_bandwidth", "write_bandwidth")
    }
    return replace(storage, datawidth_bits=storage.datawidth_bits * times, **ports)


@pytest.mark.parametrize("seed", range(12))
def test_values_twice_as_large_are_words_twice_as_large(seed):
    rng = Random(seed)  # noqa: S311
    problem = random_problem(rng)
    machine = random_machine(rng)
    every = list(itertools.islice(mappings(machine, problem), 200))
    twice = Task(machine, problem, value_words={space.name: 2.0 for space in problem.dataspaces})
    shared = (machine.storages[0], *machine.shared_storages)
    nodes = tuple(coarser(node, 2) if node in shared else node for node in machine.nodes)
    one, other = (
        Model(each).evaluate(MappingBatch.from_mappings(each.machine, problem, every))
        for each in (twice, Task(replace(machine, nodes=nodes), problem))
    )
    np.testing.assert_allclose(one.energy_J, other.energy_J, rtol=1e-12)
    np.testing.assert_array_equal(one.cycles, other.cycles)
    np.testing.assert_array_equal(one.reads, other.reads)
    np.testing.assert_array_equal(one.fits, other.fits)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("objective", Objective)
def test_the_mapper_finds_the_best_whatever_the_sizes(seed, objective):
    rng = Random(seed)  # noqa: S311
    while True:
        problem = random_problem(rng)
        sizes = {space.name: rng.choice([0.5, 1.0, 2.0, 2.48]) for space in problem.dataspaces}
        machine = random_machine(rng)
        every = list(itertools.islice(mappings(machine, problem), MOST + 1))
        if 0 < len(every) <= MOST:
            break
    task = Task(machine, problem, value_words=sizes)
    result = Model(task).evaluate(MappingBatch.from_mappings(machine, problem, every))
    best = float(objective_values(task, result, objective).min())
    if np.isinf(best):
        with pytest.raises(InfeasibleError):
            NativeEngine().map(task, objective, 60.0)
        return
    found = NativeEngine().map(task, objective, 60.0)
    assert found.value == pytest.approx(best, rel=1e-9)
    assert found.lower_bound <= found.value


def test_engines_with_one_size_of_word_say_so():
    rng = Random(1)  # noqa: S311
    problem = random_problem(rng)
    task = Task(random_machine(rng), problem, value_words={problem.dataspaces[0].name: 2.0})
    with pytest.raises(InputError, match=r"training.precision: Timeloop has one size of word"):
        TimeloopEngine().map(task, Objective.EDP, 1.0)
    with pytest.raises(InputError, match=r"training.precision: the AccelForge engine has one size of word"):
        write_specification(task)
