"""Off-chip DRAM: energy per bit by type. Its background power, its refresh and its area are not modelled."""

from collections.abc import Mapping

from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, Constant
from camel_plugin.components.memory import estimate_of

ENERGY_PER_BIT: Mapping[str, Constant] = {
    "LPDDR4": Constant(8e-12, "J/bit", "Accelergy CACTI plug-in (public data)", what="LPDDR4 access"),
    "LPDDR": Constant(40e-12, "J/bit", "Malladi et al., ISCA 2012, in Accelergy's CACTI plug-in", what="LPDDR access"),
    "DDR3": Constant(70e-12, "J/bit", "Chatterjee et al., in Accelergy's CACTI plug-in", what="DDR3 access"),
    "GDDR5": Constant(14e-12, "J/bit", "Accelergy CACTI plug-in, unattributed there", what="GDDR5 access"),
    "HBM2": Constant(3.9e-12, "J/bit", "Accelergy CACTI plug-in, unattributed there", what="HBM2 access"),
}


def _estimate(values: Mapping[str, object], default_type: str) -> ComponentCost:
    attributes = Attributes("DRAM", values)
    per_bit = ENERGY_PER_BIT[attributes.choice("type", ENERGY_PER_BIT, default_type)]
    access_J = per_bit.value * attributes.access_bits()
    return estimate_of({"read": access_J, "write": access_J, "update": access_J}, 0.0, 0.0, (per_bit,))


def estimate(values: Mapping[str, object]) -> ComponentCost:
    """DRAM from ``width`` and optionally ``type`` (LPDDR4) and ``row_bits``."""
    return _estimate(values, "LPDDR4")


def estimate_ddr3(values: Mapping[str, object]) -> ComponentCost:
    """DDR3 from ``width``."""
    return _estimate(values, "DDR3")
