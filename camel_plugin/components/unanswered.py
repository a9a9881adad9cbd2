"""Names that Timeloop files use and no stock estimator of Accelergy answers to: our models, and a note that says so."""

from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.components import mac, regfile
from camel_plugin.components.constant import ComponentCost


def _noted(kind: str, model: str, cost: ComponentCost) -> ComponentCost:
    note = f"Accelergy's stock estimators have no class {kind}: energies of the built-in model {model}"
    return replace(cost, unconfirmed=(*cost.unconfirmed, note), rule=f"built-in model: {model}")


def estimate_mac(values: Mapping[str, object]) -> ComponentCost:
    """``mac``: see :func:`camel_plugin.components.mac.estimate_integer_mac`."""
    return _noted("mac", "integer_mac", mac.estimate_integer_mac(values))


def estimate_register(values: Mapping[str, object]) -> ComponentCost:
    """``register``: one bit unless ``width`` says otherwise, see :func:`camel_plugin.components.regfile.estimate`."""
    return _noted("register", "logic_regfile", regfile.estimate({"width": 1, **values}))


def estimate_register_storage(values: Mapping[str, object]) -> ComponentCost:
    """``reg_storage``: see :func:`camel_plugin.components.regfile.estimate`."""
    return _noted("reg_storage", "logic_regfile", regfile.estimate(values))
