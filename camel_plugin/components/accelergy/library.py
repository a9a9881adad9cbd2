"""Classes of Accelergy's library plug-in that stock component files use: one published figure each, scaled.

Energy, leakage and area are linear in every width that is given, and so in all of them at once; a width under a name
that an entry does not have (``n_bits``) is not read. Where a width is given under both of its names, the one written
first counts. Depth is no business of a register.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin.components.accelergy.rule import ACCELERGY, Common, cost
from camel_plugin.components.accelergy.technology import area_ratio, energy_ratio
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant

RULE = f"{ACCELERGY} (library)"
_SOURCE = "Aladdin (Shao et al., ISCA 2014) in Accelergy's library, 1 ns"
_WIDTH = (("width", "datawidth"),)
_WIDTHS = (*_WIDTH, ("width_a", "datawidth_a"), ("width_b", "datawidth_b"))


@dataclass(frozen=True)
class Entry:
    """One class of the library.

    Attributes:
        energy: of ``verb`` and a read; a write and an update cost nothing there.
        leakage: while idle.
        area: of the unit.
        bits: of every width that the figures hold for.
        widths: names of each width.
        verb: name of its operation.
    """

    energy: Constant
    leakage: Constant
    area: Constant
    bits: int
    verb: str
    widths: tuple[tuple[str, ...], ...] = _WIDTH


def _entry(
    what: str,
    energy_pJ: float,
    leakage_uW: float,
    area_um2: float,
    verb: str,
    bits: int = 32,
    widths: tuple[tuple[str, ...], ...] = _WIDTH,
) -> Entry:
    return Entry(
        Constant(energy_pJ * 1e-12, "J", _SOURCE, 40, what=f"{what}, {bits} bit"),
        Constant(leakage_uW * 1e-6, "W", _SOURCE, 40, what=f"{what}, {bits} bit, leakage"),
        Constant(area_um2 * 1e-12, "m2", _SOURCE, 40, what=f"{what}, {bits} bit, area"),
        bits,
        verb,
        widths,
    )


ADDER = _entry("library adder", 0.21, 2.4, 278, "add")
COMPARATOR = _entry("library comparator", 0.02947, 0.0251, 71, "compare")
COUNTER = _entry("library counter", 0.25074, 0.3213, 495.5, "count")
MULTIPLIER = _entry("library multiplier", 12.68, 80, 6350, "multiply", widths=_WIDTHS)
REGISTER = _entry("library register", 0.009, 0, 5.98, "read", bits=1)
ENTRIES = (ADDER, COMPARATOR, COUNTER, MULTIPLIER, REGISTER)


def _estimate(kind: str, entry: Entry, values: Mapping[str, object]) -> ComponentCost:
    attributes = Attributes(kind, values)
    common = Common.of(attributes)
    size = 1.0
    for names in entry.widths:
        as_written = (name for name in values if name in names)
        size *= attributes.number(*as_written, *names, default=entry.bits) / entry.bits
    assert entry.energy.node_nm is not None
    # At an entry's own node the plug-in asks no law, whose factor there is not 1 (see technology).
    native = common.node_nm == entry.energy.node_nm
    energy = size * (1.0 if native else energy_ratio(entry.energy.node_nm, common.node_nm))
    area = size * (1.0 if native else area_ratio(entry.energy.node_nm, common.node_nm))
    used_J = entry.energy.value * energy
    return cost(
        common,
        {"write": 0.0, "update": 0.0, "compute": used_J, "read": used_J, entry.verb: used_J},
        entry.leakage.value * energy,
        entry.area.value * area,
        rule=RULE,
        source=_SOURCE,
    )


def estimate_adder(values: Mapping[str, object]) -> ComponentCost:
    """``aladdin_adder`` from ``technology`` and ``width``."""
    return _estimate("aladdin_adder", ADDER, values)


def estimate_comparator(values: Mapping[str, object]) -> ComponentCost:
    """``aladdin_comparator`` from ``technology`` and ``width``."""
    return _estimate("aladdin_comparator", COMPARATOR, values)


def estimate_counter(values: Mapping[str, object]) -> ComponentCost:
    """``aladdin_counter`` from ``technology`` and ``width``."""
    return _estimate("aladdin_counter", COUNTER, values)


def estimate_multiplier(values: Mapping[str, object]) -> ComponentCost:
    """``aladdin_multiplier`` from ``technology`` and ``width_a`` and ``width_b``, or ``width``."""
    return _estimate("aladdin_multiplier", MULTIPLIER, values)


def estimate_register(values: Mapping[str, object]) -> ComponentCost:
    """``aladdin_register`` from ``technology`` and ``width`` (1)."""
    return _estimate("aladdin_register", REGISTER, values)


def estimate_dummy(values: Mapping[str, object]) -> ComponentCost:
    """``dummy_storage`` and ``dummy_compute``: units that a specification declares to cost nothing."""
    return ComponentCost(
        dict.fromkeys(("read", "write", "update", "compute"), 0.0), 0.0, 0.0, rule="dummy: declared to cost nothing"
    )
