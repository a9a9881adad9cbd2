"""Classes of Accelergy's Aladdin plug-in: figures by latency, linear in the width, a multiplier's in its square.

The latency of an operation is a clock cycle, rounded up to whole ns (0.5 ns below 0.75 ns) and to one of the table; the
first row stands for what it does not have. The plug-in answers at 40 and 45 nm, with the same figures. Elsewhere
Accelergy has no estimator; the figures are scaled here like the library's, and the result says so.
"""

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from camel_plugin.components.accelergy.rule import ACCELERGY, Common, cost
from camel_plugin.components.accelergy.technology import area_ratio, energy_ratio
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost

RULE = f"{ACCELERGY} (Aladdin tables)"
_SOURCE = "Aladdin (Shao et al., ISCA 2014) in Accelergy's Aladdin plug-in, 40 nm"
_NODES_NM = (40.0, 45.0)
_REUSED = 0.85  # of a multiplication whose operand stays, in the plug-in
_COMPARED_S = 5e-9  # the cycle for which the plug-in takes the area of a regfile's comparators, whatever the clock


@dataclass(frozen=True)
class Row:
    """A unit of the tables at one latency, at its full width."""

    latency_s: float
    dynamic_J: float
    idle_J: float
    area_m2: float

    @property
    def leakage_W(self) -> float:
        """Static power."""
        return self.idle_J / self.latency_s

    def __mul__(self, size: float) -> "Row":
        return Row(self.latency_s, self.dynamic_J * size, self.idle_J * size, self.area_m2 * size)


@cache
def tables() -> Mapping[str, Mapping[float, Row]]:
    """Unit -> latency in ns -> figures, the shortest latency first."""
    found: dict[str, dict[float, Row]] = {}
    text = files("camel_plugin.components.accelergy").joinpath("aladdin.csv").read_text(encoding="utf-8")
    for line in csv.DictReader(text.splitlines()):
        latency_ns, dynamic_pJ, idle_pJ, area_um2 = (
            float(line[column]) for column in ("latency_ns", "dynamic_pJ", "idle_pJ", "area_um2")
        )
        row = Row(latency_ns * 1e-9, dynamic_pJ * 1e-12, idle_pJ * 1e-12, area_um2 * 1e-12)
        found.setdefault(line["unit"], {})[latency_ns] = row
    return found


def row(unit: str, cycle_s: float) -> Row:
    """Figures of a unit whose operation may take ``cycle_s``."""
    latency_ns = float(math.ceil(cycle_s * 1e9)) if cycle_s > 0.75e-9 else 0.5
    if latency_ns > 6:
        latency_ns = 10.0 if latency_ns > 10 else 6.0
    table = tables()[unit]
    return table.get(latency_ns, next(iter(table.values())))


@dataclass(frozen=True)
class Unit:
    """A unit of the size asked for: energy of each action, and what it leaks and takes."""

    actions_J: Mapping[str, float]
    leakage_W: float
    area_m2: float

    def __add__(self, other: "Unit") -> "Unit":
        """Both at once; an action that only one of them has is no action of the two."""
        shared = self.actions_J.keys() & other.actions_J.keys()
        return Unit(
            {action: self.actions_J[action] + other.actions_J[action] for action in sorted(shared)},
            self.leakage_W + other.leakage_W,
            self.area_m2 + other.area_m2,
        )


def _unit(found: Row, *verbs: str) -> Unit:
    """The plug-in takes any action that is not ``leak`` for the one that it has."""
    return Unit(
        dict.fromkeys(("access", "compute", "read", "write", "update", *verbs), found.dynamic_J),
        found.leakage_W,
        found.area_m2,
    )


_Model = Callable[[Mapping[str, object]], ComponentCost]


def _estimate(kind: str, values: Mapping[str, object], unit: Callable[[Attributes, float], Unit]) -> ComponentCost:
    attributes = Attributes(kind, values)
    common = Common.of(attributes)
    found = unit(attributes, common.cycle_s)
    origin_nm = min(max(common.node_nm, _NODES_NM[0]), _NODES_NM[1])
    native = common.node_nm in _NODES_NM
    energy, area = energy_ratio(origin_nm, common.node_nm), area_ratio(origin_nm, common.node_nm)
    missing = f"Accelergy has no estimator for {kind} at {common.node_nm:g} nm"
    return cost(
        common,
        {action: energy_J * (1.0 if native else energy) for action, energy_J in found.actions_J.items()},
        found.leakage_W * (1.0 if native else energy),
        found.area_m2 * (1.0 if native else area),
        rule=RULE if native else f"built-in model: Accelergy's Aladdin tables, scaled from {origin_nm:g} nm",
        source=_SOURCE,
        assumptions=() if native else (f"{missing}: its figures for {origin_nm:g} nm, scaled",),
    )


def _adder(bits: float, cycle_s: float) -> Unit:
    return _unit(row("adder", cycle_s) * (bits / 32), "add")


def _multiplier(found: Row, share: float, cycle_s: float) -> Unit:
    """A multiplier at ``share`` of the width of its row; gated, it costs a cycle of its leakage."""
    found *= share**2
    unit = _unit(found, "mult", "multiply", "mult_random")
    special = {"mult_gated": found.leakage_W * cycle_s, "mult_reused": _REUSED * found.dynamic_J}
    return Unit({**unit.actions_J, **special}, unit.leakage_W, unit.area_m2)


def _mac(adder: Unit, multiplier: Unit, verbs: Mapping[str, str]) -> Unit:
    """An addition and a multiplication; ``verbs`` says which of the multiplier's actions an action takes."""
    adds = {**adder.actions_J, **dict.fromkeys(verbs, adder.actions_J["add"])}
    multiplies = {**multiplier.actions_J, **{mac: multiplier.actions_J[name] for mac, name in verbs.items()}}
    return Unit(adds, adder.leakage_W, adder.area_m2) + Unit(multiplies, multiplier.leakage_W, multiplier.area_m2)


_MAC = {"mac": "mult", "mac_random": "mult", "mac_gated": "mult_gated", "mac_reused": "mult_reused"}
_FLOAT_MAC = dict.fromkeys(_MAC, "mult")
"""The plug-in tells the multiplier of an ``fpmac`` nothing of gating."""


def _float_bits(attributes: Attributes) -> tuple[float, str, int]:
    bits = attributes.number("exponent") + attributes.number("mantissa")
    return (bits, "fp_sp", 32) if bits <= 32 else (bits, "fp_dp", 64)


def _float_adder(attributes: Attributes, cycle_s: float) -> Unit:
    bits, precision, table_bits = _float_bits(attributes)
    return _unit(row(f"{precision}_adder", cycle_s) * (bits / table_bits), "add")


def _float_multiplier(attributes: Attributes, cycle_s: float) -> Unit:
    bits, precision, table_bits = _float_bits(attributes)
    return _multiplier(row(f"{precision}_multiplier", cycle_s), bits / table_bits, cycle_s)


def estimate_intadder(values: Mapping[str, object]) -> ComponentCost:
    """``intadder`` from ``technology`` and ``width``."""
    return _estimate("intadder", values, lambda attributes, cycle_s: _adder(attributes.number("width"), cycle_s))


def estimate_intmultiplier(values: Mapping[str, object]) -> ComponentCost:
    """``intmultiplier`` from ``technology`` and ``width``."""

    def unit(attributes: Attributes, cycle_s: float) -> Unit:
        return _multiplier(row("multiplier", cycle_s), attributes.number("width") / 32, cycle_s)

    return _estimate("intmultiplier", values, unit)


def estimate_intmac(values: Mapping[str, object]) -> ComponentCost:
    """``intmac`` of the plug-in from ``technology`` and ``width``: an adder and a multiplier of that width."""

    def unit(attributes: Attributes, cycle_s: float) -> Unit:
        bits = attributes.number("width")
        return _mac(_adder(bits, cycle_s), _multiplier(row("multiplier", cycle_s), bits / 32, cycle_s), _MAC)

    return _estimate("intmac", values, unit)


def estimate_fpadder(values: Mapping[str, object]) -> ComponentCost:
    """``fpadder`` from ``technology``, ``exponent`` and ``mantissa``."""
    return _estimate("fpadder", values, _float_adder)


def estimate_fpmultiplier(values: Mapping[str, object]) -> ComponentCost:
    """``fpmultiplier`` from ``technology``, ``exponent`` and ``mantissa``."""
    return _estimate("fpmultiplier", values, _float_multiplier)


def estimate_fpmac(values: Mapping[str, object]) -> ComponentCost:
    """``fpmac`` from ``technology``, ``exponent`` and ``mantissa``."""

    def unit(attributes: Attributes, cycle_s: float) -> Unit:
        return _mac(_float_adder(attributes, cycle_s), _float_multiplier(attributes, cycle_s), _FLOAT_MAC)

    return _estimate("fpmac", values, unit)


def estimate_comparator(values: Mapping[str, object]) -> ComponentCost:
    """``comparator`` from ``technology`` and ``width``."""
    return _estimate("comparator", values, _per_32("comparator", "compare"))


def estimate_counter(values: Mapping[str, object]) -> ComponentCost:
    """``counter`` from ``technology`` and ``width``."""
    return _estimate("counter", values, _per_32("counter", "count"))


def _per_32(unit: str, verb: str) -> Callable[[Attributes, float], Unit]:
    return lambda given, cycle_s: _unit(row(unit, cycle_s) * (given.number("width") / 32), verb)


def estimate_reg(values: Mapping[str, object]) -> ComponentCost:
    """``reg``: a register from ``technology`` and ``width``."""
    return _estimate("reg", values, lambda given, cycle_s: _unit(row("reg", cycle_s) * given.number("width")))


def estimate_regfile(values: Mapping[str, object]) -> ComponentCost:
    """``regfile`` from ``technology``, ``width`` and ``depth``: one register and the address comparators of all rows.

    The register is that of a single bit whatever the width, in the plug-in. Its actions are those that change the data
    and the address (``data_delta`` and ``address_delta`` are 1).
    """

    def unit(given: Attributes, cycle_s: float) -> Unit:
        given.number("width")
        depth = given.integer("depth", least=0)
        if depth == 0:
            return _unit(row("reg", cycle_s) * 0)
        size = depth * math.ceil(math.log2(depth)) / 32
        register, comparators = _unit(row("reg", cycle_s)), _unit(row("comparator", cycle_s) * size)
        area_m2 = register.area_m2 + row("comparator", _COMPARED_S).area_m2 * size
        return replace(register + comparators, area_m2=area_m2)

    return _estimate("regfile", values, unit)


def estimate_bitwise(values: Mapping[str, object]) -> ComponentCost:
    """``bitwise`` from ``technology`` and ``width``."""
    return _estimate("bitwise", values, lambda given, cycle_s: _unit(row("bitwise", cycle_s) * given.number("width")))


def estimate_crossbar(values: Mapping[str, object]) -> ComponentCost:
    """``crossbar`` from ``technology``, ``n_inputs``, ``n_outputs`` and ``width``; the table has 1 by 4 of 32 bits."""

    def unit(given: Attributes, cycle_s: float) -> Unit:
        size = given.number("n_inputs") * given.number("n_outputs") / 4 * given.number("width") / 32
        return _unit(row("crossbar", cycle_s) * size, "transfer")

    return _estimate("crossbar", values, unit)
