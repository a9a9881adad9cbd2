"""The native mapper against timeloop-mapper, which searched each case for a minute (mapper/cases.jsonl)."""

from __future__ import annotations

from typing import Any

import pytest
from mapper_cases import CASES, problem
from timeloop_cases import machine

from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

BUDGET_S = 2.0
"""A thirtieth of what Timeloop had; tests/bench/test_mapper_bench.py measures the time that is really needed."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_no_worse_than_timeloop(case: dict[str, Any]) -> None:
    on, layer = machine(case["arch"]), problem(case)
    result = NativeEngine().map(Task(on, layer), Objective.EDP, budget_s=BUDGET_S)
    assert result.value <= case["timeloop"]["edp_J_cycle"] * on.cycle_s * (1 + 1e-9)
    assert 0 < result.lower_bound <= result.value
    again = evaluate(Task(on, layer), result.mapping)
    assert result.value == pytest.approx(again.energy_J * again.cycles * on.cycle_s, rel=1e-12)


def test_there_are_cases() -> None:
    assert len(CASES) == 10
