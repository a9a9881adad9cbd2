"""What every engine must do, run over those that are here; `camel doctor` tells how to get the others."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from camel_plugin.components.resolve import read_machine
from camel_plugin.engine.protocol import Engine
from camel_plugin.errors import CamelError, EngineError, InfeasibleError
from camel_plugin.files.v04 import read_problem
from camel_plugin.plugins import load, registered
from camel_plugin.spec.evaluation import MapResult
from camel_plugin.spec.machine import Fanout, Storage
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

GIVEN = Path(__file__).parents[1] / "recorded" / "timeloop-small"
MACHINE = read_machine([GIVEN / "given.yaml"], ert=GIVEN / "ERT.yaml", name="small")
PROBLEM = read_problem([GIVEN / "given.yaml"])
BUDGET_S = 60.0
OUTERMOST = MACHINE.storages[0]


@cache
def present(name: str) -> Engine | str:
    """The engine, or why it is absent."""
    engine: Engine = load("engines", name)()
    try:
        engine.version()
    except EngineError as error:
        return str(error)
    return engine


@pytest.fixture(params=sorted(registered("engines")))
def engine(request) -> Engine:
    found = present(request.param)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@cache
def mapped(name: str, objective: Objective = Objective.EDP) -> MapResult:
    found = present(name)
    assert not isinstance(found, str)
    return found.map(Task(MACHINE, PROBLEM), objective, BUDGET_S)


def test_it_says_who_it_is(engine):
    assert engine.name in registered("engines")
    assert engine.version() == engine.version() != ""


def test_the_mapping_is_one_of_the_problem_on_the_machine(engine):
    nodes = mapped(engine.name).mapping.nodes
    assert [node.target for node in nodes] == [n.name for n in MACHINE.nodes if isinstance(n, Storage | Fanout)]
    for dimension, bound in PROBLEM.size.items():
        assert math.prod(node.factor(dimension) for node in nodes) == bound
    for node in nodes:
        level = MACHINE.node(node.target)
        assert set(node.permutation) == {name for name, factor in node.factors.items() if factor > 1}
        if isinstance(level, Storage):
            assert level.keep <= node.keep
            assert not level.bypass & node.keep
        else:
            assert math.prod(node.factors[name] for name in node.x_dims) <= level.mesh_x
            assert math.prod(node.factors[name] for name in set(node.factors) - node.x_dims) <= level.mesh_y
    assert {space.name for space in PROBLEM.dataspaces} <= {name for node in nodes for name in node.keep}


def test_counts(engine):
    evaluation = mapped(engine.name).evaluation
    assert evaluation.computes == PROBLEM.macs == 512
    assert evaluation.cycles >= 512 / 4
    assert evaluation.utilization == pytest.approx(512 / (4 * evaluation.cycles))
    assert evaluation.bound_by in {"compute", *evaluation.levels}
    outermost = evaluation.levels[OUTERMOST.name]
    for tensor, words in (("A", 8 * 16), ("B", 16 * 4)):
        assert outermost.tensors[tensor].reads >= words
    assert outermost.tensors["Z"].updates >= 8 * 4
    for name, level in evaluation.levels.items():
        assert 1 <= level.utilized_instances <= level.instances == MACHINE.instances(name)
        assert level.tensors.keys() == mapped(engine.name).mapping.at(name).keep
        for stats in level.tensors.values():
            assert min(stats.reads, stats.fills, stats.updates, stats.temporal_reductions) >= 0


def test_no_tile_is_larger_than_its_level(engine):
    for name, level in mapped(engine.name).evaluation.levels.items():
        capacity = MACHINE.storage(name).capacity_words
        assert sum(stats.utilized_capacity for stats in level.tensors.values()) <= capacity


def test_energies_are_joules_and_add_up(engine):
    evaluation = mapped(engine.name).evaluation
    assert evaluation.compute_J == pytest.approx(512 * 0.5e-12, rel=1e-6)
    parts = sum(level.energy_J + level.leakage_J for level in evaluation.levels.values())
    assert evaluation.energy_J == pytest.approx(evaluation.compute_J + parts, rel=1e-5)
    for level in evaluation.levels.values():
        assert level.energy_J == pytest.approx(sum(stats.energy_J for stats in level.tensors.values()), rel=1e-6)
    # Accesses of 8 words, 128 pJ each: A and B once, Z once.
    least = (8 * 16 + 16 * 4 + 8 * 4) / 8 * 128e-12
    assert evaluation.levels[OUTERMOST.name].energy_J >= least * (1 - 1e-6)
    # Engines charge the partial access at the end of a tensor differently, never less than what the words need.
    assert evaluation.levels[OUTERMOST.name].leakage_J == pytest.approx(0.5e-12 * evaluation.cycles, rel=1e-3)


@pytest.mark.parametrize("objective", list(Objective))
def test_the_value_is_that_of_the_objective(engine, objective):
    result = mapped(engine.name, objective)
    latency_s = result.evaluation.cycles * 2e-9
    expected = {
        "edp": result.evaluation.energy_J * latency_s,
        "energy": result.evaluation.energy_J,
        "latency": latency_s,
    }
    assert result.objective is objective
    assert result.value == pytest.approx(expected[objective], rel=1e-6)
    assert 0 < result.lower_bound <= result.value * (1 + 1e-9)
    assert 0 <= result.optimality_gap < 1
    assert result.evaluated > 0
    assert result.wall_s > 0


def test_the_same_input_gives_the_same_result(engine):
    again = engine.map(Task(MACHINE, PROBLEM), Objective.EDP, BUDGET_S)
    first = mapped(engine.name)
    assert (again.mapping, again.evaluation, again.value) == (first.mapping, first.evaluation, first.value)


def test_a_tensor_at_home_causes_no_traffic_outside(engine):
    evaluation = engine.map(Task(MACHINE, PROBLEM, {"A": "buffer"}), Objective.EDP, BUDGET_S).evaluation
    assert "A" not in evaluation.levels[OUTERMOST.name].tensors
    home = evaluation.levels["buffer"].tensors["A"]
    assert home.fills == 0
    assert home.utilized_capacity == PROBLEM.volume("A")


def test_what_fits_nowhere_is_an_error(engine):
    """A and Z must rest in the buffer, and no tile of them fits."""
    nodes = tuple(replace(node, depth=0) if node.name == "buffer" else node for node in MACHINE.nodes)
    with pytest.raises(CamelError) as caught:
        engine.map(Task(replace(MACHINE, nodes=nodes), PROBLEM), Objective.EDP, 5.0)
    assert isinstance(caught.value, InfeasibleError | EngineError)
    assert str(caught.value)


def test_a_budget_that_is_too_short_gives_a_mapping_or_an_error_that_can_be_shown(engine):
    try:
        assert engine.map(Task(MACHINE, PROBLEM), Objective.EDP, 0.01).evaluation.computes == PROBLEM.macs
    except CamelError as error:
        assert str(error)


def test_it_leaves_nothing_behind(engine, tmp_path, monkeypatch):
    here, temporary = tmp_path / "here", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    engine.map(Task(MACHINE, PROBLEM), Objective.EDP, BUDGET_S)
    assert not list(tmp_path.glob("*/*"))


@pytest.mark.parametrize("name", sorted(set(registered("engines")) - {"native"}))
def test_no_engine_is_far_from_the_native_optimum(name):
    """The outer traffic of all engines is the same physics: none needs less, and none can beat a proven optimum."""
    if isinstance(found := present(name), str):
        pytest.skip(found)
    native = mapped("native", Objective.LATENCY)
    assert native.optimality_gap == 0
    assert mapped(name, Objective.LATENCY).evaluation.cycles >= native.evaluation.cycles
