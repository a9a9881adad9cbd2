"""Registries: built-ins and users' packages are found through the same entry points."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from camel_plugin.errors import UnknownNameError

KINDS = {
    "components": "component",
    "engines": "engine",
    "networks": "network builder",
    "operators": "operators",
    "refresh": "refresh policy",
}
"""Groups of things that users name, and what messages call one of them."""


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """Entry points of ``camel_plugin.<group>`` by name (components, networks, refresh, engines, specs)."""
    return {point.name: point for point in entry_points(group=f"camel_plugin.{group}")}


def load(group: str, name: str) -> Any:
    """The object registered as ``name`` in ``group``.

    Raises:
        UnknownNameError: nothing answers to the name.
    """
    points = registered(group)
    if name not in points:
        raise UnknownNameError(KINDS[group], name, points)
    return points[name].load()
