"""What a component model returns, and how a constant carries its source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from camel_plugin.spec.machine import EdramCells


@dataclass(frozen=True)
class Constant:
    """A number from the literature.

    Attributes:
        value: in ``unit``.
        unit: SI unit or a named count.
        source: publication or tool it was read in.
        node_nm: technology node it holds for, None where that has no meaning.
        temperature_C: temperature it holds at, None where unknown or meaningless.
        confirmed: False for a recalled or assumed figure; reports mark those.
        what: what the number is, in words for tables and reports.
    """

    value: float
    unit: str
    source: str
    node_nm: float | None = None
    temperature_C: float | None = None
    confirmed: bool = True
    what: str = ""


@dataclass(frozen=True)
class ComponentCost:
    """Cost of ONE instance of a component.

    Attributes:
        actions_J: energy of each action (``read``, ``write``, ``update``: one ``width``-wide
            access; ``compute``: one operation), in J.
        leakage_W: static power, refresh not included.
        area_m2: silicon area; 0 for off-chip components.
        edram: cells and refresh of an eDRAM, else None.
        sources: where the constants come from.
        unconfirmed: those of them that are recalled or assumed, in words for the report.
        rule: which rule gives the energies, in words; empty where the model does not say.
    """

    actions_J: Mapping[str, float]
    leakage_W: float
    area_m2: float
    edram: EdramCells | None = None
    sources: tuple[str, ...] = field(default_factory=tuple)
    unconfirmed: tuple[str, ...] = field(default_factory=tuple)
    rule: str = ""


def joined_rules(rules: Iterable[str]) -> str:
    """The distinct rules behind a sum."""
    return "; ".join(sorted({rule for rule in rules if rule}))
