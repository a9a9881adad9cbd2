"""What real Timeloop (4cf6d4c, timeloop-model) computed: timeloop/arch and timeloop/*.jsonl, a case a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from camel_plugin.spec.machine import Compute, Fanout, Machine, Node, Storage, StorageEnergy
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem

FOLDER = Path(__file__).parents[1] / "golden" / "timeloop"
ARCHS = sorted(path.stem for path in (FOLDER / "arch").glob("*.json"))
PJ = 1e-12


@dataclass(frozen=True)
class Case:
    """One evaluation by Timeloop.

    Attributes:
        id: its name.
        suspicious: reasons not to take it for physics.
        machine: with the energies that Timeloop was given.
        problem: the loop nest.
        mapping: the mapping.
        expected: Timeloop's figures: words, cycles, pJ.
    """

    id: str
    suspicious: list[str]
    machine: Machine
    problem: Problem
    mapping: Mapping
    expected: dict[str, Any]


@cache
def machine(arch: str) -> Machine:
    """The machine of a golden architecture."""
    document = json.loads((FOLDER / "arch" / f"{arch}.json").read_text())
    energies = document["ert_pJ"]
    nodes: list[Node] = []
    for node in document["nodes_outermost_first"]:
        name = node["name"]
        if node["kind"] == "spatial":
            nodes.append(Fanout(name, node["meshX"], node["meshY"]))
        elif node["kind"] == "compute":
            nodes.append(Compute(name, "intmac", energy_J=energies[name]["compute"] * PJ))
        else:
            words = node["capacity_words"]
            nodes.append(
                Storage(
                    name=name,
                    class_name="storage",
                    technology="other",
                    width_bits=node["width"],
                    datawidth_bits=node["datawidth"],
                    depth=None if words is None else round(words / node["block_words"]),
                    cluster_size=node["cluster_size"],
                    read_bandwidth=node["read_bandwidth"],
                    write_bandwidth=node["write_bandwidth"],
                    keep=frozenset(node["keep"]),
                    bypass=frozenset(node["bypass"]),
                    parallel=0 if node["parallel"] else None,
                    energy=StorageEnergy(
                        read_J=energies[name]["read"] * PJ,
                        write_J=energies[name]["write"] * PJ,
                        update_J=energies[name]["update"] * PJ,
                        leakage_J_per_cycle=energies[name]["leak"] * PJ,
                    ),
                    is_dram=node["is_dram"],
                )
            )
    return Machine(document["name"], tuple(nodes), cycle_s=1e-9)


@cache
def cases(arch: str) -> list[Case]:
    """All cases of a golden architecture."""
    lines = (FOLDER / f"{arch}.jsonl").read_text().splitlines()
    return [_case(machine(arch), json.loads(line)) for line in lines]


def _case(on: Machine, document: dict[str, Any]) -> Case:
    bounds = document["bounds"]
    dataspaces = tuple(
        Dataspace(
            space["name"],
            tuple(tuple((dim, coefficient) for dim, coefficient in rank) for rank in space["projection"]),
            space["read_write"],
        )
        for space in document["dataspaces"]
    )
    problem = Problem(tuple(bounds), tuple(bounds.values()), dataspaces, shape=document["kind"], name=document["id"])
    nodes: list[NodeMapping] = []
    for node in on.nodes[:-1]:
        parts: dict[str, Any] = {}
        for part in document["mapping"]:
            if part["target"] == node.name:
                parts |= part
        nodes.append(
            NodeMapping(
                node.name,
                parts.get("factors", {}),
                tuple(parts.get("order", ())),
                frozenset(parts.get("x", ())),
                frozenset(parts.get("keep", ())),
            )
        )
    return Case(document["id"], document["suspicious"], on, problem, Mapping(tuple(nodes)), document["result"])
