"""Mappings of the native engine scored by AccelForge's model, where that is present: what the two must agree on."""

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.accelforge import AccelForgeEngine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.errors import EngineError
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

CAMEL = load_machine("camel")
EVERYTHING = {"Weights": "w_sram", "Inputs": "act_edram", "Outputs": "act_edram"}


def conv(channels, filters, kernel, size):
    return Problem(
        ("C", "M", "R", "S", "N", "P", "Q"),
        (channels, filters, kernel, kernel, 1, size, size),
        (
            Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
            Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 1)), (("S", 1), ("Q", 1)))),
            Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
        ),
    )


@pytest.fixture(scope="module")
def engine():
    try:
        AccelForgeEngine().version()
    except EngineError as error:
        pytest.skip(str(error))
    return AccelForgeEngine()


def both(engine, problem, homes):
    task = Task(CAMEL, problem, homes)
    native = NativeEngine().map(task, Objective.EDP, 2.0)
    return native.evaluation, engine.evaluate(task, native.mapping)


def outer_words(evaluation):
    return {name: stats.reads + stats.updates for name, stats in evaluation.levels["dram"].tensors.items()}


@pytest.mark.parametrize("homes", [{}, EVERYTHING], ids=["from DRAM", "resident"])
def test_without_a_sliding_window(engine, homes):
    """No halo, no diagonal to multicast along: cycles and traffic equal; rows that are rounded up are the rest."""
    ours, theirs = both(engine, conv(32, 64, 1, 16), homes)
    assert theirs.compute_J == pytest.approx(ours.compute_J, rel=1e-6)
    assert outer_words(theirs) == outer_words(ours)
    assert theirs.cycles == ours.cycles
    assert theirs.energy_J == pytest.approx(ours.energy_J, rel=0.05)


def test_with_a_sliding_window(engine):
    """Timeloop's rules let neighbours share what slides, AccelForge does not: it can only ask for more."""
    ours, theirs = both(engine, conv(16, 16, 3, 8), {"Inputs": "act_edram", "Outputs": "act_edram"})
    assert theirs.compute_J == pytest.approx(ours.compute_J, rel=1e-6)
    assert outer_words(theirs) == outer_words(ours) == {"Weights": 16 * 16 * 9}
    assert theirs.cycles >= ours.cycles
    assert theirs.levels["act_edram"].tensors["Inputs"].reads >= ours.levels["act_edram"].tensors["Inputs"].reads
    assert theirs.levels["act_edram"].tensors["Outputs"].updates == ours.levels["act_edram"].tensors["Outputs"].updates
