"""Register files: a power of the depth between a single register and published scratchpads, linear in the width."""

import math
from collections.abc import Mapping, Sequence

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.memory import Geometry, estimate_of
from camel_plugin.components.scaling import OperatingPoint, area_ratio, energy_ratio, leakage_ratio, point_of

_SPAD = "Accelergy's Eyeriss-like example, 16 bit wide; its log says 32 nm"
_ALADDIN = "Aladdin (Accelergy's library)"

REGISTER = Constant(0.009e-12, "J/bit", _ALADDIN, 40, what="register access")
REGISTER_AREA = Constant(5.98e-12, "m2/bit", _ALADDIN, 40, what="register area")
LEAKAGE = Constant(
    0.001592e-12 / 1e-9 / (192 * 16),
    "W/bit",
    f"{_SPAD}; the 192 deep one (25 C assumed)",
    32,
    25,
    False,
    what="scratchpad leakage",
)
SPADS: Sequence[tuple[int, Constant, Constant]] = tuple(
    (
        depth,
        Constant(read_pJ * 1e-12 / 16, "J/bit", _SPAD, 32, what=f"scratchpad read, {depth} deep"),
        Constant(write_pJ * 1e-12 / 16, "J/bit", _SPAD, 32, what=f"scratchpad write, {depth} deep"),
    )
    for depth, read_pJ, write_pJ in ((12, 0.202442, 0.176713), (16, 0.2513, 0.2191), (192, 1.976602, 1.881657))
)
CONSTANTS = (REGISTER, REGISTER_AREA, LEAKAGE, *(c for _, read, write in SPADS for c in (read, write)))


def _per_bit(depth: int, points: Sequence[tuple[int, float]]) -> float:
    """Power law through the two points around ``depth``; the last one is continued."""
    following = next((i for i, (known, _) in enumerate(points) if known >= depth), len(points) - 1)
    (d0, e0), (d1, e1) = points[max(following, 1) - 1], points[max(following, 1)]
    exponent = math.log(e1 / e0) / math.log(d1 / d0)
    return e0 * math.pow(depth / d0, exponent)


def access_energy(geometry: Geometry, point: OperatingPoint) -> tuple[float, float]:
    """Energy in J of one read and one write."""
    register_J = REGISTER.value * energy_ratio(point_of(REGISTER), point)
    scale = energy_ratio(point_of(SPADS[0][1]), point)
    reads = [(1, register_J), *((depth, read.value * scale) for depth, read, _ in SPADS)]
    writes = [(1, register_J), *((depth, write.value * scale) for depth, _, write in SPADS)]
    return geometry.access_bits * _per_bit(geometry.depth, reads), geometry.access_bits * _per_bit(
        geometry.depth, writes
    )


def leakage(bits: float, point: OperatingPoint) -> float:
    """Static power in W."""
    return LEAKAGE.value * bits * leakage_ratio(point_of(LEAKAGE), point)


def area(bits: float, node_nm: float) -> float:
    """Area in m2."""
    return REGISTER_AREA.value * bits * area_ratio(point_of(REGISTER_AREA).node_nm, node_nm)


def estimate(values: Mapping[str, object]) -> ComponentCost:
    """Register file from ``technology, width`` and optionally ``depth`` (1), ``row_bits, voltage, temperature``."""
    attributes = Attributes("logic_regfile", {"depth": 1, **values})
    geometry, point = Geometry.of(attributes), attributes.operating_point()
    read_J, write_J = access_energy(geometry, point)
    return estimate_of(
        {"read": read_J, "write": write_J, "update": write_J},
        leakage(geometry.bits, point),
        area(geometry.bits, point.node_nm),
        (*CONSTANTS, *attributes.assumed()),
    )
