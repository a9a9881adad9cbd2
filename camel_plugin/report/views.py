"""The tables of a report: which meanings, which rows."""

from collections.abc import Iterator, Sequence

from camel_plugin.report import summary
from camel_plugin.report.grid import Field, formatted, numbers, words
from camel_plugin.result import ENERGY_PARTS, DataLifetime, OperationRefresh, OperationResult, StepResult, Totals
from camel_plugin.spec.meaning import meanings

COSTS = ("latency_s", "energy_J", *ENERGY_PARTS)


def passes(result: StepResult) -> list[Field]:
    """Costs by pass; the last row is the total."""
    rows = [*summary.passes(result), ("total", result.totals)]
    return [
        words("pass", (name for name, _ in rows)),
        *_quantities(Totals, [totals for _, totals in rows], *COSTS, "macs", "dram_bytes"),
    ]


def machines(result: StepResult) -> list[Field]:
    """Totals of the evaluated machine (first row) and its baselines, and their ratios."""
    labelled = summary.machines(result)
    rows = [machine.totals for _, machine in labelled]
    own = result.totals
    return [
        words("machine", (label for label, _ in labelled)),
        *_quantities(Totals, rows, *COSTS),
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
        *_quantities(DataLifetime, [row.lifetime for row in rows], "lifetime_s"),
        numbers("refreshes needed", [row.refreshes_needed for row in rows], "count"),
    ]


def operations(result: StepResult) -> list[Field]:
    """Every operation with what it costs and why."""
    rows = result.operations
    totals = [row.totals for row in rows]
    return [
        words("operation", (row.name for row in rows)),
        words("pass", (row.pass_ for row in rows)),
        words("kind", (row.kind for row in rows)),
        *_quantities(OperationResult, rows, "repeats"),
        *_quantities(Totals, totals, "macs", "latency_s"),
        words("bound by", (row.bound_by for row in rows)),
        formatted("utilization", (row.utilization for row in rows), ".1%"),
        *_quantities(Totals, totals, "energy_J", *ENERGY_PARTS, "dram_bytes"),
        *_quantities(OperationRefresh, [row.refresh for row in rows], "stall_cycles"),
        formatted("lifetime / retention", map(_worst_ratio, rows), ".3g"),
        formatted("gap", (row.mapping.optimality_gap if row.mapping else None for row in rows), ".1%"),
    ]


def _quantities(kind: type, records: Sequence[object], *names: str) -> Iterator[Field]:
    """Columns of records, with the head and the unit that stand beside their fields."""
    for name in names:
        column = meanings(kind)[name]
        yield numbers(column.head, [getattr(record, name) for record in records], column.unit)


def _worst_ratio(operation: OperationResult) -> float | None:
    return max((entry.lifetime_s / entry.retention_s for entry in operation.lifetimes), default=None)
