"""A layer of RevNet-38 on CAMEL at 100 C that is mapped otherwise because of refresh (docs/mapper.md)."""

import pytest

from camel_plugin import load_machine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.plugins import load
from camel_plugin.refresh.duty import idle_duties
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

BUDGET_S = 60.0

STRIDED = Problem(
    ("C", "M", "R", "S", "P", "Q"),
    (64, 112, 3, 3, 8, 8),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
        Dataspace("Inputs", ((("C", 1),), (("P", 2), ("R", 1)), (("Q", 2), ("S", 1)))),
        Dataspace("Outputs", ((("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
    ),
)
"""The first convolution of its third stage, one sample, all tensors off chip."""


def mapped(temperature_C, policy):
    """Value of the mapping found, and of the refresh-blind one, both as ``policy`` charges them."""
    machine = load_machine("camel", temperature_C=temperature_C)
    told = Task(machine, STRIDED, duties=idle_duties(machine, load("refresh", policy)()))
    blind = NativeEngine().map(Task(machine, STRIDED), Objective.ENERGY, BUDGET_S)
    aware = NativeEngine().map(told, Objective.ENERGY, BUDGET_S)
    return aware.evaluation, evaluate(told, blind.mapping)


def test_at_100_c_another_mapping_wins():
    aware, blind = mapped(100, "lifetime")
    assert aware.energy_J > blind.energy_J
    assert aware.refresh_J < blind.refresh_J / 10
    assert aware.energy_J + aware.refresh_J < blind.energy_J + blind.refresh_J


@pytest.mark.parametrize(("temperature_C", "policy"), [(-30, "lifetime"), (100, "none")])
def test_without_refresh_the_blind_optimum_stands(temperature_C, policy):
    aware, blind = mapped(temperature_C, policy)
    assert aware.refresh_J == blind.refresh_J == 0
    assert aware.energy_J == blind.energy_J
