"""Moving a published figure to another technology node, supply voltage and temperature.

Energy and area follow Stillmaker and Baas ("Scaling equations for the accurate prediction of CMOS device
performance from 180 nm to 7 nm", Integration 58, 2017): energy = a V^2 + b V + c per node, area by their table.
Leakage power is a thermally activated current times the supply voltage; between nodes it is taken to follow the
switching energy at equal voltage, as Accelergy and hwcomponents do (a convention, not physics: unconfirmed).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from camel_plugin.components.constant import Constant
from camel_plugin.errors import SpecError

BOLTZMANN_EV_PER_K = 8.617333262e-5
"""k/q: also the thermal voltage per kelvin, in V/K."""

TEMPERATURE_C = (-40.0, 125.0)
"""Where the temperature laws are valid: the range over which the 16 nm 3T macro was measured (Giterman 2020)."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where a figure holds: technology node in nm, supply voltage in V, temperature in C."""

    node_nm: float
    voltage_V: float
    temperature_C: float = 25.0


@dataclass(frozen=True)
class Node:
    """A technology node.

    Attributes:
        energy: a, b, c of the relative switching energy a V^2 + b V + c.
        area: area of the same layout relative to 16 nm.
        nominal_V: supply voltage.
    """

    energy: tuple[float, float, float]
    area: float
    nominal_V: float

    def energy_at(self, voltage_V: float) -> float:
        """Relative switching energy at a supply voltage."""
        a, b, c = self.energy
        return a * voltage_V**2 + b * voltage_V + c

    @property
    def least_V(self) -> float:
        """Supply below which the fitted polynomial would make energy grow as the voltage falls."""
        a, b, _ = self.energy
        return -b / (2 * a)


# Nominal supplies: 65, 45, 32 nm as in CACTI's ITRS-LSTP devices; the others recalled from ITRS tables (unconfirmed).
NODES: Mapping[float, Node] = {
    7.0: Node((0.1776, -0.09097, 0.02447), 0.31, 0.7),
    10.0: Node((0.2068, -0.09311, 0.02375), 0.54, 0.75),
    14.0: Node((0.2363, -0.09675, 0.02239), 0.91, 0.8),
    16.0: Node((0.2958, -0.1241, 0.03024), 1.0, 0.8),
    20.0: Node((0.373, -0.1582, 0.04104), 1.1, 0.9),
    32.0: Node((0.9559, -0.7823, 0.471), 2.4, 1.0),
    45.0: Node((1.103, -0.362, 0.2767), 5.3, 1.1),
    65.0: Node((3.755, -4.398, 1.975), 7.9, 1.2),
    90.0: Node((4.762, -4.781, 2.092), 15.0, 1.2),
    130.0: Node((7.171, -6.709, 2.904), 34.0, 1.3),
}
NODES_NM = (min(NODES), max(NODES))

# Supply at which nodes are compared when only the node differs.
_COMMON_V = 0.8

NOMINAL_VOLTAGE = Constant(
    NODES[16.0].nominal_V,
    "V",
    "assumed; 65, 45 and 32 nm as in CACTI's LSTP devices, other nodes recalled",
    16,
    confirmed=False,
    what="nominal supply voltage",
)
RETENTION_COOL = Constant(
    120e-6, "s", "SPICE note on a thin-oxide 3T cell", temperature_C=27, what="retention of a 3T cell, cool"
)
RETENTION_HOT = Constant(
    8e-6, "s", "SPICE note on a thin-oxide 3T cell", temperature_C=85, what="retention of the same 3T cell, hot"
)


def thermal_voltage(temperature_C: float) -> float:
    """kT/q in V."""
    return BOLTZMANN_EV_PER_K * (temperature_C + 273.15)


def temperature_of(constant: Constant) -> float:
    """Temperature at which a constant holds, room temperature (25 C) where its source does not say."""
    return 25.0 if constant.temperature_C is None else constant.temperature_C


def point_of(constant: Constant, voltage_V: float | None = None) -> OperatingPoint:
    """Operating point of a published figure, at the nominal supply of its node unless given."""
    assert constant.node_nm is not None, f"{constant.what} has no technology node"
    voltage_V = nominal_voltage(constant.node_nm) if voltage_V is None else voltage_V
    return OperatingPoint(constant.node_nm, voltage_V, temperature_of(constant))


def _neighbours(node_nm: float) -> dict[float, Node]:
    """The nodes of the table between which ``node_nm`` lies, or the one that it is."""
    if not NODES_NM[0] <= node_nm <= NODES_NM[1]:
        raise SpecError(
            "unknown technology",
            field="attributes.technology",
            value=node_nm,
            suggestion=f"valid: {NODES_NM[0]:g} to {NODES_NM[1]:g} nm",
        )
    ends = max(node for node in NODES if node <= node_nm), min(node for node in NODES if node >= node_nm)
    return {node: NODES[node] for node in ends}


def _between(node_nm: float, value: Callable[[Node], float]) -> float:
    """Log-log interpolation of a property of the nodes; exact at the nodes of the table."""
    (low, first), *rest = _neighbours(node_nm).items()
    if not rest:
        return value(first)
    ((high, second),) = rest
    share = math.log(node_nm / low) / math.log(high / low)
    return value(first) * math.pow(value(second) / value(first), share)


def nominal_voltage(node_nm: float) -> float:
    """Nominal supply voltage of a node in V (unconfirmed)."""
    return _between(node_nm, lambda node: node.nominal_V)


def energy_factor(node_nm: float, voltage_V: float) -> float:
    """Relative switching energy of a node at a supply voltage.

    Raises:
        SpecError: the node is outside the table, or the voltage below the range where the fitted
            polynomials rise with voltage (an energy that grows at lower supply is an artefact of the fit).
    """
    lowest_V = max(0.45, *(entry.least_V for entry in _neighbours(node_nm).values()))
    if not lowest_V <= voltage_V <= 1.4:
        raise SpecError(
            f"supply voltage outside the range of the scaling law at {node_nm:g} nm",
            field="attributes.voltage",
            value=voltage_V,
            suggestion=f"valid: {lowest_V:.2f} V to 1.4 V",
        )
    return _between(node_nm, lambda node: node.energy_at(voltage_V))


def energy_ratio(origin: OperatingPoint, target: OperatingPoint) -> float:
    """Factor on a dynamic energy that holds at ``origin``, to move it to ``target``."""
    return energy_factor(target.node_nm, target.voltage_V) / energy_factor(origin.node_nm, origin.voltage_V)


def area_ratio(origin_nm: float, target_nm: float) -> float:
    """Factor on an area from one node to another."""
    return _between(target_nm, lambda node: node.area) / _between(origin_nm, lambda node: node.area)


def activation_energy_eV() -> float:
    """Activation energy of the leakage that discharges a cell, from a retention time at two temperatures."""
    cool, hot = (1 / thermal_voltage(temperature_of(constant)) for constant in (RETENTION_COOL, RETENTION_HOT))
    return math.log(RETENTION_COOL.value / RETENTION_HOT.value) / (cool - hot)


def current_ratio(origin_C: float, target_C: float) -> float:
    """Leakage current at ``target_C`` relative to that at ``origin_C`` (Arrhenius).

    Raises:
        SpecError: a temperature outside -40..125 C.
    """
    for temperature_C in (origin_C, target_C):
        if not TEMPERATURE_C[0] <= temperature_C <= TEMPERATURE_C[1]:
            raise SpecError(
                "temperature outside the validity of the leakage law",
                field="attributes.temperature",
                value=temperature_C,
                suggestion=f"valid: {TEMPERATURE_C[0]:g} C to {TEMPERATURE_C[1]:g} C",
            )
    return math.exp(activation_energy_eV() * (1 / thermal_voltage(origin_C) - 1 / thermal_voltage(target_C)))


def leakage_ratio(origin: OperatingPoint, target: OperatingPoint) -> float:
    """Factor on a leakage power that holds at ``origin``, to move it to ``target``."""
    node = energy_factor(target.node_nm, _COMMON_V) / energy_factor(origin.node_nm, _COMMON_V)
    return node * current_ratio(origin.temperature_C, target.temperature_C) * target.voltage_V / origin.voltage_V
