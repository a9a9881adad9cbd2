"""Our components as classes of tools that match a component's attributes with the parameters of ``__init__``.

Accelergy and hwcomponents both ask ``__init__.__code__`` and ``__init__.__defaults__`` for the parameters, and pass
the attributes that match by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

from camel_plugin.components import ComponentCost, dram, edram, mac, refresh_power, regfile, sram
from camel_plugin.components.catalogue import Model
from camel_plugin.errors import SpecError, nearest

MODELS: Mapping[str, Model] = {
    "edram": edram.estimate,
    "logic_sram": sram.estimate,
    "logic_regfile": regfile.estimate,
    "packed_dram": dram.estimate,
    "bfp_mac": mac.estimate_bfp_mac,
    "integer_mac": mac.estimate_integer_mac,
    "float_mac": mac.estimate_float_mac,
}
"""Not looked up among the registered ones: where this package is only on the path of imports there are none."""

REFRESH_POLICIES = ("worst_case", "none")
OPTIONAL = {
    "edram": (
        "cell",
        "row_bits",
        "banks",
        "rows_per_array",
        "yield",
        "yield_fraction",
        "retention_time",
        "temperature",
        "voltage",
        "cluster_size",
        "refresh_policy",
    ),
    "logic_sram": ("row_bits", "cluster_size", "design_rules", "temperature", "voltage"),
    "logic_regfile": ("depth", "row_bits", "temperature", "voltage"),
    "packed_dram": ("type", "row_bits"),
    "bfp_mac": ("group", "mantissa_bits", "exponent_bits", "accumulator_bits", "temperature", "voltage"),
    "integer_mac": ("multiplier_width", "adder_width", "width", "datawidth", "temperature", "voltage"),
    "float_mac": ("width", "datawidth", "temperature", "voltage"),
}
"""Attributes that a component model understands beside those it needs."""


class Initializer:
    """An ``__init__`` with named parameters, one of which may be ``yield``, as no function's can.

    Args:
        initialize: takes the new object, and as keywords the attributes that were given.
        required: parameters without a default.
        optional: parameters that are None unless given.

    Raises:
        TypeError: an attribute is no parameter, or a required one is missing.
    """

    def __init__(self, initialize: Callable[..., None], required: tuple[str, ...], optional: tuple[str, ...]) -> None:
        self._initialize, self._required, self._names = initialize, required, (*required, *optional)
        self.__name__ = "__init__"
        self.__code__ = SimpleNamespace(co_varnames=("self", *self._names), co_argcount=1 + len(self._names))
        self.__defaults__ = (None,) * len(optional)

    def __get__(self, model: object, _owner: type | None = None) -> Callable[..., None]:
        return self if model is None else partial(self, model)

    def __call__(self, model: object, **attributes: object) -> None:
        """Initialize ``model``; an attribute that is None counts as not given."""
        given = {name: value for name, value in attributes.items() if value is not None}
        if unknown := sorted(attributes.keys() - set(self._names)):
            raise TypeError(f"{type(model).__name__} has no attribute {', '.join(unknown)}")
        if missing := [name for name in self._required if name not in given]:
            raise TypeError(f"{type(model).__name__} needs {', '.join(missing)}")
        self._initialize(model, **given)


def standing_cost(kind: str, attributes: Mapping[str, object]) -> ComponentCost:
    """Cost of a component for a tool that knows no refresh but an action and a constant power.

    Args:
        kind: of :data:`MODELS`.
        attributes: as of the component model, and ``yield_fraction`` for ``yield``; ``refresh_policy: worst_case``
            (the default) adds the power of conventional refresh to the leakage, ``none`` leaves refresh to an
            accounting that knows lifetimes.

    Returns:
        The estimate. ``refresh`` (of one row of one array) is among the actions of an eDRAM under ``none`` only: no
        refresh is charged twice.

    Raises:
        SpecError: an attribute is missing or out of range.
    """
    policy = attributes.get("refresh_policy", "worst_case")
    if policy not in REFRESH_POLICIES:
        raise SpecError(
            "unknown refresh policy",
            field="attributes.refresh_policy",
            value=policy,
            suggestion=nearest(str(policy), REFRESH_POLICIES),
        )
    found = MODELS[kind]({**attributes, "yield": attributes.get("yield_fraction", attributes.get("yield"))})
    if found.edram is None:
        return found
    if policy == "none":
        return replace(found, actions_J={**found.actions_J, "refresh": found.edram.row_energy_J})
    return replace(found, leakage_W=found.leakage_W + refresh_power(found.edram))


def refresh_J(cost: ComponentCost) -> float:
    """Refresh of one row of one array.

    Raises:
        SpecError: refresh is in the leakage.
    """
    if "refresh" not in cost.actions_J:
        raise SpecError(
            "worst-case refresh is in the leakage already",
            field="attributes.refresh_policy",
            value="worst_case",
            suggestion='"none" leaves it to a count of refresh',
        )
    return cost.actions_J["refresh"]
