"""SRAM: energy from published macros, a power of the capacity between them and its square root outside.

Area is by default that of a 6T cell drawn to the same logic design rules as the gain cells it is compared with. The
pushed rules that a foundry keeps for its SRAM make it 2.4 to 3 times smaller (DESTINY), smaller than a 3T cell in
logic rules: ``design_rules: "foundry"`` asks for that one.
"""

import math
from collections.abc import Mapping

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.edram import CELLS
from camel_plugin.components.memory import Geometry, estimate_of
from camel_plugin.components.scaling import OperatingPoint, area_ratio, energy_ratio, leakage_ratio, point_of

_CACTI = "CACTI (LSTP) as run by Accelergy for its Eyeriss-like example, 128 KB, 64 bit; its log says 32 nm"

READ_8KB = Constant(5e-12 / 32, "J/bit", "Horowitz, ISSCC 2014, 8 KB, 0.9 V", 45, what="SRAM read, 8 KB")
READ_128KB = Constant(18.1554e-12 / 64, "J/bit", _CACTI, 32, what="SRAM read, 128 KB")
WRITE_128KB = Constant(14.1095e-12 / 64, "J/bit", _CACTI, 32, what="SRAM write, 128 KB")
LEAKAGE = Constant(66e-3 / (2 * 8 * 2**20), "W/bit", "DESTINY, 2 MB, 350 K", 22, 76.85, what="SRAM leakage")
AREA_TO_3T = Constant(
    2.0, "1", "Giterman et al., LSSC 2020: 3T cell 2x smaller, similar design rules", 16, what="6T to 3T area"
)
FOUNDRY_AREA = Constant(
    1.84e-6 / (2 * 8 * 2**20), "m2/bit", "DESTINY, 2 MB", 22, what="SRAM area with the foundry's pushed rules"
)
CONSTANTS = (READ_8KB, READ_128KB, WRITE_128KB, LEAKAGE, AREA_TO_3T, FOUNDRY_AREA)

_SMALL_BITS, _LARGE_BITS = 8 * 8 * 1024.0, 128 * 8 * 1024.0


def access_energy(geometry: Geometry, point: OperatingPoint) -> tuple[float, float]:
    """Energy in J of one read and one write of ``geometry.access_bits`` bits."""
    small_J = READ_8KB.value * energy_ratio(point_of(READ_8KB, 0.9), point)
    large_J = READ_128KB.value * energy_ratio(point_of(READ_128KB), point)
    bits = geometry.array_bits
    if bits <= _SMALL_BITS:
        per_bit_J = small_J * math.sqrt(bits / _SMALL_BITS)
    elif bits >= _LARGE_BITS:
        per_bit_J = large_J * math.sqrt(bits / _LARGE_BITS)
    else:
        exponent = math.log(large_J / small_J) / math.log(_LARGE_BITS / _SMALL_BITS)
        per_bit_J = small_J * (bits / _SMALL_BITS) ** exponent
    read_J = per_bit_J * geometry.access_bits
    return read_J, read_J * WRITE_128KB.value / READ_128KB.value


def leakage(bits: float, point: OperatingPoint) -> float:
    """Static power in W."""
    return LEAKAGE.value * bits * leakage_ratio(point_of(LEAKAGE), point)


def area(bits: float, node_nm: float, design_rules: str = "logic") -> float:
    """Area in m2, periphery included, with ``logic`` or ``foundry`` design rules."""
    cell, times = (FOUNDRY_AREA, 1.0) if design_rules == "foundry" else (CELLS["3T"].area, AREA_TO_3T.value)
    return times * cell.value * bits * area_ratio(point_of(cell).node_nm, node_nm)


def estimate(values: Mapping[str, object]) -> ComponentCost:
    """SRAM from ``technology, width, depth``; see below for what else it takes.

    Optional: ``row_bits``, ``cluster_size``, ``voltage``, ``temperature``, ``design_rules`` (``logic`` or ``foundry``).
    ``n_banks`` is not used: Accelergy hands over 2 whatever the file says.
    """
    attributes = Attributes("logic_sram", values)
    geometry, point = Geometry.of(attributes), attributes.operating_point()
    read_J, write_J = access_energy(geometry, point)
    return estimate_of(
        {"read": read_J, "write": write_J, "update": write_J},
        leakage(geometry.bits, point),
        area(geometry.bits, point.node_nm, attributes.choice("design_rules", ("logic", "foundry"), "logic")),
        (*CONSTANTS, *attributes.assumed()),
    )
