"""Arithmetic: integer, block floating point (BFP) and floating point.

Integer adders are linear in their width and multipliers proportional to the product of their operands' widths, both
anchored at Horowitz' 32-bit units (which predicts his 8-bit adder within 20 %). A floating-point unit is published for
16 and 32 bits. Leakage is a density of standard cells times area.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.base import Constant, Estimate
from camel_plugin.components.memory import estimate_of
from camel_plugin.components.scaling import (
    NOMINAL_VOLTAGE,
    OperatingPoint,
    area_ratio,
    energy_ratio,
    leakage_ratio,
    point_of,
)
from camel_plugin.errors import SpecError

_HOROWITZ = "Horowitz, ISSCC 2014, 0.9 V"
_HOROWITZ_V = 0.9
_AREAS = "area table after Horowitz, recalled"
_ALADDIN = "Aladdin (Accelergy's library)"


def _energy(pJ: float, what: str) -> Constant:
    return Constant(pJ * 1e-12, "J", _HOROWITZ, 45, what=what)


def _area(um2: float, what: str) -> Constant:
    return Constant(um2 * 1e-12, "m2", _AREAS, 45, confirmed=False, what=f"{what} area")


INT32_ADD, INT32_ADD_AREA = _energy(0.1, "int32 add"), _area(137, "int32 adder")
INT32_MULTIPLY, INT32_MULTIPLY_AREA = _energy(3.1, "int32 multiply"), _area(3495, "int32 multiplier")
FLOAT_ADD = {16: _energy(0.4, "FP16 add"), 32: _energy(0.9, "FP32 add")}
FLOAT_ADD_AREA = {16: _area(1360, "FP16 adder"), 32: _area(4184, "FP32 adder")}
FLOAT_MULTIPLY = {16: _energy(1.1, "FP16 multiply"), 32: _energy(3.7, "FP32 multiply")}
FLOAT_MULTIPLY_AREA = {16: _area(1640, "FP16 multiplier"), 32: _area(7700, "FP32 multiplier")}
COMPARE32 = Constant(0.02947e-12, "J", _ALADDIN, 40, what="32-bit compare")
COMPARE32_AREA = Constant(71e-12, "m2", _ALADDIN, 40, what="32-bit comparator area")
COUNT32 = Constant(0.25074e-12, "J", _ALADDIN, 40, what="32-bit count")
COUNT32_AREA = Constant(495.5e-12, "m2", _ALADDIN, 40, what="32-bit counter area")
LEAKAGE_DENSITY = Constant(
    2.4e-6 / 278e-12, "W/m2", f"{_ALADDIN}: its adder (25 C assumed)", 40, 25, False, what="leakage of standard cells"
)
CONSTANTS = (
    *(INT32_ADD, INT32_ADD_AREA, INT32_MULTIPLY, INT32_MULTIPLY_AREA),
    *(table[bits] for table in (FLOAT_ADD, FLOAT_ADD_AREA, FLOAT_MULTIPLY, FLOAT_MULTIPLY_AREA) for bits in (16, 32)),
    *(COMPARE32, COMPARE32_AREA, COUNT32, COUNT32_AREA, LEAKAGE_DENSITY),
)


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


def _circuit(energy: Constant, area: Constant, size: float, point: OperatingPoint) -> Circuit:
    """A published unit, ``size`` times as large, moved to ``point``."""
    origin = point_of(energy, _HOROWITZ_V if energy.source == _HOROWITZ else None)
    return Circuit(
        energy.value * size * energy_ratio(origin, point),
        area.value * size * area_ratio(origin.node_nm, point.node_nm),
        LEAKAGE_DENSITY.value * area.value * size * leakage_ratio(point_of(LEAKAGE_DENSITY), point),
        (energy, area, LEAKAGE_DENSITY),
    )


def integer_adder(bits: float, point: OperatingPoint) -> Circuit:
    """Adder of ``bits`` bits."""
    return _circuit(INT32_ADD, INT32_ADD_AREA, bits / 32, point)


def integer_multiplier(bits_a: float, bits_b: float, point: OperatingPoint) -> Circuit:
    """Multiplier of ``bits_a`` by ``bits_b`` bits."""
    return _circuit(INT32_MULTIPLY, INT32_MULTIPLY_AREA, bits_a * bits_b / 32**2, point)


def comparator(bits: float, point: OperatingPoint) -> Circuit:
    """Comparator of ``bits`` bits."""
    return _circuit(COMPARE32, COMPARE32_AREA, bits / 32, point)


def counter(bits: float, point: OperatingPoint) -> Circuit:
    """Counter of ``bits`` bits."""
    return _circuit(COUNT32, COUNT32_AREA, bits / 32, point)


def float_adder(bits: int, point: OperatingPoint) -> Circuit:
    """FP16 or FP32 adder."""
    return _circuit(FLOAT_ADD[bits], FLOAT_ADD_AREA[bits], 1, point)


def float_multiplier(bits: int, point: OperatingPoint) -> Circuit:
    """FP16 or FP32 multiplier."""
    return _circuit(FLOAT_MULTIPLY[bits], FLOAT_MULTIPLY_AREA[bits], 1, point)


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


def _point(attributes: Attributes) -> tuple[OperatingPoint, tuple[Constant, ...]]:
    return attributes.operating_point(), () if "voltage" in attributes.values else (NOMINAL_VOLTAGE,)


def _estimate(
    circuit: Circuit, assumed: Sequence[Constant], verbs: Sequence[str], assumptions: Sequence[str] = ()
) -> Estimate:
    return estimate_of(
        dict.fromkeys(("compute", "read", *verbs), circuit.energy_J),
        circuit.leakage_W,
        circuit.area_m2,
        tuple(dict.fromkeys((*circuit.constants, *assumed))),
        assumptions=assumptions,
    )


_WIDTH = ("width", "n_bits", "precision", "datawidth")


def estimate_intmac(values: Mapping[str, object]) -> Estimate:
    """Integer multiply-accumulate from ``technology`` and ``multiplier_width`` (or ``width``, ``datawidth``).

    Optional: ``adder_width`` (twice the multiplier's).
    """
    attributes = Attributes("intmac", values)
    point, assumed = _point(attributes)
    bits = attributes.integer("multiplier_width", *_WIDTH)
    adder_bits = attributes.integer("adder_width", default=2 * bits)
    return _estimate(integer_multiplier(bits, bits, point) + integer_adder(adder_bits, point), assumed, ())


def estimate_bfp_mac(values: Mapping[str, object]) -> Estimate:
    """One multiply-accumulate lane of a BFP dot-product unit: energy, area and leakage are 1/``group`` of the unit's.

    Attributes ``technology`` and optionally ``group`` (9), ``mantissa_bits`` (6, with sign), ``exponent_bits`` (4),
    ``accumulator_bits`` (32).
    """
    attributes = Attributes("bfp_mac", values)
    point, assumed = _point(attributes)
    group = attributes.integer("group", default=9)
    unit = bfp_dot_product(
        group,
        attributes.integer("mantissa_bits", "mantissa_width", default=6),
        attributes.integer("exponent_bits", "exponent_width", default=4),
        attributes.integer("accumulator_bits", "adder_width", default=32),
        point,
    )
    return _estimate(unit * (1 / group), assumed, (), ("BFP unit: alignment shifter counted as an adder (assumed)",))


def _float_width(attributes: Attributes) -> int:
    bits = attributes.integer("width", "datawidth", default=16)
    if bits not in FLOAT_ADD:
        raise SpecError(
            "no published unit of this width", field="attributes.width", value=bits, suggestion="valid: 16, 32"
        )
    return bits


def estimate_fpmac(values: Mapping[str, object]) -> Estimate:
    """Floating-point multiply-accumulate from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("fpmac", values)
    point, assumed = _point(attributes)
    bits = _float_width(attributes)
    return _estimate(float_multiplier(bits, point) + float_adder(bits, point), assumed, ())


def estimate_fpadder(values: Mapping[str, object]) -> Estimate:
    """Floating-point adder from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("fpadder", values)
    point, assumed = _point(attributes)
    return _estimate(float_adder(_float_width(attributes), point), assumed, ("add",))


def estimate_fpmultiplier(values: Mapping[str, object]) -> Estimate:
    """Floating-point multiplier from ``technology`` and optionally ``width`` (16 or 32)."""
    attributes = Attributes("fpmultiplier", values)
    point, assumed = _point(attributes)
    return _estimate(float_multiplier(_float_width(attributes), point), assumed, ("multiply",))


def estimate_intadder(values: Mapping[str, object]) -> Estimate:
    """Integer adder (address generator) from ``technology`` and ``width`` or ``n_bits``."""
    attributes = Attributes("intadder", values)
    point, assumed = _point(attributes)
    return _estimate(integer_adder(attributes.integer(*_WIDTH, least=0), point), assumed, ("add",))


def estimate_intmultiplier(values: Mapping[str, object]) -> Estimate:
    """Integer multiplier from ``technology`` and ``width``, or ``width_a`` and ``width_b``."""
    attributes = Attributes("intmultiplier", values)
    point, assumed = _point(attributes)
    bits_a, bits_b = (attributes.integer(name, *_WIDTH) for name in ("width_a", "width_b"))
    return _estimate(integer_multiplier(bits_a, bits_b, point), assumed, ("multiply",))


def estimate_comparator(values: Mapping[str, object]) -> Estimate:
    """Comparator from ``technology`` and ``width`` or ``n_bits``."""
    attributes = Attributes("comparator", values)
    point, assumed = _point(attributes)
    return _estimate(comparator(attributes.integer(*_WIDTH), point), assumed, ("compare",))


def estimate_counter(values: Mapping[str, object]) -> Estimate:
    """Counter from ``technology`` and ``width`` or ``n_bits``."""
    attributes = Attributes("counter", values)
    point, assumed = _point(attributes)
    return _estimate(counter(attributes.integer(*_WIDTH), point), assumed, ("count",))


def estimate_vector_alu(values: Mapping[str, object]) -> Estimate:
    """Lane of a vector unit: an element operation is the mean of a floating-point add and multiply (``width`` 16)."""
    attributes = Attributes("vector_alu", values)
    point, assumed = _point(attributes)
    bits = _float_width(attributes)
    add, multiply = float_adder(bits, point), float_multiplier(bits, point)
    both = add + multiply
    lane = Circuit((add.energy_J + multiply.energy_J) / 2, both.area_m2, both.leakage_W, both.constants)
    return _estimate(lane, assumed, ("op",), ("vector operation: mean of an add and a multiply (assumed)",))
