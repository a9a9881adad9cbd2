"""Off-chip DRAM whose access has more bits than its words: energy per bit by type, as Accelergy has it.

Its background power, its refresh and its area are not modelled.
"""

from collections.abc import Mapping

from camel_plugin.components.accelergy.cacti import ENERGY_PER_BIT
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost
from camel_plugin.components.memory import estimate_of


def _estimate(values: Mapping[str, object], default_type: str) -> ComponentCost:
    attributes = Attributes("packed_dram", values)
    per_bit = ENERGY_PER_BIT[attributes.choice("type", ENERGY_PER_BIT, default_type)]
    access_J = per_bit.value * attributes.access_bits()
    return estimate_of({"read": access_J, "write": access_J, "update": access_J}, 0.0, 0.0, (per_bit,))


def estimate(values: Mapping[str, object]) -> ComponentCost:
    """DRAM from ``width`` and optionally ``type`` (LPDDR4) and ``row_bits``."""
    return _estimate(values, "LPDDR4")


def estimate_ddr3(values: Mapping[str, object]) -> ComponentCost:
    """DDR3 from ``width``."""
    return _estimate(values, "DDR3")
