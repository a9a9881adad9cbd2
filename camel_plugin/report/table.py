"""The report in a terminal: plain tables that fit 80 columns and survive a pipe."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.segment import Segments
from rich.table import Table
from rich.text import Text

from camel_plugin.report import summary, views
from camel_plugin.report.grid import Field
from camel_plugin.report.units import quantity
from camel_plugin.result import StepResult

_LEAST_WIDTH = 80


def render(result: StepResult, console: Console) -> None:
    """Print a result for people to read.

    Args:
        result: of an evaluation.
        console: to print on. Below 80 columns tables run over its edge rather than lose digits.
    """
    _line(console, summary.headline(result), "bold")
    for warning in summary.warnings(result):
        _line(console, f"!! {warning}", "bold red")
    for remark in result.coverage.remarks:
        _line(console, remark)
    console.print()
    _passes(result, console)
    if result.baselines:
        console.print()
        _baselines(result, console)
    if result.lifetimes:
        console.print()
        _lifetimes(result, console)
    remarks = summary.remarks(result)
    if remarks:
        console.print()
    for remark in remarks:
        _line(console, f"- {remark}")


def _passes(result: StepResult, console: Console) -> None:
    fields = views.passes(result)
    table = _table(fields)
    table.rows[-1].style = "bold"
    whole = result.totals.energy_J
    if whole > 0:
        shares = (f"{energy_J / whole:.1%}" for energy_J in result.totals.parts_J.values())
        table.add_row("of energy", "", "100%", *shares, style="dim")
    _print(console, table)
    totals = result.totals
    _line(
        console,
        f"EDP {quantity(totals.edp_Js, 'J s')}, {totals.cycles:,} cycles, {totals.refresh_count:,.0f} row refreshes, "
        f"peak on chip {quantity(result.peak_onchip_bytes, 'B')}, area {quantity(result.area_m2, 'm2')}",
    )
    bounds = summary.bounds(result)
    if bounds:
        _line(console, "time bound by " + ", ".join(f"{name} {share:.1%}" for name, share in bounds))


def _baselines(result: StepResult, console: Console) -> None:
    _print(console, _table(views.machines(result)))
    _line(console, f"time x and energy x: machine / {result.arch}; above 1, {result.arch} is better")
    chips = (f"{machine.arch} {summary.chip(machine)}" for _, machine in summary.machines(result))
    _line(console, "chips: " + "; ".join(chips))
    if result.published:
        _line(console, f"reference (published, not a target): {result.published}")


def _lifetimes(result: StepResult, console: Console) -> None:
    fields = views.lifetimes(result)
    if fields[0].cells:
        _line(console, f"longest lifetimes in eDRAM (retention time {summary.retentions(result)})", "bold")
        _print(console, _table(fields))
    else:
        _line(console, "no data rest in eDRAM")


def _table(fields: Sequence[Field]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
    for field in fields:
        head = Text("\n".join(filter(None, [field.head.replace(" ", "\n"), field.unit])))
        if field.numeric:
            table.add_column(head, justify="right", no_wrap=True, vertical="bottom")
        else:
            table.add_column(head, overflow="fold", vertical="bottom")
    for cells in zip(*(field.cells for field in fields), strict=True):
        table.add_row(*map(Text, cells))
    return table


def _print(console: Console, table: Table) -> None:
    options = console.options.update(width=max(console.width, _LEAST_WIDTH))
    console.print(Segments(console.render(table, options)), crop=False, soft_wrap=True)


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), highlight=False)
