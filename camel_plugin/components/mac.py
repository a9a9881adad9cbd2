"""Arithmetic: integer, block floating point (BFP) and floating point.

Integer adders are linear in their width and multipliers proportional to the product of their operands' widths, both
anchored at Horowitz' 32-bit units (which predicts his 8-bit adder within 20 %). A floating-point unit is published for
16 and 32 bits. Leakage is a density of standard cells times area.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.memory import estimate_of
from camel_plugin.components.scaling import OperatingPoint, area_ratio, energy_ratio, leakage_ratio, point_of
from camel_plugin.errors import SpecError


@dataclass(frozen=True)
class Unit:
    """A published unit: energy of one operation, area, supply at which they hold (None: nominal)."""

    energy: Constant
    area: Constant
    voltage_V: float | None = None


def _horowitz(what: str, energy_pJ: float, area_um2: float) -> Unit:
    return Unit(
        Constant(energy_pJ * 1e-12, "J", "Horowitz, ISSCC 2014, 0.9 V", 45, what=what),
        Constant(area_um2 * 1e-12, "m2", "area table after Horowitz, recalled", 45, None, False, what=f"{what}, area"),
        0.9,
    )


_ALADDIN = "Aladdin (Accelergy's library)"
INT32_ADD = _horowitz("int32 add", 0.1, 137)
INT32_MULTIPLY = _horowitz("int32 multiply", 3.1, 3495)
FLOAT_ADD = {16: _horowitz("FP16 add", 0.4, 1360), 32: _horowitz("FP32 add", 0.9, 4184)}
FLOAT_MULTIPLY = {16: _horowitz("FP16 multiply", 1.1, 1640), 32: _horowitz("FP32 multiply", 3.7, 7700)}
LEAKAGE_DENSITY = Constant(
    2.4e-6 / 278e-12, "W/m2", f"{_ALADDIN}: its adder (25 C assumed)", 40, 25, False, what="leakage of standard cells"
)
UNITS = (INT32_ADD, INT32_MULTIPLY, *FLOAT_ADD.values(), *FLOAT_MULTIPLY.values())
CONSTANTS = (*(constant for unit in UNITS for constant in (unit.energy, unit.area)), LEAKAGE_DENSITY)


@dataclass(frozen=True)
class Circuit:
    """A piece of logic at an operating point: energy of one operation in J, area in m2, leakage in W."""

    energy_J: float
    area_m2: float
    leakage_W: float
    constants: tuple[Constant, ...] = ()

    def __add__(self, other: Circuit) -> Circuit:
        return Circuit(
            self.energy_J + other.energy_J,
            self.area_m2 + other.area_m2,
            self.leakage_W + other.leakage_W,
            (*self.constants, *other.constants),
        )

    def __mul__(self, times: float) -> Circuit:
        return Circuit(self.energy_J * times, self.area_m2 * times, self.leakage_W * times, self.constants)


def circuit(unit: Unit, size: float, point: OperatingPoint) -> Circuit:
    """A published unit, made ``size`` times as large and moved to ``point``."""
    origin = point_of(unit.energy, unit.voltage_V)
    return Circuit(
        unit.energy.value * size * energy_ratio(origin, point),
        unit.area.value * size * area_ratio(origin.node_nm, point.node_nm),
        LEAKAGE_DENSITY.value * unit.area.value * size * leakage_ratio(point_of(LEAKAGE_DENSITY), point),
        (unit.energy, unit.area, LEAKAGE_DENSITY),
    )


def integer_adder(bits: float, point: OperatingPoint) -> Circuit:
    """Adder of ``bits`` bits."""
    return circuit(INT32_ADD, bits / 32, point)


def integer_multiplier(bits_a: float, bits_b: float, point: OperatingPoint) -> Circuit:
    """Multiplier of ``bits_a`` by ``bits_b`` bits."""
    return circuit(INT32_MULTIPLY, bits_a * bits_b / 32**2, point)


def bfp_dot_product(
    group: int, mantissa_bits: float, exponent_bits: float, accumulator_bits: float, point: OperatingPoint
) -> Circuit:
    """Dot product of two BFP groups, added to an accumulator.

    ``group`` mantissa products, the adder tree that sums them without loss, one sum of the two shared exponents, the
    alignment of the sum (taken to cost an addition) and the accumulation.
    """
    product_bits = 2 * mantissa_bits
    sum_bits = product_bits + math.ceil(math.log2(group))
    return (
        integer_multiplier(mantissa_bits, mantissa_bits, point) * group
        + integer_adder(sum_bits, point) * (group - 1)
        + integer_adder(exponent_bits + 1, point)
        + integer_adder(accumulator_bits, point) * 2
    )


def _estimate(
    unit: Circuit, attributes: Attributes, verb: str = "compute", assumptions: Sequence[str] = ()
) -> ComponentCost:
    """The estimate of a piece of logic whose one operation is called ``compute``, ``read`` or ``verb``."""
    return estimate_of(
        dict.fromkeys(("compute", "read", verb), unit.energy_J),
        unit.leakage_W,
        unit.area_m2,
        (*dict.fromkeys(unit.constants), *attributes.assumed()),
        assumptions=assumptions,
    )


_WIDTH = ("width", "n_bits", "precision", "datawidth")


def estimate_integer_mac(values: Mapping[str, object]) -> ComponentCost:
    """Integer multiply-accumulate from ``technology`` and ``multiplier_width`` (or ``width``, ``datawidth``).

    Optional: ``adder_width`` (twice the multiplier's).
    """
    attributes = Attributes("integer_mac", values)
    point = attributes.operating_point()
    bits = attributes.integer("multiplier_width", *_WIDTH)
    adder_bits = attributes.integer("adder_width", default=2 * bits)
    return _estimate(integer_multiplier(bits, bits, point) + integer_adder(adder_bits, point), attributes)


def estimate_bfp_mac(values: Mapping[str, object]) -> ComponentCost:
    """One multiply-accumulate lane of a BFP dot-product unit: energy, area and leakage are 1/``group`` of the unit's.

    Attributes ``technology`` and optionally ``group`` (9), ``mantissa_bits`` (6, with sign), ``exponent_bits`` (4),
    ``accumulator_bits`` (32).
    """
    attributes = Attributes("bfp_mac", values)
    point = attributes.operating_point()
    group = attributes.integer("group", default=9)
    unit = bfp_dot_product(
        group,
        attributes.integer("mantissa_bits", "mantissa_width", default=6),
        attributes.integer("exponent_bits", "exponent_width", default=4),
        attributes.integer("accumulator_bits", "adder_width", default=32),
        point,
    )
    shifter = "BFP unit: alignment shifter counted as an adder (assumed)"
    return _estimate(unit * (1 / group), attributes, assumptions=(shifter,))


def _float_width(attributes: Attributes) -> int:
    bits = attributes.integer("width", "datawidth", default=16)
    if bits not in FLOAT_ADD:
        raise SpecError(
            "no published unit of this width", field="attributes.width", value=bits, suggestion="valid: 16, 32"
        )
    return bits


def estimate_float_mac(values: Mapping[str, object]) -> ComponentCost:
    """Floating-point multiply-accumulate from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("float_mac", values)
    bits, point = _float_width(attributes), attributes.operating_point()
    return _estimate(circuit(FLOAT_MULTIPLY[bits], 1, point) + circuit(FLOAT_ADD[bits], 1, point), attributes)


def estimate_float_adder(values: Mapping[str, object]) -> ComponentCost:
    """Floating-point adder from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("float_adder", values)
    return _estimate(circuit(FLOAT_ADD[_float_width(attributes)], 1, attributes.operating_point()), attributes, "add")


def estimate_float_multiplier(values: Mapping[str, object]) -> ComponentCost:
    """Floating-point multiplier from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("float_multiplier", values)
    unit = circuit(FLOAT_MULTIPLY[_float_width(attributes)], 1, attributes.operating_point())
    return _estimate(unit, attributes, "multiply")


def estimate_integer_adder(values: Mapping[str, object]) -> ComponentCost:
    """Integer adder (address generator) from ``technology`` and ``width`` or ``n_bits``."""
    attributes = Attributes("integer_adder", values)
    unit = integer_adder(attributes.integer(*_WIDTH, least=0), attributes.operating_point())
    return _estimate(unit, attributes, "add")


def estimate_integer_multiplier(values: Mapping[str, object]) -> ComponentCost:
    """Integer multiplier from ``technology`` and ``width``, or ``width_a`` and ``width_b``."""
    attributes = Attributes("integer_multiplier", values)
    bits_a, bits_b = (attributes.integer(name, *_WIDTH) for name in ("width_a", "width_b"))
    return _estimate(integer_multiplier(bits_a, bits_b, attributes.operating_point()), attributes, "multiply")


def estimate_vector_alu(values: Mapping[str, object]) -> ComponentCost:
    """Lane of a vector unit: an element operation is the mean of a floating-point add and multiply (``width`` 16)."""
    attributes = Attributes("vector_alu", values)
    bits, point = _float_width(attributes), attributes.operating_point()
    both = circuit(FLOAT_ADD[bits], 1, point) + circuit(FLOAT_MULTIPLY[bits], 1, point)
    lane = replace(both, energy_J=both.energy_J / 2)
    return _estimate(lane, attributes, "op", ("vector operation: mean of an add and a multiply (assumed)",))
