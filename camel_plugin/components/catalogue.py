"""Finding the model of a component by its Timeloop class."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint

from camel_plugin import plugins
from camel_plugin.components.constant import ComponentCost
from camel_plugin.errors import UnknownNameError

Model = Callable[[Mapping[str, object]], ComponentCost]
"""What a component entry point refers to: resolved attributes -> estimate."""


def estimate(kind: str, attributes: Mapping[str, object]) -> ComponentCost:
    """Cost of one instance of a component.

    Args:
        kind: Timeloop class or subclass, looked up without regard to case among the entry points of
            ``camel_plugin.components``; a user's package registers a function of the attributes there.
        attributes: resolved v0.4 attributes; those that a model does not know are not its business.

    Returns:
        Energies per ``width``-wide access or per operation, leakage and area of one instance, refresh of an eDRAM.

    Raises:
        UnknownNameError: no model is registered for ``kind``.
        SpecError: an attribute is missing or out of range.
    """
    points = plugins.registered("components")
    names = {name.lower(): name for name in points}
    if kind.lower() not in names:
        raise UnknownNameError("component", kind, names.values())
    name = names[kind.lower()]
    model: Model = plugins.load("components", name)
    found = model(attributes)
    return found if found.rule else replace(found, rule=f"{_whose(points[name])}: {name}")


def _whose(point: EntryPoint) -> str:
    """Whether a model is one of ours, or which package has it."""
    if point.value.startswith("camel_plugin."):
        return "built-in model"
    return f"model of {point.dist.name}" if point.dist else "model of a user"
