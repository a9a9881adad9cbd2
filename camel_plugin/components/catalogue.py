"""Finding the model of a component by its Timeloop class."""

from collections.abc import Callable, Mapping

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
    names = {name.lower(): name for name in plugins.registered("components")}
    if kind.lower() not in names:
        raise UnknownNameError("component", kind, names.values())
    model: Model = plugins.load("components", names[kind.lower()])
    return model(attributes)
