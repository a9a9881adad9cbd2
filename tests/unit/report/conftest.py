"""Results made by hand, from numbers that are easy to add up in the head."""

from __future__ import annotations

from dataclasses import replace

import pytest

from camel_plugin.result import LevelResult, LifetimeResult, OperationResult, StepResult, TensorResult, total

RETENTION_S = 3.35e-6


def make_operation(name: str = "conv1", phase: str = "forward", **changes) -> OperationResult:
    base = OperationResult(
        name=name,
        pass_=phase,
        kind="conv2d",
        partner=None,
        repeats=1,
        macs=1_000_000,
        cycles=5000,
        stall_cycles=0,
        latency_s=1e-5,
        bound_by="compute",
        utilization=0.5,
        energy_J=15e-6,
        compute_J=1e-6,
        dynamic_J=2e-6,
        leakage_J=3e-6,
        refresh_J=4e-6,
        dram_J=5e-6,
        refresh_count=10.0,
        dram_bytes=2e6,
        levels={"act_buf": LevelResult(100.0, 50.0, 2e-6)},
        mapping="mapping:\n  - target: DRAM\n",
        optimality_gap=0.0,
    )
    return replace(base, **changes)


def make_result(operations=None, *, arch="camel", net="revresnet", **changes) -> StepResult:
    if operations is None:
        operations = [
            make_operation(
                "conv1",
                lifetimes=[LifetimeResult("act1", "act_buf", 2.7e-6, RETENTION_S, "exact")],
            ),
            make_operation(
                "conv1:input_grad",
                "input_grad",
                partner="conv1",
                lifetimes=[
                    LifetimeResult("act1", "act_buf", 7.0e-6, RETENTION_S, "exact"),
                    LifetimeResult("grad1", "act_buf", 3.4e-6, RETENTION_S, "exact"),
                ],
            ),
            make_operation("conv1:weight_grad", "weight_grad", partner="conv1"),
            make_operation("sgd", "update", macs=0, mapping="", optimality_gap=None, bound_by="vector"),
        ]
    base = StepResult(
        arch=arch,
        net=net,
        engine="native",
        settings={
            "schedule": "reversible",
            "batch": 64,
            "micro_batch": 1,
            "refresh": "lifetime",
            "temperature_C": 100.0,
            "objective": "edp",
            "retention_s": {"act_buf": RETENTION_S},
            "overrides": {},
        },
        versions={"camel_plugin": "0.1.0"},
        totals=total(operations, peak_onchip_bytes=123_456.0, area_m2=1.5e-6),
        operations=operations,
        tensors=[TensorResult("act1", "activation", 4096.0, "act_buf", "conv1", "conv1:input_grad", 7.0e-6, 2)],
        coverage={"modelled": ["conv2d: 1"], "ignored": [], "unsupported": [], "not_reached": []},
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
