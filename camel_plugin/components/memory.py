"""What the memory models share: the geometry of an instance and the assembling of an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.spec.machine import EdramCells


@dataclass(frozen=True)
class Geometry:
    """Shape of one storage instance.

    Attributes:
        access_bits: physical bits of one ``width``-wide access.
        depth: accesses that it holds.
        cluster_size: arrays ganged side by side, each holding its part of every access.
    """

    access_bits: float
    depth: int
    cluster_size: int = 1

    @property
    def bits(self) -> float:
        """Physical bits of the instance."""
        return self.access_bits * self.depth

    @property
    def array_bits(self) -> float:
        """Physical bits of one of its arrays: what the wires of an access have to span."""
        return self.bits / self.cluster_size

    @classmethod
    def of(cls, attributes: Attributes) -> Geometry:
        """From ``width`` (or ``row_bits``), ``depth`` and ``cluster_size``."""
        return cls(attributes.access_bits(), attributes.integer("depth"), attributes.integer("cluster_size", default=1))


def quantity(value: float, unit: str) -> str:
    """A figure and its unit for a reader; the unit ``1`` is left out."""
    return f"{value:.4g}" if unit == "1" else f"{value:.4g} {unit}"


def estimate_of(
    actions_J: dict[str, float],
    leakage_W: float,
    area_m2: float,
    constants: Sequence[Constant],
    edram: EdramCells | None = None,
    assumptions: Sequence[str] = (),
) -> ComponentCost:
    """An estimate that names its sources; ``assumptions`` are further unconfirmed statements, in words."""
    unconfirmed = (f"{c.what}: {quantity(c.value, c.unit)} ({c.source})" for c in constants if not c.confirmed)
    return ComponentCost(
        actions_J=actions_J,
        leakage_W=leakage_W,
        area_m2=area_m2,
        edram=edram,
        sources=tuple(dict.fromkeys(c.source for c in constants)),
        unconfirmed=tuple(dict.fromkeys([*unconfirmed, *assumptions])),
    )
