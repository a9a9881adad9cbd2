"""The native mapper against plain enumeration, and its behaviour at the edges."""

from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from exhaustive_mapper import mappings
from small_nests import constrained, conv, matmul, random_machine, random_problem, refreshing

from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.search import objective_values
from camel_plugin.errors import EngineError, InfeasibleError
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.mapspace.lattice import Lattice
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Compute, FactorBound, Fanout, LoopConstraints, Machine, Storage, StorageEnergy
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

MOST = 3_000
"""Mappings tried for one example."""
BUDGET_S = 60.0


def enumerated(rng: Random, draw: Callable[[Random], Task]) -> tuple[Task, list[Mapping]]:
    """The first example drawn that has few enough mappings to try them all, and these."""
    while True:
        task = draw(rng)
        every = list(itertools.islice(mappings(task.constrained, task.problem), MOST + 1))
        if len(every) <= MOST:
            return task, every


def agree(task: Task, every: list[Mapping], objective: Objective) -> float:
    """The mapper finds the best of ``every`` mapping, and a bound that is not above it; returns the gap it states."""
    expected = math.inf
    if every:
        result = Model(task).evaluate(MappingBatch.from_mappings(task.machine, task.problem, every))
        expected = float(objective_values(task, result, objective).min())
    if math.isinf(expected):
        with pytest.raises(InfeasibleError):
            NativeEngine().map(task, objective, BUDGET_S)
        return 0.0
    found = NativeEngine().map(task, objective, BUDGET_S)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.lower_bound <= found.value
    return found.optimality_gap


def free(rng: Random) -> Task:
    return Task(random_machine(rng), random_problem(rng))


def bound_by_constraints(rng: Random) -> Task:
    task = free(rng)
    return replace(task, machine=constrained(rng, task.machine, task.problem))


def with_homes(rng: Random) -> Task:
    task = free(rng)
    while task.machine.name != "parallel":
        task = free(rng)
    outermost, *others = task.machine.nodes
    roomy = tuple(replace(node, depth=64) if isinstance(node, Storage) else node for node in others)
    homes = rng.choice([{"I": "act"}, {"O": "act"}, {"I": "act", "O": "act"}, {"I": "act", "O": "act", "W": "ws"}])
    return replace(task, machine=replace(task.machine, nodes=(outermost, *roomy)), homes=homes)


def with_refresh(rng: Random) -> Task:
    return refreshing(rng, rng.choice([free, with_homes])(rng))


def sliding(rng: Random) -> Task:
    """Windows that slide over arrays, where Timeloop lets one loop take back the steps of another."""
    machine = random_machine(rng)
    while not any(isinstance(node, Fanout) for node in machine.nodes):
        machine = random_machine(rng)
    sizes = rng.choice([1, 2]), rng.choice([1, 2, 3]), rng.choice([2, 3, 4, 6]), rng.choice([2, 3, 4])
    return Task(machine, conv(*sizes, rng.choice([1, 2, 3]), rng.choice([1, 2]), rng.choice("OWI")))


SEEDS = [seed if seed < 20 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(60)]
UNPROVEN = [(with_homes, 16384, Objective.LATENCY), (with_refresh, 52, Objective.ENERGY)]
"""Known cases where the bound stays below the optimum that is found."""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "draw", [free, bound_by_constraints, with_homes, with_refresh, sliding], ids=lambda draw: draw.__name__
)
def test_finds_the_optimum(draw: Callable[[Random], Task], seed: int) -> None:
    objective = list(Objective)[seed % 3]
    gap = agree(*enumerated(Random(seed), draw), objective)  # noqa: S311
    assert gap < 1e-3 or (draw, seed, objective) in UNPROVEN


@pytest.mark.xfail(reason="the bound is too loose: 4 % and 19 % below the optimum", strict=True, raises=AssertionError)
@pytest.mark.parametrize(("draw", "seed", "objective"), UNPROVEN)
def test_proves_the_optimum(draw: Callable[[Random], Task], seed: int, objective: Objective) -> None:
    assert agree(*enumerated(Random(seed), draw), objective) < 1e-3  # noqa: S311


def small() -> Machine:
    return Machine(
        "small",
        (
            Storage("dram", "DRAM", "dram", 8, 8, None, energy=StorageEnergy(100.0, 100.0, 100.0)),
            Storage("buf", "SRAM", "sram", 8, 8, 8, keep=frozenset("WIO"), energy=StorageEnergy(5.0, 5.0, 5.0)),
            Fanout("pe", 2, 2),
            Compute("mac", "mac", 1.0),
        ),
        1e-9,
    )


def test_weights_are_read_once_if_everything_fits() -> None:
    machine = small()
    roomy = replace(machine, nodes=(machine.nodes[0], replace(machine.nodes[1], depth=1000), *machine.nodes[2:]))
    result = NativeEngine().map(Task(roomy, matmul(4, 6, 2)), Objective.ENERGY, BUDGET_S)
    dram = result.evaluation.levels["dram"].tensors
    assert (dram["W"].reads, dram["I"].reads, dram["O"].updates) == (4 * 6, 6 * 2, 4 * 2)
    assert result.optimality_gap == 0


def test_latency_uses_the_whole_mesh() -> None:
    result = NativeEngine().map(Task(small(), matmul(4, 6, 2)), Objective.LATENCY, BUDGET_S)
    assert result.evaluation.cycles == 4 * 6 * 2 / 4
    assert result.value == result.lower_bound == pytest.approx(12e-9)


def test_same_input_same_result() -> None:
    rng = Random(7)  # noqa: S311
    machine, problem = random_machine(rng), conv(3, 4, 6, 3)
    first, second = (NativeEngine().map(Task(machine, problem), Objective.EDP, BUDGET_S) for _ in range(2))
    assert first == replace(second, wall_s=first.wall_s)


def test_hash_seeds_do_not_matter() -> None:
    script = (
        "import sys; from random import Random; from dataclasses import replace; sys.path.insert(0, sys.argv[1])\n"
        "from small_nests import conv, random_machine; from camel_plugin.engine.native import NativeEngine\n"
        "from camel_plugin.spec.task import Task\n"
        "found = NativeEngine().map(Task(random_machine(Random(7)), conv(3, 4, 6, 3)), 'edp', 60)\n"
        "print(replace(found, wall_s=0.0).value, found.mapping.nodes, found.evaluated, found.lower_bound)"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parents[2] / "support")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    # Sets print in the order of the seed.
    assert len({"".join(sorted(each)) for each in printed}) == 1


def test_an_exhausted_budget_gives_a_mapping_and_an_honest_bound() -> None:
    optimum = NativeEngine().map(Task(small(), conv(4, 4, 8, 3)), Objective.EDP, BUDGET_S)
    hasty = NativeEngine().map(Task(small(), conv(4, 4, 8, 3)), Objective.EDP, 0.0)
    assert optimum.optimality_gap == 0
    assert 0 <= hasty.lower_bound <= optimum.value <= hasty.value


def test_no_room_is_explained() -> None:
    machine = small()
    tight = replace(machine, nodes=(machine.nodes[0], replace(machine.nodes[1], depth=2), *machine.nodes[2:]))
    with pytest.raises(InfeasibleError) as caught:
        NativeEngine().map(Task(tight, matmul(4, 6, 2)), Objective.EDP, BUDGET_S)
    (reason,) = caught.value.shortfalls
    assert (reason.what, reason.demanded, reason.available, reason.unit) == ("capacity of buf", 3, 2, "words")
    assert "3 rows" in reason.remedy


def test_impossible_factors_are_explained() -> None:
    rules = LoopConstraints(factors={"M": FactorBound("=", 1)})
    machine = small()
    dram, buf, pe, mac = machine.nodes
    frozen = (replace(dram, temporal=rules), replace(buf, temporal=rules), replace(pe, spatial=rules), mac)
    with pytest.raises(InfeasibleError) as caught:
        NativeEngine().map(Task(replace(machine, nodes=frozen), matmul(4, 6, 2)), Objective.EDP, BUDGET_S)
    assert [(each.what, each.demanded) for each in caught.value.shortfalls] == [("loops over M", 4)]


def test_an_unusable_mesh_is_explained() -> None:
    machine = small()
    rules = LoopConstraints(min_parallelism=1.0, factors={dim: FactorBound("=", 1) for dim in "MK"})
    nodes = tuple(replace(node, spatial=rules) if isinstance(node, Fanout) else node for node in machine.nodes)
    with pytest.raises(InfeasibleError, match="mesh 2 x 2 of pe"):
        NativeEngine().map(Task(replace(machine, nodes=nodes), matmul(4, 6, 2)), Objective.EDP, BUDGET_S)


def test_ctrl_c_keeps_the_best_if_asked() -> None:
    def interrupt(_value: float, _bound: float) -> None:
        raise KeyboardInterrupt

    task = Task(small(), conv(4, 4, 8, 3))
    result = NativeEngine(progress=interrupt, keep_on_interrupt=True).map(task, Objective.EDP, BUDGET_S)
    assert math.isfinite(result.value)
    with pytest.raises(KeyboardInterrupt):
        NativeEngine(progress=interrupt).map(task, Objective.EDP, BUDGET_S)


def test_errors_are_not_swallowed() -> None:
    assert not issubclass(InfeasibleError, EngineError)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 2), (2, 3), (4, 1)])
def test_touched_words_of_every_tile(stride: int, dilation: int) -> None:
    problem = conv(2, 1, 12, 6, stride, dilation)
    lattice = Lattice(problem, MapSpace(Task(small(), problem)).divisors)
    for number in range(lattice.size):
        index = np.unravel_index(number, lattice.shape)
        c, m, p, r = (int(lattice.divisors[d][i]) for d, i in enumerate(index))
        positions = {x * stride + y * dilation for x in range(p) for y in range(r)}
        assert lattice.touched[1, number] * c * m * p * r == pytest.approx(c * len(positions))
        assert lattice.boxes[1, number] == c * (max(positions) + 1)
