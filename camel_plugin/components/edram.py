"""Embedded DRAM: gain cells (3T) and capacitor cells (1T1C).

An access costs what its row costs locally plus the wires to the port, whose length grows with the square root of the
capacity. The local part is known from refresh, which moves a row out of the cells and back and goes nowhere: a 3T
refresh is a local read and a local write; in a 1T1C array a read destroys and restores, so it costs a refresh.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.memory import Geometry, estimate_of
from camel_plugin.components.retention import SIGMA_VTH, SLOPE_FACTOR, median_time, quoted, retention_time, spread
from camel_plugin.components.scaling import OperatingPoint, area_ratio, energy_ratio, leakage_ratio, point_of
from camel_plugin.spec.machine import EdramCells

_MEGABIT = 2.0**20
_GITERMAN = "Giterman et al., LSSC 2020, 1 Mb macro, 0.6 V"
_ISAAC = "ISAAC, ISCA 2016, 64 KB buffer"
_DESTINY = "DESTINY, 2 MB, 350 K"


@dataclass(frozen=True)
class Cell:
    """Published figures of one kind of eDRAM.

    Attributes:
        read, write: energy per access of ``width_bits`` from ``capacity_bits``.
        refresh: energy to read a bit and write it back inside its array.
        leakage: W per bit.
        area: m2 per bit, periphery included.
        voltage_V: supply at which the energies hold, None for the nominal one.
        read_restores: a read destroys the datum and writes it back.
    """

    read: Constant
    write: Constant
    width_bits: Constant
    capacity_bits: float
    refresh: Constant
    leakage: Constant
    area: Constant
    voltage_V: float | None
    read_restores: bool

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Everything that an estimate rests on."""
        return (self.read, self.write, self.width_bits, self.refresh, self.leakage, self.area)


CELLS: Mapping[str, Cell] = {
    "3T": Cell(
        read=Constant(2.58e-12, "J", _GITERMAN, 16, what="3T eDRAM read access"),
        write=Constant(2.46e-12, "J", _GITERMAN, 16, what="3T eDRAM write access"),
        width_bits=Constant(
            128,
            "bit",
            "assumed: not in the abstract; 249 bits at most, or an access would cost less than its refresh",
            16,
            confirmed=False,
            what="width of the access of the 16 nm 3T macro",
        ),
        capacity_bits=_MEGABIT,
        refresh=Constant(276e-6 * 77e-6 / _MEGABIT, "J/bit", f"{_GITERMAN}: 276 uW at 77 us", 16, what="3T refresh"),
        leakage=Constant(
            105e-6 / _MEGABIT, "W/bit", f"{_GITERMAN}: 105 uW (25 C assumed)", 16, 25, False, what="3T eDRAM leakage"
        ),
        area=Constant(131570e-12 / _MEGABIT, "m2/bit", _GITERMAN, 16, what="3T eDRAM area"),
        voltage_V=0.6,
        read_restores=False,
    ),
    "1T1C": Cell(
        read=Constant(20.45e-12, "J", _ISAAC, 32, what="1T1C eDRAM read access"),
        write=Constant(20.45e-12, "J", _ISAAC, 32, what="1T1C eDRAM write access"),
        width_bits=Constant(256, "bit", _ISAAC, 32, what="width of the access of the 32 nm 1T1C macro"),
        capacity_bits=64 * 8 * 1024,
        refresh=Constant(
            125.39e-6 * 126.923e-6 / (48 * 8 * 1024),
            "J/bit",
            "CACTI lp-dram, 48 KB bank: 125 uW at 127 us (program output)",
            45,
            confirmed=False,
            what="1T1C refresh",
        ),
        leakage=Constant(9.8e-3 / (2 * 8 * _MEGABIT), "W/bit", _DESTINY, 22, 76.85, what="1T1C eDRAM leakage"),
        area=Constant(0.083e-6 / (64 * 8 * 1024), "m2/bit", _ISAAC, 32, what="1T1C eDRAM area"),
        voltage_V=None,
        read_restores=True,
    ),
}


def access_energy(cell: Cell, geometry: Geometry, point: OperatingPoint) -> tuple[float, float]:
    """Energy in J of one read and one write of a whole row."""
    scale = geometry.access_bits * energy_ratio(point_of(cell.read, cell.voltage_V), point)
    whole_J = [access.value / cell.width_bits.value for access in (cell.read, cell.write)]
    refresh_J = refresh_energy(cell, 1, point_of(cell.read, cell.voltage_V))
    local_J = [refresh_J] * 2 if cell.read_restores else [refresh_J * access / sum(whole_J) for access in whole_J]
    wires = math.sqrt(geometry.array_bits / cell.capacity_bits)
    read_J, write_J = (scale * (near + (whole - near) * wires) for whole, near in zip(whole_J, local_J, strict=True))
    return read_J, write_J


def refresh_energy(cell: Cell, row_bits: float, point: OperatingPoint) -> float:
    """Energy in J to read one row of one array and write it back."""
    return cell.refresh.value * row_bits * energy_ratio(point_of(cell.refresh, cell.voltage_V), point)


def leakage(cell: Cell, bits: float, point: OperatingPoint) -> float:
    """Static power in W, refresh not included."""
    return cell.leakage.value * bits * leakage_ratio(point_of(cell.leakage, cell.voltage_V), point)


def area(cell: Cell, bits: float, node_nm: float) -> float:
    """Area in m2, periphery included."""
    return cell.area.value * bits * area_ratio(point_of(cell.area).node_nm, node_nm)


def refresh_of(attributes: Attributes, cell_name: str, geometry: Geometry, point: OperatingPoint) -> EdramCells:
    """Refresh organisation and retention of one instance.

    The rows are spread evenly over ``banks``; a bank has as many arrays of ``rows_per_array`` rows as it needs, the
    last of which may be partly used but is refreshed whole.
    """
    banks = attributes.integer("banks", default=1)
    rows_in_bank = math.ceil(geometry.depth / banks)
    rows_per_array = min(attributes.integer("rows_per_array", default=1024), rows_in_bank)
    yield_fraction = attributes.number("yield", "yield_fraction", default=0.999, least=0, most=1, open_=True)
    retention_s = attributes.number(
        "retention_time",
        default=retention_time(cell_name, point.node_nm, point.temperature_C, yield_fraction),
        open_=True,
        unit="s",
    )
    return EdramCells(
        banks=banks,
        arrays_per_bank=math.ceil(rows_in_bank / rows_per_array),
        rows_per_array=rows_per_array,
        row_bits=round(geometry.access_bits),
        row_energy_J=refresh_energy(CELLS[cell_name], geometry.access_bits, point),
        row_cycles=attributes.number("row_cycles", default=1, open_=True),
        retention_s=retention_s,
        retention_median_s=median_time(retention_s, point.temperature_C, yield_fraction),
        retention_sigma_ln=spread(point.temperature_C),
    )


def estimate(values: Mapping[str, object]) -> ComponentCost:
    """An eDRAM from ``technology, width, depth``.

    Optional: ``cell`` (3T), ``row_bits`` (width), ``banks`` (1), ``rows_per_array`` (1024), ``row_cycles`` (1),
    ``yield`` (0.999), ``retention_time`` (s, instead of the modelled one), ``voltage``, ``temperature``,
    ``cluster_size``.
    """
    attributes = Attributes("edram", values)
    cell_name = attributes.choice("cell", CELLS, "3T")
    cell, geometry, point = CELLS[cell_name], Geometry.of(attributes), attributes.operating_point()
    read_J, write_J = access_energy(cell, geometry, point)
    retention = () if attributes.given("retention_time") else (quoted(cell_name, point.node_nm).time,)
    return estimate_of(
        {"read": read_J, "write": write_J, "update": write_J},
        leakage(cell, geometry.bits, point),
        area(cell, geometry.bits, point.node_nm),
        (*cell.constants, *retention, SIGMA_VTH, SLOPE_FACTOR, *attributes.assumed()),
        refresh_of(attributes, cell_name, geometry, point),
    )
