"""The tables of a report: which columns, which rows."""

from __future__ import annotations

from camel_plugin.report import summary
from camel_plugin.report.grid import Field, formatted, numbers, words
from camel_plugin.report.summary import PART_NAMES
from camel_plugin.result import ENERGY_PARTS, OperationResult, StepResult


def passes(result: StepResult) -> list[Field]:
    """Costs by pass; the last row is the total."""
    rows = [*summary.passes(result), summary.total(result)]
    return [
        words("pass", (row.name for row in rows)),
        numbers("time", [row.latency_s for row in rows], "s"),
        numbers("energy", [row.energy_J for row in rows], "J"),
        *(numbers(PART_NAMES[part], [row.parts_J[part] for row in rows], "J") for part in ENERGY_PARTS),
        numbers("MACs", [row.macs for row in rows], "MAC"),
        numbers("DRAM traffic", [row.dram_bytes for row in rows], "B"),
    ]


def machines(result: StepResult) -> list[Field]:
    """Totals of the evaluated machine (first row) and its baselines, and their ratios."""
    labelled = summary.machines(result)
    rows = [machine.totals for _, machine in labelled]
    own = result.totals
    return [
        words("machine", (label for label, _ in labelled)),
        numbers("time", [row.latency_s for row in rows], "s"),
        numbers("energy", [row.energy_J for row in rows], "J"),
        *(numbers(PART_NAMES[part], [getattr(row, part) for row in rows], "J") for part in ENERGY_PARTS),
        formatted("time x", (summary.ratio(row.latency_s, own.latency_s) for row in rows), ".2f"),
        formatted("energy x", (summary.ratio(row.energy_J, own.energy_J) for row in rows), ".2f"),
    ]


def lifetimes(result: StepResult, count: int | None = 8) -> list[Field]:
    """The longest lifetimes in eDRAM against the retention time."""
    rows = summary.longest_lifetimes(result, count)
    several = len({row.lifetime.level for row in rows}) > 1
    return [
        words("tensor", (row.lifetime.tensor for row in rows)),
        *([words("level", (row.lifetime.level for row in rows))] if several else []),
        words("last use", (row.operation for row in rows)),
        numbers("lifetime", [row.lifetime.lifetime_s for row in rows], "s"),
        numbers("refreshes needed", [row.refreshes_needed for row in rows], "count"),
    ]


def operations(result: StepResult) -> list[Field]:
    """Every operation with what it costs and why."""
    rows = result.operations
    return [
        words("operation", (row.name for row in rows)),
        words("pass", (row.pass_ for row in rows)),
        words("kind", (row.kind for row in rows)),
        numbers("runs", [row.repeats for row in rows], "count"),
        numbers("MACs", [row.macs for row in rows], "MAC"),
        numbers("time", [row.latency_s for row in rows], "s"),
        words("bound by", (row.bound_by for row in rows)),
        formatted("utilization", (row.utilization for row in rows), ".1%"),
        numbers("energy", [row.energy_J for row in rows], "J"),
        *(numbers(PART_NAMES[part], [getattr(row, part) for row in rows], "J") for part in ENERGY_PARTS),
        numbers("DRAM traffic", [row.dram_bytes for row in rows], "B"),
        numbers("refresh stalls", [row.stall_cycles for row in rows], "count"),
        formatted("lifetime / retention", map(_worst_ratio, rows), ".3g"),
        formatted("gap", (row.optimality_gap for row in rows), ".1%"),
    ]


def _worst_ratio(operation: OperationResult) -> float | None:
    return max((entry.lifetime_s / entry.retention_s for entry in operation.lifetimes), default=None)
