"""A machine as an architecture that Accelergy's own command line reads."""

from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.files.v04.reader import Component, read_architecture
from camel_plugin.files.yaml_source import YamlNode, joined, load_yaml_text
from camel_plugin.files.yaml_text import Quoted, dump_yaml
from camel_plugin.spec.machine import Compute, Machine, Storage

VERSION = "0.4"


def write_accelergy(machine: Machine) -> str:
    """The components of a machine with their attributes, for ``accelergy THIS_FILE [ACTION_COUNTS]``.

    Timeloop's architectures have nodes, of which only its front end can make the subtree that Accelergy wants.
    Compound classes go along as they are. An eDRAM has a ``refresh`` to count where ``refresh_policy`` is ``none``.
    """
    components = list(read_architecture([(machine.name, machine.yaml)]).components.values())
    subtree = {
        "name": machine.name,
        # Accelergy asks for these at the top even where every component has its own.
        "attributes": {
            "global_cycle_seconds": machine.cycle_s,
            "technology": _literal(components[-1].attributes.get("technology")),
        },
        "local": [_component(component, machine) for component in components],
    }
    classes = list(_classes(load_yaml_text(machine.yaml, machine.name)))
    architecture = dump_yaml({"architecture": {"version": Quoted(VERSION), "subtree": [subtree]}}, parts=6)
    return architecture + (dump_yaml(joined(classes), parts=100) if classes else "")


def _component(component: Component, machine: Machine) -> dict[str, object]:
    node = machine.node(component.unit.name)
    actions = ["compute"] if isinstance(node, Compute) else ["read", "write", "update"]
    if isinstance(node, Storage) and node.edram and component.attributes.get("refresh_policy") == "none":
        actions.append("refresh")
    return {
        "name": f"{node.name}[1..{machine.instances(node.name)}]",
        "class": component.unit.class_name,
        **({"subclass": component.subclass} if component.subclass else {}),
        "required_actions": [*actions, "leak"],
        "attributes": {name: _literal(value) for name, value in component.attributes.items()},
    }


def _literal(value: object) -> object:
    """In quotes if it is text: Accelergy evaluates what is not."""
    return Quoted(value) if isinstance(value, str) else value


def _classes(tree: YamlNode) -> Iterator[YamlNode]:
    """The sections with compound classes, under the name that Accelergy has for them."""
    assert isinstance(tree.value, dict)
    for key, section in tree.value.items():
        if "components" in key and isinstance(section.value, dict):
            # Accelergy compares the versions of its files, and takes text and numbers for different kinds of things.
            version = YamlNode(VERSION, section.file, section.line, quoted=True, text=VERSION)
            yield YamlNode(
                {"compound_components": replace(section, value=section.value | {"version": version})},
                tree.file,
                section.line,
            )
