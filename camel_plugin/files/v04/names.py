"""How nodes are called in Timeloop's files and here."""

import re

from camel_plugin.spec.machine import Machine

IMPLIED = re.compile(r"inter_(.+)_spatial")
"""The fanout that belongs to a component."""


def outer_name(name: str, machine: Machine) -> str:
    """A fanout that belongs to a component is targeted under the component's name."""
    implied = IMPLIED.fullmatch(name)
    return implied[1] if implied and any(node.name == implied[1] for node in machine.nodes) else name
