"""Lifetimes: Table V of CAMEL, the array size, the temperature."""

from __future__ import annotations

import math
from statistics import median

from camel_plugin.result import LifetimeResult, StepResult
from camel_plugin.workload.network_file import load_network
from camel_plugin.workload.step import Pass

from .runs import HEAD, Runs, compared, table

RETENTION_S = 3.35e-6
MACS_PER_CYCLE = 324
CLOCK_HZ = 500e6

DUDNN = (
    "dudnn-branch6-resnet50",
    "dudnn-branch8-resnet50",
    "dudnn-branch12-resnet50",
    "dudnn-branch6-vit12",
    "dudnn-branch8-vit12",
    "dudnn-branch12-vit16",
    "dudnn-branch6-bert12",
)
SMALL, LARGE = (2.66e-6, 3.10e-6), (3.40e-6, 4.13e-6)


def formula_s(net: str) -> float:
    """The longest lifetime of a layer of the branch by CAMEL's formula, B Cin W H k^2 / R: no output channels in it."""
    step = load_network(net).step()
    longest = 0.0
    for operation in step.operations:
        problem = operation.problem
        if problem is None or operation.pass_ is not Pass.FORWARD or not operation.name.startswith("branch"):
            continue
        outputs = math.prod(step.tensors[operation.roles["Outputs"]].shape[2:]) or 1
        channels = step.tensors[operation.roles["Outputs"]].shape[1]
        longest = max(longest, problem.macs / (channels if outputs > 1 else 1) / MACS_PER_CYCLE / CLOCK_HZ)
    return longest


def of_branch(result: StepResult) -> list[LifetimeResult]:
    """Lifetimes in eDRAM of the data of the trained branch."""
    found = [data for op in result.operations for data in op.lifetimes if data.tensor.startswith("branch")]
    return found or [data for op in result.operations for data in op.lifetimes]


def table_v(runs: Runs) -> str:
    """Table V: lifetimes and refresh counts of DuDNN branches."""
    rows = []
    for net in DUDNN:
        by_formula = formula_s(net)
        result = runs("camel", net)
        ours = [data.lifetime_s for data in of_branch(result) if data.lifetime_s > 0]
        young = sum(1 for value in ours if value < RETENTION_S) / len(ours)
        rows.append(
            (
                net,
                by_formula * 1e6,
                math.floor(by_formula / RETENTION_S),
                median(ours) * 1e6,
                max(ours) * 1e6,
                f"{young:.0%}",
            )
        )
    head = ("network", "formula, us", "refreshes", "median, us", "longest, us", "die before 3.35 us")
    return table(head, rows)


def array_size(runs: Runs) -> str:
    """Normalised lifetime and time of a step against the array size."""
    rows = []
    sizes = {6: 1.0, 10: 0.90, 12: 0.37}
    base: tuple[float, float, float] | None = None
    for size, published in sizes.items():
        overrides = {"array_rows": str(size), "array_columns": str(size)}
        result = runs("camel", DUDNN[0], overrides=overrides)
        lifetimes = [data.lifetime_s for data in of_branch(result) if data.lifetime_s > 0]
        found = (median(lifetimes), max(lifetimes), result.totals.latency_s)
        base = base or found
        share = [value / first for value, first in zip(found, base, strict=True)]
        name = f"{size}x{size}: longest lifetime, normalised"
        rows.append(compared(published, share[1], "bandwidth of the buffers stays that of 6x6", name))
        rows.append((f"{size}x{size}: median lifetime", "", share[0], "", "", ""))
        rows.append((f"{size}x{size}: time of the step", "", share[2], "", "", ""))
        rows.append((f"{size}x{size}: compute alone", "", (6 / size) ** 2, "", "", "work over throughput"))
    return table(HEAD, rows)


def temperature(runs: Runs) -> str:
    """Refresh against temperature."""
    rows = []
    for degrees in (-30, 0, 25, 50, 75, 100):
        for order in ("network", "cut"):
            result = runs("camel", "revresnet", temperature_C=float(degrees), depth_first=order)
            retention_s = result.settings["retention_s"]["act_edram"]
            ours = [data.lifetime_s for op in result.operations for data in op.lifetimes]
            rows.append(
                (
                    degrees,
                    order,
                    retention_s * 1e6,
                    result.totals.refresh_J * 1e3,
                    f"{result.totals.refresh_J / result.totals.energy_J:.1%}",
                    f"{sum(value >= retention_s for value in ours) / len(ours):.0%}",
                )
            )
    return table(("C", "order", "retention, us", "refresh, mJ", "of energy", "data that need refresh"), rows)
