"""Engineering units: one prefix for a whole column, so that its numbers can be compared at a glance."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_SCALES: dict[str, tuple[tuple[str, float], ...]] = {
    "s": (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("ps", 1e-12)),
    "J": (("kJ", 1e3), ("J", 1.0), ("mJ", 1e-3), ("uJ", 1e-6), ("nJ", 1e-9), ("pJ", 1e-12), ("fJ", 1e-15)),
    "J s": (("J s", 1.0), ("mJ s", 1e-3), ("uJ s", 1e-6), ("nJ s", 1e-9), ("pJ s", 1e-12), ("fJ s", 1e-15)),
    "B": (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0)),
    "MAC": (("TMAC", 1e12), ("GMAC", 1e9), ("MMAC", 1e6), ("kMAC", 1e3), ("MAC", 1.0)),
    "m2": (("mm2", 1e-6),),
    "count": (("", 1.0),),
    "cycles": (("cycles", 1.0),),
    "ratio": (("", 1.0),),
}
_DIGITS = 4


@dataclass(frozen=True)
class Column:
    """How the numbers of one column are written.

    Attributes:
        unit: with its prefix, ``uJ``; powers of ten (1 kB = 1000 B). Empty for a plain number.
        scale: of that unit, in the SI unit.
        decimals: behind the point, the same for the whole column.
    """

    unit: str
    scale: float
    decimals: int

    def format(self, value: float) -> str:
        """``value`` (in the SI unit) in this column's unit; one too small to be seen is ``<0.01``, never ``0``."""
        if value == 0:
            return "0"
        smallest = 10.0**-self.decimals
        if abs(value) / self.scale < smallest / 2:
            return f"<{smallest:.{self.decimals}f}"
        return f"{value / self.scale:.{self.decimals}f}"


def column(values: Iterable[float], base: str) -> Column:
    """The column that shows the largest of ``values`` with four digits.

    Args:
        values: in the SI unit.
        base: ``s``, ``J``, ``J s``, ``B``, ``MAC``, ``m2``, ``count``, ``cycles`` or ``ratio``.
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    scales = _SCALES[base]
    if not largest:
        return Column(*next((entry for entry in scales if entry[1] == 1.0), scales[0]), 0)
    unit, scale = next((entry for entry in scales if largest >= entry[1]), scales[-1])
    if unit in {"B", "MAC"} or base in {"count", "cycles"}:
        return Column(unit, scale, 0)
    whole_digits = math.floor(math.log10(largest / scale)) + 1
    return Column(unit, scale, min(max(_DIGITS - whole_digits, 0), _DIGITS - 1))


def quantity(value: float, base: str) -> str:
    """One value with its unit, ``12.34 uJ``."""
    chosen = column([value], base)
    return f"{chosen.format(value)} {chosen.unit}".rstrip()
