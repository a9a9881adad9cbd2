"""Results made by hand, from numbers that are easy to add up in the head."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camel_plugin.result import (
    DataLifetime,
    LevelLifetimes,
    LevelTraffic,
    OperationCost,
    OperationMapping,
    OperationRefresh,
    OperationResult,
    StepResult,
    TensorResult,
)
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.step import Coverage

RETENTION_S = 3.35e-6


def make_lifetime(tensor: str, lifetime_s: float, level: str = "act_buf", retention_s: float = RETENTION_S):
    return DataLifetime(tensor, level, lifetime_s, retention_s, 0, 0.0, "exact")


def make_operation(
    name: str = "conv1",
    phase: str = "forward",
    *,
    refresh_J: float = 4e-6,
    stall_cycles: int = 0,
    corrupted_share: float = 0.0,
    mapping: str = "mapping:\n  - target: DRAM\n",
    optimality_gap: float | None = 0.0,
    lifetimes: tuple[DataLifetime, ...] = (),
    kind: str = "conv2d",
    partner: str | None = None,
    **changes,
) -> OperationResult:
    """15 uJ = 1 + 2 + 3 + 4 + 5 uJ, 10 us, 2 MB, 1 MMAC; ``changes`` are of the cost of its one run."""
    cost = OperationCost(
        cycles=5000,
        latency_s=1e-5,
        bound_by="compute",
        utilization=0.5,
        macs=1_000_000,
        compute_J=1e-6,
        dynamic_J={"act_buf": 2e-6},
        dram_J=5e-6,
        leakage_J=3e-6,
        dram_read_bytes=1.5e6,
        dram_written_bytes=0.5e6,
        levels={"act_buf": LevelTraffic(100.0, 50.0, 2e-6)},
    )
    refresh = OperationRefresh(
        stall_cycles, rows={"act_buf": 10.0}, energy_J={"act_buf": refresh_J}, corrupted_share=corrupted_share
    )
    mapped = None if optimality_gap is None else OperationMapping(mapping, optimality_gap)
    return OperationResult(name, phase, kind, partner, 1, replace(cost, **changes), refresh, tuple(lifetimes), mapped)


def make_result(operations=None, *, arch="camel", net="revresnet", **changes) -> StepResult:
    if operations is None:
        operations = (
            make_operation("conv1", lifetimes=[make_lifetime("act1", 2.7e-6)]),
            make_operation(
                "conv1:input_grad",
                "input_grad",
                partner="conv1",
                lifetimes=[make_lifetime("act1", 7.0e-6), make_lifetime("grad1", 3.4e-6)],
            ),
            make_operation("conv1:weight_grad", "weight_grad", partner="conv1"),
            make_operation("sgd", "update", macs=0, optimality_gap=None, bound_by="vector"),
        )
    base = StepResult(
        arch=arch,
        net=net,
        operations=tuple(operations),
        tensors=(
            TensorResult("act1", "activation", 4096.0, "act_buf", "conv1", "conv1:input_grad", 7.0e-6, 2, "exact"),
        ),
        coverage=Coverage(modelled=("conv2d: 1",)),
        temperature_C=100.0,
        peak_onchip_bytes=123_456.0,
        area_m2=1.5e-6,
        lifetimes=(LevelLifetimes("act_buf", RETENTION_S, (), ()),),
        settings=Settings(),
        recipe=Recipe(schedule="reversible", batch=64, micro_batch=1),
        versions={"camel_plugin": "0.1.0"},
    )
    return replace(base, **changes)


@pytest.fixture
def result() -> StepResult:
    return make_result()


@pytest.fixture
def make():
    return make_result


@pytest.fixture
def operation():
    return make_operation


@pytest.fixture
def lifetime():
    return make_lifetime
