"""The form that Timeloop's binaries read, for a machine with peers, fanouts and a resident.

What is expected was taken from the input that Timeloop's own front end (pytimeloop b8aaf2c) writes for such files.
"""

import json

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.timeloop import write_mapper
from camel_plugin.engine.timeloop.binary_input import write_input
from camel_plugin.files.v04 import write_mapping, write_problem
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

PROBLEM = Problem(
    ("C", "M", "P"),
    (9, 6, 8),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),))),
        Dataspace("Inputs", ((("C", 1),), (("P", 2),))),
        Dataspace("Outputs", ((("M", 1),), (("P", 1),)), read_write=True),
    ),
)
TASK = Task(load_machine("camel"), PROBLEM, {"Inputs": "act_edram"})
CAMEL = TASK.constrained
FILES = {"architecture.yaml": write_architecture(CAMEL, PROBLEM, TASK.homes), "problem.yaml": write_problem(PROBLEM)}


def sections(text: str) -> dict:
    return {key: json.loads(value) for key, _, value in (line.partition(": ") for line in text.splitlines())}


def mapper_input() -> dict:
    return sections(write_input({**FILES, "mapper.yaml": write_mapper(Objective.ENERGY)}))


def test_levels():
    (chip,) = mapper_input()["architecture"]["subtree"]
    levels = {level["name"]: level for level in chip["local"]}
    assert list(levels) == [
        "dram[1..1]", "act_edram[1..1]", "w_sram[1..1]", "inter_pe_spatial[1..1]",
        "oreg[1..36]", "wreg[1..36]", "inter_lane_spatial[1..36]", "mac[1..324]",
    ]  # fmt: skip
    meshes = {name: (level["attributes"]["meshX"], level["attributes"]["meshY"]) for name, level in levels.items()}
    assert meshes["inter_pe_spatial[1..1]"] == (1, 1)
    assert meshes["oreg[1..36]"] == (6, 6)
    assert meshes["mac[1..324]"] == (6, 54)
    assert levels["act_edram[1..1]"]["class"] == "storage"
    assert levels["act_edram[1..1]"]["attributes"]["depth"] == CAMEL.storage("act_edram").depth


def test_constraints():
    found = {(entry["target"], entry["type"]): entry for entry in mapper_input()["architecture_constraints"]["targets"]}
    assert set(found["dram", "bypass"]["bypass"]) == {"Inputs"}
    # Of peers each keeps its own and lets the others pass.
    assert set(found["act_edram", "bypass"]["bypass"]) == {"Weights"}
    assert set(found["w_sram", "bypass"]["bypass"]) == {"Inputs", "Outputs"}
    # A resident has no loop outside its home, lanes only reduce, a fanout stores nothing.
    assert found["dram", "temporal"]["factors"] == "C=1,P=1"
    assert found["inter_lane_spatial", "spatial"] == {
        "target": "inter_lane_spatial", "type": "spatial", "factors": "M=1,P=1", "permutation": "PM",
    }  # fmt: skip
    assert found["inter_pe_spatial", "bypass"]["bypass"] == ["Weights", "Inputs", "Outputs"]
    assert found["inter_pe_spatial", "temporal"]["factors"] == "C=1,M=1,P=1"


def test_problem_and_mapper():
    content = mapper_input()
    assert content["problem"]["instance"] == {"C": 9, "M": 6, "P": 8, "Coefficient2": 2}
    assert content["problem"]["shape"]["data_spaces"][1]["projection"] == [[["C"]], [["P", "Coefficient2"]]]
    assert content["mapper"]["optimization_metrics"] == ["energy", "delay"]


def test_mapping():
    every = frozenset({"Weights", "Outputs"})
    mapping = Mapping(
        (
            NodeMapping("dram", {"M": 2}, ("M",), keep=every),
            NodeMapping("act_edram", {"P": 4}, ("P",), keep=frozenset({"Inputs", "Outputs"})),
            NodeMapping("w_sram", keep=frozenset({"Weights"})),
            NodeMapping("pe", {"P": 2, "M": 3}, ("P", "M"), x_dims=frozenset({"P"})),
            NodeMapping("oreg", keep=frozenset({"Outputs"})),
            NodeMapping("wreg", keep=frozenset({"Weights"})),
            NodeMapping("lane", {"C": 9}, ("C",)),
        )
    )
    text = write_input({**FILES, "mapping.yaml": write_mapping(mapping, CAMEL, PROBLEM)})
    assert "architecture_constraints" not in sections(text)
    entries = {(entry["target"], entry["type"]): entry for entry in sections(text)["mapping"]}
    assert entries["inter_pe_spatial", "spatial"] == {
        "target": "inter_pe_spatial", "type": "spatial", "factors": "C=1,M=3,P=2", "permutation": "PMC", "split": 1,
    }  # fmt: skip
    assert entries["act_edram", "temporal"]["factors"] == "C=1,M=1,P=4"
    assert entries["dram", "bypass"]["bypass"] == ["Inputs"]
    assert {target for target, kind in entries if kind == "bypass"} >= {"inter_lane_spatial", "inter_pe_spatial"}
