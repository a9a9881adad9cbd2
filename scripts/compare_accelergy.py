"""The exercises' four machines, class by class: what a component costs here beside what Accelergy says, as Markdown.

    python -m scripts.compare_accelergy [DESIGNS]

Accelergy's figures were recorded (scripts/record_stock_accelergy.py). With DESIGNS, ``example_designs`` of
timeloop-accelergy-exercises, compound classes are those of its ``_components``, without it those known here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camel_plugin.components.compound import estimate_component
from camel_plugin.files.specification import read_specification
from camel_plugin.files.yaml_source import YamlNode

RECORDED = Path(__file__).parents[1] / "tests" / "recorded" / "accelergy-stock.json"
ORDER = ("read", "write", "update", "compute", "leak")


@dataclass(frozen=True)
class Comparison:
    """One figure of a component.

    Attributes:
        kind: class.
        shape: the attributes that count, in words.
        what: action or ``area``.
        here: pJ, pJ per cycle, um2.
        accelergy: the same by Accelergy.
        rule: which rule gives it here.
    """

    kind: str
    shape: str
    what: str
    here: float
    accelergy: float
    rule: str

    @property
    def deviation(self) -> float:
        """Relative to Accelergy, 0 where both are nothing."""
        return self.here / self.accelergy - 1 if self.accelergy else float(self.here != 0)


def comparisons(designs: Path | None = None) -> list[Comparison]:
    """Every distinct component of the four machines, by class."""
    classes: dict[str, YamlNode] = {}
    if designs is not None:
        classes = dict(read_specification(sorted((designs / "_components").glob("*.yaml"))).classes)
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))["machines"]
    found = [each for records in recorded.values() for record in records for each in _compared(record, classes)]
    return sorted(dict.fromkeys(found), key=lambda each: each.kind.lower())


def _compared(record: dict[str, Any], classes: dict[str, YamlNode]) -> Iterator[Comparison]:
    kind, attributes = record["class"], record["attributes"]
    cost = estimate_component(kind, attributes, classes, YamlNode({}, RECORDED.name, 1))
    names = ("technology", "type", "width", "depth", "multiplier_width", "adder_width")
    shape = ", ".join(f"{name} {attributes[name]}" for name in names if name in attributes)
    here = {action: energy_J * 1e12 for action, energy_J in cost.actions_J.items()}
    here["leak"] = cost.leakage_W * attributes["global_cycle_seconds"] * 1e12
    for action in ORDER:
        if action in record["energies_pJ"]:
            yield Comparison(kind, shape, action, here[action], record["energies_pJ"][action], cost.rule)
    yield Comparison(kind, shape, "area", cost.area_m2 * 1e12, record["area_um2"], cost.rule)


def markdown(found: list[Comparison]) -> str:
    """A row a component, here / Accelergy in each cell, and the largest deviation of its class."""
    lines = [
        "| class | attributes | action: here / Accelergy (pJ; area um2) | largest deviation |",
        "|---|---|---|---|",
    ]
    for kind, shape in dict.fromkeys((each.kind, each.shape) for each in found):
        rows = [each for each in found if (each.kind, each.shape) == (kind, shape)]
        figures = "; ".join(f"{each.what} {each.here:.4g} / {each.accelergy:.4g}" for each in rows)
        worst = max(abs(each.deviation) for each in rows)
        lines.append(f"| `{kind}` | {shape} | {figures} | {worst:.2%} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown(comparisons(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
