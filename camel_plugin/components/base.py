"""What a component model returns, and how a constant carries its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from camel_plugin.errors import InfeasibleError, Shortfall


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
class Refresh:
    """Refresh of ONE instance of an eDRAM storage.

    All arrays of a bank refresh one row each at the same time, so a pass over a bank takes
    ``rows_per_array`` row operations whatever the number of arrays.

    Attributes:
        banks: independently refreshed banks of the instance.
        arrays_per_bank: arrays of a bank, refreshed in parallel.
        rows_per_array: rows refreshed one after the other in a pass.
        row_bits: bits of a row (one refresh operation reads and writes these back).
        row_energy_J: energy to refresh one row of one array.
        row_cycles: machine cycles during which a row refresh occupies its array.
        retention_s: retention time at the temperature and yield asked for.
        retention_median_s: median retention time of a cell at that temperature.
        retention_sigma_ln: standard deviation of ln(retention) between cells.
    """

    banks: int
    arrays_per_bank: int
    rows_per_array: int
    row_bits: int
    row_energy_J: float
    row_cycles: float
    retention_s: float
    retention_median_s: float
    retention_sigma_ln: float

    @property
    def rows_per_bank(self) -> int:
        """Rows of all arrays of a bank."""
        return self.arrays_per_bank * self.rows_per_array

    @property
    def rows(self) -> int:
        """Rows of the instance."""
        return self.banks * self.rows_per_bank

    def availability(self, share: float, cycle_s: float, level: str) -> float:
        """Share of the time that a bank is free for accesses while the share ``share`` of its rows is kept alive.

        Raises:
            InfeasibleError: refreshing the rows of ``level`` takes as long as the data last.
        """
        period = self.retention_s / cycle_s
        busy = share * self.rows_per_array * self.row_cycles
        if busy >= period:
            remedy = "use shorter arrays, a lower temperature or a policy that refreshes less"
            what = f"refresh cycles in a retention time of {level}"
            raise InfeasibleError(f"the data of {level}", [Shortfall(what, busy, period, "cycles", remedy)])
        return 1 - busy / period


@dataclass(frozen=True)
class Estimate:
    """Cost of ONE instance of a component.

    Attributes:
        actions_J: energy of each action (``read``, ``write``, ``update``: one ``width``-wide
            access; ``compute``: one operation), in J.
        leakage_W: static power, refresh not included.
        area_m2: silicon area; 0 for off-chip components.
        refresh: refresh properties of an eDRAM, else None.
        sources: where the constants come from.
        unconfirmed: those of them that are recalled or assumed, in words for the report.
    """

    actions_J: Mapping[str, float]
    leakage_W: float
    area_m2: float
    refresh: Refresh | None = None
    sources: tuple[str, ...] = field(default_factory=tuple)
    unconfirmed: tuple[str, ...] = field(default_factory=tuple)
