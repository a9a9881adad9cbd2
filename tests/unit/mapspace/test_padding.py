"""Padded sizes: tried where they promise something, kept where they bring it, and never counted as work."""

from __future__ import annotations

import math
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_nests import conv, matmul, random_machine, random_problem

from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.padded import map_padded
from camel_plugin.errors import InfeasibleError
from camel_plugin.mapspace.padding import paddings
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage, StorageEnergy
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

BUDGET_S = 20.0


def array(x: int, y: int, words: int = 4096) -> Machine:
    """A buffer and an array of units, no port narrow enough to matter."""
    energy = StorageEnergy(1.0, 1.0, 1.0)
    return Machine(
        "array",
        (
            Storage("dram", "DRAM", "dram", 8, 8, None, energy=StorageEnergy(100.0, 100.0, 100.0)),
            Storage("buf", "SRAM", "sram", 8, 8, words, keep=frozenset("WIO"), energy=energy),
            Fanout("pe", x, y),
            Compute("mac", "mac", 1.0),
        ),
        1e-9,
    )


@pytest.mark.parametrize(("m", "k", "cycles"), [(16, 16, 9), (5, 6, 1), (13, 6, 3), (11, 11, 4), (12, 6, 2)])
def test_an_array_is_filled_row_by_row(m: int, k: int, cycles: int) -> None:
    # 6 x 6 units: M and K in rounds of up to six, the last round not full.
    assert math.ceil(m / 6) * math.ceil(k / 6) == cycles
    found = map_padded(NativeEngine(), Task(array(6, 6), matmul(m, k, 1)), Objective.LATENCY, BUDGET_S)
    assert found.evaluation.cycles == cycles
    assert found.evaluation.computes == m * k
    assert found.evaluation.utilization == pytest.approx(m * k / (36 * cycles))


def test_padding_that_brings_nothing_is_not_tried() -> None:
    assert paddings(Task(array(4, 4), matmul(8, 16, 4)), compute_bound=True) == []
    assert paddings(Task(array(6, 6), matmul(16, 16, 1)), compute_bound=False) == []


def test_a_large_prime_is_tiled_for_energy() -> None:
    # 113 x 113 x 4 does not fit, and 113 can only be cut into single words.
    machine, problem = array(1, 1, words=512), matmul(113, 113, 4)
    plain = NativeEngine().map(Task(machine, problem), Objective.ENERGY, BUDGET_S)
    found = map_padded(NativeEngine(), Task(machine, problem), Objective.ENERGY, BUDGET_S)
    assert set(found.padded.values()) == {120}
    assert found.value < plain.value
    assert found.evaluation.compute_J == pytest.approx(found.evaluation.computes * (120 / 113) ** len(found.padded))


def test_the_mapping_is_one_of_the_padded_problem() -> None:
    machine, problem = array(6, 6), conv(3, 16, 13, 3)
    found = map_padded(NativeEngine(), Task(machine, problem), Objective.EDP, BUDGET_S)
    assert found.padded
    again = evaluate(Task(machine, problem.with_bounds(found.padded)), found.mapping)
    assert (again.energy_J, again.cycles) == (found.evaluation.energy_J, found.evaluation.cycles)
    assert again.computes > found.evaluation.computes == problem.macs


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.integers(0, 10**9), st.sampled_from(Objective))
def test_never_worse_than_without(seed: int, objective: Objective) -> None:
    rng = Random(seed)  # noqa: S311
    machine, problem = random_machine(rng), random_problem(rng)
    odd = replace(problem, bounds=tuple(rng.choice([bound, 5, 7]) if bound > 1 else 1 for bound in problem.bounds))
    try:
        plain = NativeEngine().map(Task(machine, odd), objective, BUDGET_S)
    except InfeasibleError:
        return
    found = map_padded(NativeEngine(), Task(machine, odd), objective, BUDGET_S)
    assert found.value <= plain.value
    assert found.evaluation.computes == odd.macs
