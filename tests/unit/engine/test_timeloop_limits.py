"""Sizes as Timeloop reads them, in the whole machine."""

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.timeloop.limits import as_mapped, laid_out, limited_text
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.files.v04.reader import read_architecture
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

MACHINE = """
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip, attributes: {technology: "45nm", width: 64, datawidth: 16}}
  - !Component {name: dram, class: DRAM, attributes: {type: "LPDDR4"%s}}
  - !Hierarchical
    nodes:
    - !Parallel
      nodes:
      - !Component {name: a, class: SRAM, attributes: {sizeKB: 2}, constraints: {dataspace: {keep: [Inputs, Outputs]}}}
      - !Component
        name: b
        class: SRAM
        attributes: {width: 32, depth: 4 * 4}
        constraints: {dataspace: {keep: [Weights]}}
  - !Component {name: mac, class: intmac}
"""


def sizes(text: str) -> dict[str, tuple[object, object, object]]:
    """Storage -> its own width, datawidth and depth."""
    found = {}
    stack = [load_yaml_text(text, "written").at(["architecture", "nodes"])]
    while stack:
        node = stack.pop()
        stack += node.value if isinstance(node.value, list) else [node.at(["nodes"])] if "nodes" in node.value else []
        if node.tag == "Component" and "attributes" in node.value:
            attributes = node.plain()["attributes"]
            assert not {"entries", "sizeKB"} & attributes.keys()
            found[node.plain()["name"]] = tuple(attributes.get(key) for key in ("width", "datawidth", "depth"))
    return found


@pytest.mark.parametrize("depth", ["", ", depth: 2**32", ", depth: 1099511627776"])
def test_every_storage_says_its_size_itself(depth):
    machine = read_architecture([("arch.yaml", MACHINE % depth)]).machine
    assert sizes(limited_text(machine)) == {
        "dram": (64, 16, 4294967295),
        "a": (64, 16, 2 * 1024 * 8 // 64),
        "b": (32, 16, "4 * 4"),
    }


def test_the_machine_stays_what_it_was():
    machine = read_architecture([("arch.yaml", MACHINE % "")]).machine
    again = read_architecture([("again.yaml", limited_text(machine))]).machine
    assert [node.name for node in again.nodes] == [node.name for node in machine.nodes]
    assert again.storages[1:] == machine.storages[1:]
    assert again.compute == machine.compute


@pytest.mark.parametrize("name", ["camel", "camel-sram", "eyeriss", "eyeriss-16nm", "rana"])
def test_built_in_machines_have_sizes_that_fit(name):
    machine = load_machine(name)
    assert limited_text(machine) == machine.yaml


def test_a_large_dram_of_a_built_in_machine():
    machine = load_machine("camel", {"dram_gib": "64"})
    assert machine.storages[0].depth > 2**32
    assert sizes(limited_text(machine))["dram"][2] == 4294967295


PRODUCT = Problem(
    ("M", "K", "N"),
    (8, 4, 16),
    (
        Dataspace("Weights", ((("M", 1),), (("K", 1),))),
        Dataspace("Inputs", ((("K", 1),), (("N", 1),))),
        Dataspace("Outputs", ((("M", 1),), (("N", 1),)), read_write=True),
    ),
)
ONE_BUFFER = """
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {width: 64, datawidth: 16}}
  - !Component
    name: buffer
    class: SRAM
    attributes: {width: 32, datawidth: 16, depth: %d}
    constraints: {dataspace: {keep: [Weights, Inputs, Outputs]}}
  - !Component {name: mac, class: intmac}
"""
HOMES = {"Weights": "buffer", "Inputs": "buffer"}


def task(rows: int) -> Task:
    return Task(read_architecture([("arch.yaml", ONE_BUFFER % rows)], PRODUCT).machine, PRODUCT, HOMES)


@pytest.mark.parametrize(
    ("rows", "frozen", "left"),
    [
        # 8*4 + 4*16 words of residents are 48 rows; as a whole the outputs take 64 more, as a single word one.
        (112, HOMES, 112),
        (111, {}, 63),
        (49, {}, 1),
        (48, HOMES, 48),
    ],
)
def test_no_loop_stands_outside_a_home_where_the_other_tensors_fit_so(rows, frozen, left):
    machine, homes = laid_out(task(rows))
    assert homes == frozen
    assert machine.storage("buffer").depth == left


def test_a_resident_alone_needs_no_more_than_itself():
    whole = read_architecture([("arch.yaml", ONE_BUFFER.replace("Inputs, Outputs", "Inputs") % 48)], PRODUCT).machine
    machine, homes = laid_out(Task(whole, PRODUCT, HOMES))
    assert (machine.storage("buffer").depth, homes) == (48, HOMES)


def test_the_machine_of_a_mapping_constrains_nothing_but_what_the_mapping_does_not_say():
    every = frozenset(("Weights", "Inputs", "Outputs"))
    mapping = Mapping(
        (
            NodeMapping("dram", {"M": 8}, ("M",), keep=frozenset(("Outputs",))),
            NodeMapping("buffer", {"K": 4, "N": 16}, ("K", "N"), keep=every),
        )
    )
    constrained = ONE_BUFFER.replace("datawidth: 16}}", "datawidth: 16}, constraints: {temporal: {factors: [K=1]}}}")
    machine = read_architecture([("arch.yaml", constrained % 112)], PRODUCT).machine
    assert machine.storage("dram").temporal.factors
    text = write_architecture(
        as_mapped(Task(machine, PRODUCT, HOMES), mapping, {"dram": {"K": 1}, "buffer": {}}), PRODUCT
    )
    dram, buffer, _ = load_yaml_text(text, "written").at(["architecture", "nodes"]).plain()
    assert dram["constraints"] == {
        "dataspace": {"keep": ["Outputs"], "bypass": ["Weights", "Inputs"]},
        "temporal": {"factors": ["K=1"]},
    }
    assert buffer["constraints"] == {"dataspace": {"keep": ["Weights", "Inputs", "Outputs"], "bypass": []}}
