"""The report as one HTML file that needs nothing beside it: for mail, a phone, or paper."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources

from camel_plugin.report import summary, views
from camel_plugin.report.summary import PART_COLOURS
from camel_plugin.report.units import quantity
from camel_plugin.result import ENERGY_PARTS, StepResult, Totals
from camel_plugin.spec.meaning import meanings

FILE_NAME = "report.html"

_LIFETIMES = 20


def render(result: StepResult) -> str:
    """The text of the HTML file."""
    from camel_plugin.files.sandbox import environment

    template = resources.files("camel_plugin.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    step, machines = summary.passes(result), summary.machines(result)
    return (
        environment(autoescape=True)
        .from_string(template)
        .render(
            result=result,
            how=summary.how(result),
            warnings=summary.warnings(result),
            tiles=_tiles(result),
            bounds=summary.bounds(result),
            legend=[(meanings(Totals)[part].head, PART_COLOURS[part]) for part in ENERGY_PARTS],
            passes=views.passes(result),
            pass_bars=_bars([name for name, _ in step], [totals.parts_J for _, totals in step]),
            machines=views.machines(result),
            machine_bars=_bars([label for label, _ in machines], [machine.totals.parts_J for _, machine in machines]),
            chips=[(machine.arch, summary.chip(machine)) for _, machine in machines],
            retentions=summary.retentions(result),
            lifetimes=views.lifetimes(result, count=_LIFETIMES),
            operations=views.operations(result),
            remarks=summary.remarks(result),
            coverage=asdict(result.coverage),
            settings=[(key, _setting(value)) for key, value in summary.settings(result).items()],
        )
    )


@dataclass(frozen=True)
class Bar:
    """A stacked bar.

    Attributes:
        label: what it is of.
        total: its length as written.
        segments: (part, colour, share of the longest bar in percent, written energy).
    """

    label: str
    total: str
    segments: tuple[tuple[str, str, float, str], ...]


def _bars(labels: Sequence[str], parts_J: Sequence[dict[str, float]]) -> list[Bar]:
    longest = max((sum(parts.values()) for parts in parts_J), default=0.0) or 1.0
    return [
        Bar(
            label,
            quantity(sum(parts.values()), "J"),
            tuple(
                (meanings(Totals)[part].head, PART_COLOURS[part], 100 * energy_J / longest, quantity(energy_J, "J"))
                for part, energy_J in parts.items()
            ),
        )
        for label, parts in zip(labels, parts_J, strict=True)
    ]


def _tiles(result: StepResult) -> list[tuple[str, str]]:
    totals = result.totals
    share = totals.refresh_J / totals.energy_J if totals.energy_J > 0 else 0.0
    return [
        ("time", quantity(totals.latency_s, "s")),
        ("energy", quantity(totals.energy_J, "J")),
        ("energy-delay product", quantity(totals.edp_Js, "J s")),
        ("refresh", f"{quantity(totals.refresh_J, 'J')} ({share:.1%})"),
        ("row refreshes", f"{totals.refresh_count:,.0f}"),
        ("DRAM traffic", quantity(totals.dram_bytes, "B")),
        ("peak on chip", quantity(result.peak_onchip_bytes, "B")),
        ("MACs", quantity(totals.macs, "MAC")),
        ("cycles", f"{totals.cycles:,}"),
        ("area", quantity(result.area_m2, "m2")),
    ]


def _setting(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
