"""Time, value and gap of the native mapper beside timeloop-mapper's; figures only, no limit is asserted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mapper_cases import CASES, problem
from timeloop_cases import machine

from camel_plugin.engine.native import NativeEngine
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task


@pytest.mark.parametrize("budget_s", [0.5, 10.0])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_mapper(benchmark: Any, case: dict[str, Any], budget_s: float) -> None:
    on, layer = machine(case["arch"]), problem(case)
    result = benchmark.pedantic(
        NativeEngine().map, (Task(on, layer), Objective.EDP, budget_s), rounds=1, iterations=1, warmup_rounds=0
    )
    timeloop = case["timeloop"]
    benchmark.extra_info.update(
        edp_ratio=result.value / (timeloop["edp_J_cycle"] * on.cycle_s),
        time_ratio=result.wall_s / timeloop["wall_s"],
        gap=result.optimality_gap,
    )
    print(case["id"], json.dumps(benchmark.extra_info))
