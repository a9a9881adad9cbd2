"""The report in a terminal: plain tables that fit 80 columns and survive a pipe."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

from camel_plugin.report import summary
from camel_plugin.report.units import column, quantity
from camel_plugin.result import ENERGY_PARTS, StepResult

_LEAST_WIDTH = 80


def render(result: StepResult, console: Console, *, reference: str | None = None) -> None:
    """Print a result for people to read.

    Args:
        result: of an evaluation.
        console: to print on. Below 80 columns tables run over its edge rather than lose digits.
        reference: published figures to print under the baselines, marked as such.
    """
    _line(console, summary.headline(result), "bold")
    for warning in summary.warnings(result):
        _line(console, f"!! {warning}", "bold red")
    console.print()
    _print(console, _passes(result))
    for line in _whole_step(result):
        _line(console, line)
    if result.baselines:
        console.print()
        _print(console, _baselines(result))
        _line(console, f"time x and energy x: machine / {result.arch}; above 1, {result.arch} is better")
        if reference:
            _line(console, f"reference (published, not a target): {reference}")
    if summary.has_edram(result):
        console.print()
        _print(console, _lifetimes(result))
    remarks = summary.remarks(result)
    if remarks:
        console.print()
    for remark in remarks:
        _line(console, f"- {remark}")


def _passes(result: StepResult) -> Table:
    rows = [*summary.passes(result), summary.total(result)]
    shares = ["", "100%", *(_share(result, part) for part in ENERGY_PARTS)]
    table = _table("pass")
    cells = [
        _measure(table, "time", [row.latency_s for row in rows], "s"),
        _measure(table, "energy", [row.energy_J for row in rows], "J"),
        *(
            _measure(table, name.replace(" ", "\n"), [row.parts_J[part] for row in rows], "J")
            for part, name in summary.PART_NAMES.items()
        ),
        _measure(table, "MACs", [row.macs for row in rows], "MAC"),
        _measure(table, "DRAM\ntraffic", [row.dram_bytes for row in rows], "B"),
    ]
    *per_pass, whole = zip(*cells, strict=True)
    for row, written in zip(rows, per_pass, strict=False):
        table.add_row(Text(row.name), *written)
    table.add_section()
    table.add_row(Text("total"), *whole, style="bold")
    table.add_row(Text("of energy"), *shares, style="dim")
    return table


def _share(result: StepResult, part: str) -> str:
    whole = result.totals.energy_J
    return f"{getattr(result.totals, part) / whole:.1%}" if whole > 0 else "-"


def _whole_step(result: StepResult) -> list[str]:
    totals = result.totals
    lines = [
        f"EDP {quantity(totals.edp_Js, 'J s')}, {totals.cycles:,} cycles, {totals.refresh_count:,.0f} row refreshes, "
        f"peak on chip {quantity(totals.peak_onchip_bytes, 'B')}, area {quantity(totals.area_m2, 'm2')}"
    ]
    bounds = summary.bounds(result)
    if bounds:
        lines.append("time bound by " + ", ".join(f"{name} {share:.1%}" for name, share in bounds))
    return lines


def _baselines(result: StepResult) -> Table:
    rows = summary.machines(result)
    totals = [machine.totals for _, machine in rows]
    table = _table("machine")
    cells = [
        _measure(table, "time", [row.latency_s for row in totals], "s"),
        _measure(table, "energy", [row.energy_J for row in totals], "J"),
        _measure(table, "refresh", [row.refresh_J for row in totals], "J"),
        _measure(table, "DRAM", [row.dram_J for row in totals], "J"),
        _measure(table, "area", [row.area_m2 for row in totals], "m2"),
        _ratios(table, "time x", [row.latency_s for row in totals]),
        _ratios(table, "energy x", [row.energy_J for row in totals]),
    ]
    for (label, _), written in zip(rows, zip(*cells, strict=True), strict=True):
        table.add_row(Text(label), *written)
    return table


def _lifetimes(result: StepResult) -> Table:
    rows = summary.longest_lifetimes(result)
    table = _table("longest lifetimes: tensor", "level", "operation")
    cells = [
        _measure(table, "lifetime", [row.lifetime.lifetime_s for row in rows], "s"),
        _measure(table, "retention", [row.lifetime.retention_s for row in rows], "s"),
        _measure(table, "ratio", [row.ratio for row in rows], "ratio"),
        _measure(table, "refreshes\nneeded", [row.refreshes_needed for row in rows], "count"),
    ]
    for row, written in zip(rows, zip(*cells, strict=True), strict=True):
        table.add_row(Text(row.lifetime.tensor), Text(row.lifetime.level), Text(row.operation), *written)
    return table


def _table(*names: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for name in names:
        table.add_column(Text(name), overflow="fold", vertical="bottom")
    return table


def _measure(table: Table, head: str, values: Sequence[float], base: str) -> list[str]:
    """Add a column of numbers to ``table`` and return them as written."""
    chosen = column(values, base)
    unit = f"\n{chosen.unit}" if chosen.unit else ""
    table.add_column(Text(head + unit), justify="right", no_wrap=True, vertical="bottom")
    return [chosen.format(value) for value in values]


def _ratios(table: Table, head: str, values: Sequence[float]) -> list[str]:
    table.add_column(Text(head), justify="right", no_wrap=True, vertical="bottom")
    ratios = [summary.ratio(value, values[0]) for value in values]
    return ["-" if ratio is None else f"{ratio:.2f}" for ratio in ratios]


def _print(console: Console, table: Table) -> None:
    options = console.options.update(width=max(console.width, _LEAST_WIDTH))
    console.print(Segments(console.render(table, options)), crop=False, soft_wrap=True)


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), highlight=False)
