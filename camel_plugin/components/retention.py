"""Retention time of a gain cell or eDRAM cell against temperature and yield.

Between cells the retention time is log-normal (Edri, TCAS-I 2016), because it is inversely proportional to a leakage
current that is exponential in a normally distributed threshold voltage:
P(a cell has failed at time t) = Phi((ln t - ln t_median) / sigma), sigma = sigma_Vth / (n kT/q).
Quoted retention times shorten with temperature by an Arrhenius law; it is applied at the yield for which a time is
quoted, and the spread around it follows sigma(T). Below about 0 C gate-induced leakage, which hardly depends on
temperature, would take over: cold figures are optimistic.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from camel_plugin.components.constant import Constant
from camel_plugin.components.scaling import current_ratio, temperature_of, thermal_voltage
from camel_plugin.errors import SpecError, nearest
from camel_plugin.spec.machine import EdramCells

SIGMA_VTH = Constant(
    0.050, "V", "assumed default; not measured for these cells", confirmed=False, what="spread of cell Vth"
)
SLOPE_FACTOR = Constant(
    1.2, "1", "assumed subthreshold slope of 70 mV/decade at 25 C", confirmed=False, what="subthreshold slope factor n"
)


@dataclass(frozen=True)
class QuotedRetention:
    """A published retention time; its node and temperature stand in ``time``."""

    time: Constant
    yield_fraction: float


QUOTED: Mapping[str, Sequence[QuotedRetention]] = {
    "3T": (
        QuotedRetention(
            Constant(3.35e-6, "s", "CAMEL (arXiv 2305.03148), Monte Carlo", 16, 100, what="3T retention"), 0.999
        ),
        QuotedRetention(
            Constant(
                45e-6,
                "s",
                "Kelle, MICRO 2025 (3T, yield not stated: 99.9 % assumed)",
                65,
                105,
                False,
                what="3T retention",
            ),
            0.999,
        ),
    ),
    "1T1C": (
        QuotedRetention(
            Constant(
                100e-6,
                "s",
                "MemSysExplorer after Wang, IEDM 2013 (95 C and 99.9 % assumed)",
                22,
                95,
                False,
                what="1T1C retention",
            ),
            0.999,
        ),
        QuotedRetention(
            Constant(
                40e-6,
                "s",
                "MemSysExplorer after Barth, JSSC 2011 (105 C and 99.9 % assumed)",
                45,
                105,
                False,
                what="1T1C retention",
            ),
            0.999,
        ),
    ),
}


def quoted(cell: str, node_nm: float) -> QuotedRetention:
    """The published retention time of this kind of cell at the nearest node; nothing is scaled between nodes."""
    if cell not in QUOTED:
        raise SpecError(
            "unknown eDRAM cell", field="attributes.cell", value=cell, suggestion=nearest(cell, tuple(QUOTED))
        )
    return min(QUOTED[cell], key=lambda entry: abs(math.log(node_nm / (entry.time.node_nm or node_nm))))


def spread(temperature_C: float) -> float:
    """Standard deviation of ln(retention time) between cells."""
    return SIGMA_VTH.value / (SLOPE_FACTOR.value * thermal_voltage(temperature_C))


def quantile(yield_fraction: float) -> float:
    """Standard deviations below the median within which the fraction ``yield_fraction`` of the cells retains."""
    if not 0 < yield_fraction < 1:
        raise SpecError(
            "not a yield", field="attributes.yield", value=yield_fraction, suggestion="valid: above 0 and below 1"
        )
    return NormalDist().inv_cdf(yield_fraction)


def retention_time(cell: str, node_nm: float, temperature_C: float, yield_fraction: float) -> float:
    """Time in s after which a fraction ``1 - yield_fraction`` of the cells has lost its datum.

    Args:
        cell: ``3T`` or ``1T1C``.
        node_nm: technology node.
        temperature_C: -40..125.
        yield_fraction: in ]0, 1[.

    Raises:
        SpecError: unknown cell, temperature outside the validity, or not a yield.
    """
    anchor = quoted(cell, node_nm)
    at_quoted_yield = anchor.time.value / current_ratio(temperature_of(anchor.time), temperature_C)
    deviations = quantile(yield_fraction) - quantile(anchor.yield_fraction)
    return at_quoted_yield * math.exp(-deviations * spread(temperature_C))


def median_time(retention_s: float, temperature_C: float, yield_fraction: float) -> float:
    """Median retention of a cell, given the time at which ``yield_fraction`` of the cells still retain."""
    return retention_s * math.exp(quantile(yield_fraction) * spread(temperature_C))


def failed_fraction(refresh: EdramCells, interval_s: float) -> float:
    """Expected fraction of the bits that are lost if nothing is restored for ``interval_s``."""
    if interval_s <= 0:
        return 0.0
    deviations = math.log(interval_s / refresh.retention_median_s) / refresh.retention_sigma_ln
    # The complementary error function keeps its precision in the far tail, where 1 + erf cancels to nothing.
    return math.erfc(-deviations / math.sqrt(2)) / 2


def availability(refresh: EdramCells, cycle_s: float) -> float:
    """Fraction of the time that an array is not busy with conventional refresh (GEMTOO): 1 - rows t_row / t_retention.

    0 means that refreshing all rows takes longer than the data last.
    """
    busy_s = refresh.rows_per_array * refresh.row_cycles * cycle_s
    return max(0.0, 1 - busy_s / refresh.retention_s)


def refresh_power(refresh: EdramCells) -> float:
    """Power in W of conventional refresh: every row of every bank once a retention time, occupied or not."""
    return refresh.banks * refresh.rows_per_bank * refresh.row_energy_J / refresh.retention_s
