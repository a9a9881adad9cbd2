"""Accelergy's smart buffers: a storage and the address generators that walk through it."""

import math
from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.components import sram
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost
from camel_plugin.components.mac import integer_adder


def estimate_sram(values: Mapping[str, object]) -> ComponentCost:
    """``smartbuffer_SRAM``: an SRAM with one address generator for reads and one for writes, an addition an access.

    ``smartbuffer_RF`` needs no such model: the published scratchpads include their address generators.
    """
    storage, attributes = sram.estimate(values), Attributes("smartbuffer_SRAM", values)
    bits = max(1, math.ceil(math.log2(attributes.integer("depth"))))
    generator = integer_adder(bits, attributes.operating_point())
    return replace(
        storage,
        actions_J={action: energy_J + generator.energy_J for action, energy_J in storage.actions_J.items()},
        leakage_W=storage.leakage_W + 2 * generator.leakage_W,
        area_m2=storage.area_m2 + 2 * generator.area_m2,
    )


def estimate_dummy(values: Mapping[str, object]) -> ComponentCost:
    """``dummy_storage`` and the like: a level that a specification declares to cost nothing."""
    return ComponentCost(dict.fromkeys(("read", "write", "update", "compute"), 0.0), 0.0, 0.0)
