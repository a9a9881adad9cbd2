"""The compound classes of the Timeloop and Accelergy exercises, for files that use them without bringing them along.

Sums of the primitive classes as those files have them: what a subcomponent is not told (the banks of a smart buffer's
SRAM, the width of the comparators of a buffer of registers) it does not know.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from camel_plugin.components.accelergy import aladdin, cacti, library
from camel_plugin.components.attributes import Attributes
from camel_plugin.components.constant import ComponentCost, joined_rules

_LEAST_WIDTH, _LEAST_DEPTH = 32, 64
_DEPTH_EXPONENT = 1.56 / 2
_PASSED_ON = ("technology", "global_cycle_seconds", "n_instances")


@dataclass(frozen=True)
class _Part:
    """So many of a subcomponent, and which of its actions an action of the whole takes how often."""

    cost: ComponentCost
    count: float
    actions: Mapping[str, tuple[str, float]]
    leakage: float = 1.0
    area: float = 1.0


def _total(parts: Sequence[_Part], actions: Sequence[str]) -> ComponentCost:
    return ComponentCost(
        actions_J={
            action: sum(
                part.cost.actions_J[part.actions[action][0]] * part.actions[action][1]
                for part in parts
                if action in part.actions
            )
            for action in actions
        },
        leakage_W=sum(part.cost.leakage_W * part.count * part.leakage for part in parts),
        area_m2=sum(part.cost.area_m2 * part.count * part.area for part in parts),
        sources=tuple(dict.fromkeys(source for part in parts for source in part.cost.sources)),
        unconfirmed=tuple(dict.fromkeys(note for part in parts for note in part.cost.unconfirmed)),
        rule=joined_rules(part.cost.rule for part in parts),
    )


def _passed_on(values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in _PASSED_ON if values.get(name) is not None}


_MEMORY = ("read", "write", "update")


def _each(times: float, **verbs: str) -> dict[str, tuple[str, float]]:
    return {action: (verbs.get(action, verbs.get("verb", action)), times) for action in _MEMORY}


def _address_generators(values: Mapping[str, object], depth: int) -> _Part:
    """Two adders, one for reads and one for writes."""
    bits = max(1, math.ceil(math.log2(depth)))
    adder = aladdin.estimate_intadder({**_passed_on(values), "width": bits})
    return _Part(adder, 2, _each(1, verb="add"))


def estimate_smartbuffer_sram(values: Mapping[str, object]) -> ComponentCost:
    """``smartbuffer_SRAM`` from ``technology``, ``width``, ``depth`` and optionally ``n_rw_ports``: SRAM and adders."""
    attributes = Attributes("smartbuffer_SRAM", values)
    depth = attributes.integer("depth")
    shape = {name: values[name] for name in ("width", "depth", "n_rw_ports") if values.get(name) is not None}
    storage = cacti.estimate_sram({**_passed_on(values), **shape})
    return _total([_Part(storage, 1, _each(1)), _address_generators(values, depth)], _MEMORY)


def _register_file(values: Mapping[str, object], width: int, depth: int) -> list[_Part]:
    """A register a bit and a comparator a row, all of which compare at an access."""
    register = library.estimate_register(_passed_on(values))
    comparator = library.estimate_comparator(_passed_on(values))
    return [_Part(register, width * depth, _each(width)), _Part(comparator, depth, _each(depth, verb="compare"))]


def estimate_smartbuffer_rf(values: Mapping[str, object]) -> ComponentCost:
    """``smartbuffer_RF`` from ``technology``, ``width`` and ``depth``: a register file, scaled down, and adders."""
    attributes = Attributes("smartbuffer_RF", values)
    width, depth = attributes.integer("width"), attributes.integer("depth")
    whole_width, whole_depth = max(_LEAST_WIDTH, width), max(_LEAST_DEPTH, depth)
    across, along = width / whole_width, depth / whole_depth
    storage = _total(_register_file(values, whole_width, whole_depth), _MEMORY)
    scaled = _Part(storage, 1, _each(across * along**_DEPTH_EXPONENT), across * along, across * along)
    return _total([scaled, _address_generators(values, depth)], _MEMORY)


def estimate_intmac(values: Mapping[str, object]) -> ComponentCost:
    """``intmac`` from ``technology``, ``multiplier_width`` and ``adder_width``: an adder and a multiplier.

    With ``width`` instead it is the primitive class of that name, see ``aladdin``; so it is with ``datawidth`` alone,
    which Accelergy has no answer for.
    """
    attributes = Attributes("intmac", values)
    if attributes.given("width") and not attributes.given("multiplier_width"):
        return aladdin.estimate_intmac(values)
    if attributes.given("datawidth") and not attributes.given("multiplier_width"):
        cost = aladdin.estimate_intmac({**values, "width": values["datawidth"]})
        return replace(cost, unconfirmed=(*cost.unconfirmed, "multiplier_width is not given: datawidth taken"))
    bits, adder_bits = attributes.number("multiplier_width"), attributes.number("adder_width")
    adder = library.estimate_adder({**_passed_on(values), "width": adder_bits})
    multiplier = library.estimate_multiplier({**_passed_on(values), "width_a": bits, "width_b": bits})
    actions = dict.fromkeys(("compute", "read"), ("read", 1.0))
    return _total([_Part(adder, 1, actions), _Part(multiplier, 1, actions)], tuple(actions))
