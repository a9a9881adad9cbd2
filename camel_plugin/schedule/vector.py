"""The unit that runs element-wise work."""

from __future__ import annotations

from camel_plugin.spec.machine import Machine, VectorUnit


def vector_unit(machine: Machine) -> VectorUnit:
    """The machine's vector unit; without one the MAC units do element operations, each at the energy of a MAC."""
    return machine.vector or VectorUnit(machine.instances(machine.compute.name), machine.compute.energy_J)
