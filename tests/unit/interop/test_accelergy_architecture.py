"""A machine as an architecture for Accelergy alone."""

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.components.resolve import read_machine
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.interop.accelergy.architecture import write_accelergy
from camel_plugin.spec.machine import Compute, Storage

COMPOUND = """
variables: {version: 0.4, technology: "45nm", global_cycle_seconds: 1e-9}
components:
  version: 0.4
  classes:
  - name: pair
    attributes: {technology: must_specify, width: 16, depth: 4}
    subcomponents:
    - {name: cell, class: regfile, attributes: {width: width, depth: depth}}
    actions:
    - {name: read, subcomponents: [{name: cell, actions: [{name: read}]}]}
    - {name: write, subcomponents: [{name: cell, actions: [{name: write}]}]}
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {type: "LPDDR4", width: 64, datawidth: 16}}
  - !Component
    name: spad
    class: storage
    subclass: pair
    spatial: {meshX: 3}
    attributes: {width: 2 * 16, datawidth: 16, depth: 8}
  - !Component {name: mac, class: intmac, attributes: {width: 16}}
"""


def chip(text: str) -> dict:
    (top,) = load_yaml_text(text, "written").plain()["architecture"]["subtree"]
    return {entry["name"]: entry for entry in top["local"]}


@pytest.mark.parametrize("name", ["camel", "camel-sram", "eyeriss", "eyeriss-16nm", "rana"])
def test_every_component_with_its_instances(name):
    machine = load_machine(name)
    nodes = [node for node in machine.nodes if isinstance(node, Storage | Compute)]
    found = chip(write_accelergy(machine))
    assert list(found) == [f"{node.name}[1..{machine.instances(node.name)}]" for node in nodes]
    for node, entry in zip(nodes, found.values(), strict=True):
        assert entry["class"] == node.class_name
        assert "refresh" not in entry["required_actions"]  # it is in leak, by default
        assert entry["attributes"]["global_cycle_seconds"] == machine.cycle_s
        assert entry["attributes"]["temperature"] == machine.temperature_C


EDRAM = """
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip, attributes: {technology: "16nm", global_cycle_seconds: 2e-9}}
  - !Component {name: a, class: storage, subclass: edram, attributes: {depth: 8, width: 8, datawidth: 8%s}}
  - !Component {name: mac, class: intmac, attributes: {width: 16}}
"""


@pytest.mark.parametrize(
    ("policy", "counted"), [("", False), (', refresh_policy: "worst_case"', False), (', refresh_policy: "none"', True)]
)
def test_refresh_is_there_to_count_where_it_is_not_in_the_leakage(policy, counted):
    found = chip(write_accelergy(read_machine([("arch.yaml", EDRAM % policy)], name="small")))
    assert ("refresh" in found["a[1..1]"]["required_actions"]) == counted


def test_attributes_are_evaluated_and_classes_go_along():
    text = write_accelergy(read_machine([("arch.yaml", COMPOUND)], name="small"))
    spad = chip(text)["spad[1..3]"]
    assert spad["attributes"]["width"] == 32
    assert (spad["class"], spad["subclass"]) == ("storage", "pair")
    assert 'technology: "45nm"' in text
    assert text.count('version: "0.4"') == 2  # Accelergy fails if one is a number
    (pair,) = load_yaml_text(text, "written").plain()["compound_components"]["classes"]
    assert pair["subcomponents"][0]["attributes"]["depth"] == "depth"
