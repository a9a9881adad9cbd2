"""Lifetimes: Table V of CAMEL, the array size, the temperature."""

from __future__ import annotations

import itertools
import math
from statistics import median
from typing import Any

from camel_plugin.report.refresh_reasons import reasons
from camel_plugin.result import DataLifetime, StepResult
from camel_plugin.spec.step import Pass
from camel_plugin.workload.load import load_network

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


def formula_s(net: str) -> float | None:
    """The longest lifetime of a layer of the branch by CAMEL's formula for convolutions, B Cin W H k^2 / R.

    There are no output channels in it. None for a branch without convolutions.
    """
    step = load_network(net).step()
    times = [
        op.problem.macs / step.tensors[op.roles["Outputs"]].shape[1] / MACS_PER_CYCLE / CLOCK_HZ
        for op in step.operations
        if op.problem is not None and op.kind == "conv2d" and op.pass_ is Pass.FORWARD and op.name.startswith("branch")
    ]
    return max(times, default=None)


def of_branch(result: StepResult) -> list[DataLifetime]:
    """Lifetimes in eDRAM of the data of the trained branch."""
    found = [data for op in result.operations for data in op.lifetimes if data.tensor.startswith("branch")]
    return found or [data for op in result.operations for data in op.lifetimes]


def table_v(runs: Runs) -> str:
    """Table V: lifetimes and refresh counts of DuDNN branches."""
    rows = []
    for net in DUDNN:
        by_formula = formula_s(net)
        ours = [data.lifetime_s for data in of_branch(runs("camel", net)) if data.lifetime_s > 0]
        young = sum(1 for value in ours if value < RETENTION_S) / len(ours)
        published = ("", "") if by_formula is None else (by_formula * 1e6, math.floor(by_formula / RETENTION_S))
        middle, longest = median(ours), max(ours)
        counts = (math.floor(middle / RETENTION_S), math.floor(longest / RETENTION_S))
        rows.append((net, *published, middle * 1e6, counts[0], longest * 1e6, counts[1], f"{young:.0%}"))
    head = ("network", "formula, us", "refreshes", "median, us", "refreshes", "longest, us", "refreshes",
            "die before 3.35 us")  # fmt: skip
    return table(head, rows)


def array_size(runs: Runs) -> str:
    """Normalised lifetime and time of a step against the array size."""
    rows = []
    base: tuple[dict[tuple[str, str], float], float] | None = None
    for size, published in {6: 1.0, 10: 0.90, 12: 0.37}.items():
        overrides = {"array_rows": str(size), "array_columns": str(size)}
        result = runs("camel", DUDNN[0], overrides=overrides)
        lifetimes = {
            (op.name, data.tensor): data.lifetime_s
            for op in result.operations
            for data in op.lifetimes
            if data.tensor.startswith("branch") and data.lifetime_s > 0
        }
        base = base or (lifetimes, result.totals.latency_s)
        both = [lifetimes[key] / base[0][key] for key in lifetimes.keys() & base[0].keys()]
        what = "median over the same data of the branch; buffers keep the bandwidth of 6x6"
        rows.append(compared(published, median(both), what, f"{size}x{size}: lifetime, normalised"))
        rows.append((f"{size}x{size}: time of the step", "", result.totals.latency_s / base[1], "", "", ""))
        rows.append((f"{size}x{size}: work over throughput", "", (6 / size) ** 2, "", "", ""))
    return table(HEAD, rows)


def reasons_why(runs: Runs) -> str:
    """Refresh along the four axes, one step after the other, and the reasons that the report names."""
    wide = {"activation_blocks_per_bank": "2"}
    arrays = [{"array_rows": str(size), "array_columns": str(size)} for size in (6, 10, 12)]
    axes: list[tuple[str, str, list[tuple[str, dict[str, Any]]]]] = [
        ("capacity", "revresnet", [("6 banks", {"overrides": {**wide, "activation_banks": "6"}}), ("12 banks", {})]),
        ("micro-batch", "revresnet", [("4", {"micro_batch": 4}), ("1", {})]),
        ("temperature", "revresnet", [(f"{c} C", {"temperature_C": float(c)}) for c in (100, 75, 50, 25, 0)]),
        ("array", DUDNN[0], [(f"{o['array_rows']}x{o['array_rows']}", {"overrides": o}) for o in arrays]),
    ]
    rows = []
    for axis, net, points in axes:
        order = "cut" if axis in ("capacity", "micro-batch") else "network"
        results = [(name, runs("camel", net, depth_first=order, **choices)) for name, choices in points]
        for (before, first), (after, result) in itertools.pairwise(results):
            told = [reason for reason in reasons(result, first)
                    if abs(reason.refresh_J) > 0.02 * first.totals.refresh_J]  # fmt: skip
            why = "; ".join(
                f"{reason.refresh_J * 1e3:+.3g} mJ {reason.what} ({len(reason.tensors)} tensors)" for reason in told
            )
            change = (first.totals.refresh_J * 1e3, result.totals.refresh_J * 1e3)
            rows.append((f"{axis}, {net}: {before} to {after}", *change, why))
    return table(("change", "refresh before, mJ", "after, mJ", "reasons in the report"), rows)


def temperature(runs: Runs) -> str:
    """Refresh against temperature."""
    rows = []
    for degrees in (-30, 0, 25, 50, 75, 100):
        for order in ("network", "cut"):
            result = runs("camel", "revresnet", temperature_C=float(degrees), depth_first=order)
            retention_s = next(level.retention_s for level in result.lifetimes if level.level == "act_edram")
            ours = [data.lifetime_s for op in result.operations for data in op.lifetimes]
            rows.append(
                (
                    degrees,
                    order,
                    retention_s * 1e6,
                    result.totals.refresh_J * 1e3,
                    f"{result.totals.refresh_J / result.totals.energy_J:.1%}",
                    result.totals.dram_J * 1e3,
                    f"{sum(value >= retention_s for value in ours) / len(ours):.0%}",
                )
            )
    return table(
        ("C", "order", "retention, us", "refresh, mJ", "of energy", "DRAM, mJ", "data that need refresh"), rows
    )
