"""A machine as an architecture that Accelergy's own command line reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from camel_plugin.files.v04.reader import Component, read_components
from camel_plugin.files.yaml_source import YamlNode, dump_yaml, load_yaml_text
from camel_plugin.spec.machine import Compute, Machine, Node, Storage

VERSION = "0.4"


def write_accelergy(machine: Machine) -> str:
    """The components of a machine with their attributes, for ``accelergy THIS_FILE [ACTION_COUNTS]``.

    Timeloop's architectures have nodes, of which only its front end can make the subtree that Accelergy wants.
    Compound classes go along as they are.
    """
    components = read_components([(machine.name, machine.yaml)])
    lines = ["architecture:", f'  version: "{VERSION}"', "  subtree:", f"  - name: {machine.name}"]
    # Accelergy asks for these at the top even where every component has its own.
    lines += ["    attributes:", f"      global_cycle_seconds: {machine.cycle_s!r}"]
    lines += [f"      technology: {json.dumps(components[-1].attributes.get('technology'))}", "    local:"]
    for component in components:
        lines += ["    " + line for line in _component(component, machine.node(component.name))]
    classes = list(_classes(load_yaml_text(machine.yaml, machine.name)))
    return "\n".join(lines) + "\n" + (dump_yaml(classes) if classes else "")


def _component(component: Component, node: Node) -> Iterator[str]:
    yield f"- name: {component.name}[1..{component.instances}]"
    yield f"  class: {component.class_name}"
    if component.subclass:
        yield f"  subclass: {component.subclass}"
    actions = ["compute"] if isinstance(node, Compute) else ["read", "write", "update"]
    if isinstance(node, Storage) and node.edram:
        actions.append("refresh")
    yield f"  required_actions: [{', '.join([*actions, 'leak'])}]"
    yield "  attributes:"
    for name, value in component.attributes.items():
        # In quotes if it is text: Accelergy evaluates what is not.
        yield f"    {name}: {json.dumps(value)}"


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
