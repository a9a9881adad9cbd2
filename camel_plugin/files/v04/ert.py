"""Energy reference tables in Accelergy's form: ERT.yaml, energies in pJ, leakage in pJ per cycle and instance."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from camel_plugin.errors import nearest
from camel_plugin.files.schema import entries, items, number, text
from camel_plugin.files.yaml_source import YamlNode, load_yaml
from camel_plugin.files.yaml_text import dump_yaml
from camel_plugin.spec.machine import Compute, Machine, Storage

_PJ_EXPONENT = -12

Table = Mapping[str, float]
"""Action -> energy in J (``leak``: J per cycle)."""


@dataclass(frozen=True)
class Row:
    """What a table says of one component.

    Attributes:
        label: its name there, ``system.dram[1..1]``.
        energies_J: by action.
        node: where it stands.
    """

    label: str
    energies_J: Table
    node: YamlNode


READ = ("random_read", "read")
WRITE = ("random_fill", "random_write", "fill", "write")
UPDATE = ("random_update", "update", *WRITE)
COMPUTE = ("mac_random", "mult_random", "mac", "mult", "compute")


def read_ert(path: Path) -> dict[str, Row]:
    """Rows of an ERT file, see :func:`parse_ert`."""
    return parse_ert(entries(load_yaml(path), {"ERT", "ART"}, {"ERT"})["ERT"])


def parse_ert(root: YamlNode) -> dict[str, Row]:
    """Rows of an ``ERT`` section by component name, ``system.dram[1..1]`` being ``dram``.

    An action that has several energies, by its arguments, has the largest of them, as in Timeloop.

    Raises:
        SpecError: not of this form, a negative energy, a component or an action that stands twice.
    """
    rows: dict[str, Row] = {}
    for node in items(entries(root, {"version", "tables"}, {"tables"})["tables"]):
        table = entries(
            node, {"name", "actions", "primitive_estimation(s)", "primitive_estimation"}, {"name", "actions"}
        )
        label = text(table["name"])
        name = re.sub(r"\[[^\]]*\]", "", label).split(".")[-1]
        if name in rows:
            raise table["name"].error("this component stands in the table twice", value=name)
        energies: dict[str, float] = {}
        seen = []
        for each in items(table["actions"]):
            action = entries(each, {"name", "arguments", "energy"}, {"name", "energy"})
            verb = text(action["name"])
            asked = verb, action["arguments"].plain() if "arguments" in action else None
            if asked in seen:
                raise each.error("this action stands in the table twice", value=verb)
            seen.append(asked)
            energy_J = _scaled(number(action["energy"], minimum=0), _PJ_EXPONENT)
            energies[verb] = max(energy_J, energies.get(verb, energy_J))
        rows[name] = Row(label, energies, node)
    return rows


def energy(table: Table, names: tuple[str, ...], node: YamlNode) -> float:
    """Energy of the first of these actions that the table has, in Timeloop's order.

    Raises:
        SpecError: it has none of them.
    """
    for name in names:
        if name in table:
            return table[name]
    raise node.error(f"has no {names[-1]} action", suggestion=nearest(names[-1], sorted(table)))


def write_ert(machine: Machine) -> str:
    """The machine's energies as an ERT file, so that Timeloop can be run with them."""
    tables = []
    for node in machine.nodes:
        if isinstance(node, Storage):
            costs = {
                "read": node.energy.read_J,
                "write": node.energy.write_J,
                "update": node.energy.update_J,
                "leak": node.energy.leakage_J_per_cycle,
            }
        elif isinstance(node, Compute):
            costs = {"compute": node.energy_J, "leak": node.leakage_W * machine.cycle_s}
        else:
            continue
        actions = [
            {"name": name, "arguments": {}, "energy": _scaled(cost, -_PJ_EXPONENT)} for name, cost in costs.items()
        ]
        name = f"{machine.name}.{node.name}[1..{machine.instances(node.name)}]"
        tables.append({"name": name, "actions": actions})
    return dump_yaml({"ERT": {"version": "0.4", "tables": tables}}, parts=5)


def _scaled(value: float, exponent: int) -> float:
    """``value * 10**exponent`` without the error of a binary factor: 187.49781 pJ is 1.8749781e-10 J."""
    return float(Decimal(repr(float(value))).scaleb(exponent))
