"""Machines written as v0.4 architectures and read back."""

from dataclasses import replace
from pathlib import Path

import pytest
import timeloop_cases

from camel_plugin.components.machines import load_machine
from camel_plugin.components.resolve import read_machine
from camel_plugin.files.v04 import write_ert
from camel_plugin.files.v04.architecture_file import write_architecture
from camel_plugin.files.yaml_source import load_yaml_text
from camel_plugin.spec.machine import Compute, FactorBound, Fanout, LoopConstraints, Machine, Storage, StorageEnergy
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

BUILT_IN = ("camel", "camel-sram", "eyeriss", "eyeriss-16nm")
CONV = Problem(
    ("C", "M", "R", "S", "N", "P", "Q"),
    (16, 16, 3, 3, 1, 8, 8),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),), (("R", 1),), (("S", 1),))),
        Dataspace("Inputs", ((("N", 1),), (("C", 1),), (("R", 1), ("P", 1)), (("S", 1), ("Q", 1)))),
        Dataspace("Outputs", ((("N", 1),), (("M", 1),), (("P", 1),), (("Q", 1),)), read_write=True),
    ),
)


def machines():
    return [load_machine(name) for name in BUILT_IN] + [timeloop_cases.machine(arch) for arch in timeloop_cases.ARCHS]


def mappable(machine: Machine) -> Machine:
    """What a mapper sees: no area, refresh or vector unit; the goldens call a DRAM ``storage`` and number from 0."""
    nodes, groups = [], {}
    for node in machine.nodes:
        if isinstance(node, Storage):
            plain = node.technology == "edram" or node.class_name == "storage"
            node = replace(
                node,
                area_m2=0.0,
                edram=None,
                class_name="DRAM" if node.is_dram else node.class_name,
                technology="dram" if node.is_dram else "other" if plain else node.technology,
                parallel=None if node.parallel is None else groups.setdefault(node.parallel, len(groups)),
            )
        nodes.append(replace(node, area_m2=0.0) if isinstance(node, Compute) else node)
    return replace(machine, nodes=tuple(nodes), vector=None)


def energies(machine: Machine) -> list[float]:
    found = []
    for node in machine.nodes:
        if isinstance(node, Storage):
            each = node.energy
            found += [each.read_J, each.write_J, each.update_J, each.leakage_J_per_cycle]
        elif isinstance(node, Compute):
            found += [node.energy_J, node.leakage_W]
    return found


def without_energies(machine: Machine) -> Machine:
    nodes = []
    for node in machine.nodes:
        if isinstance(node, Storage):
            node = replace(node, energy=StorageEnergy())
        elif isinstance(node, Compute):
            node = replace(node, energy_J=0.0, leakage_W=0.0)
        nodes.append(node)
    return replace(machine, nodes=tuple(nodes))


def read_back(machine: Machine, folder: Path, problem: Problem | None = None) -> Machine:
    ert = folder / "ERT.yaml"
    ert.write_text(write_ert(machine))
    text = write_architecture(machine, problem)
    return mappable(read_machine([("written", text)], ert=ert, name=machine.name, problem=problem))


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.name)
def test_round_trip(machine, tmp_path):
    machine = mappable(machine)
    again = read_back(machine, tmp_path)
    assert without_energies(again) == without_energies(machine)
    assert energies(again) == pytest.approx(energies(machine), rel=1e-15)


def test_constraints_come_back(tmp_path):
    machine = mappable(load_machine("eyeriss"))
    nodes = list(machine.nodes)
    for index, node in enumerate(nodes):
        if isinstance(node, Fanout):
            loops = LoopConstraints({"N": FactorBound("<=", 4)}, ("M", "S"), 1, min_parallelism=0.25)
            nodes[index] = replace(node, spatial=loops)
        elif node.name == "shared_glb":
            loops = LoopConstraints({}, ("Q", "P"), no_iteration_over=frozenset({"Weights"}))
            nodes[index] = replace(node, temporal=loops, row_bits=70.0)
    machine = replace(machine, nodes=tuple(nodes))
    assert without_energies(read_back(machine, tmp_path)) == without_energies(machine)


def test_a_fanout_of_a_component_stays_with_it(tmp_path):
    machine = mappable(load_machine("camel"))
    nodes = [replace(node, name="inter_oreg_spatial") if node.name == "pe" else node for node in machine.nodes]
    machine = replace(machine, nodes=tuple(nodes))
    assert "Container {name: inter" not in write_architecture(machine)
    assert without_energies(read_back(machine, tmp_path)) == without_energies(machine)


def test_only_the_names_of_the_problem(tmp_path):
    matmul = Problem(
        ("M", "N", "K"),
        (8, 4, 16),
        (
            Dataspace("Inputs", ((("M", 1),), (("K", 1),))),
            Dataspace("Outputs", ((("M", 1),), (("N", 1),)), read_write=True),
        ),
    )
    machine = read_back(mappable(load_machine("eyeriss")), tmp_path, matmul)
    assert machine.storage("dram").keep == {"Inputs", "Outputs"}
    assert set(machine.storage("psum_spad").temporal.factors) == {"N"}


def test_homes_leave_no_loop_outside(tmp_path):
    task = Task(mappable(load_machine("camel")), CONV, {"Weights": "w_sram"})
    text = write_architecture(task.constrained, CONV, task.homes)
    nodes = load_yaml_text(text, "written").plain()["architecture"]["nodes"]
    dram, peers = nodes[0], nodes[1]["nodes"]
    frozen = {"C=1", "M=1", "R=1", "S=1"}
    assert dram["constraints"]["dataspace"] == {"keep": ["Inputs", "Outputs"], "bypass": ["Weights"]}
    assert set(dram["constraints"]["temporal"]["factors"]) == frozen
    # Of two peers Timeloop walks the first one outside the second.
    assert set(peers[0]["constraints"]["temporal"]["factors"]) == frozen
    assert "temporal" not in peers[1]["constraints"]


def test_a_dataspace_past_all_peers_has_its_own_branch(tmp_path):
    task = Task(mappable(load_machine("camel")), CONV, {"Outputs": "oreg"})
    machine = task.constrained
    text = write_architecture(machine, CONV, task.homes)
    assert "!Nothing {constraints: {dataspace: {keep: [Outputs]}}}" in text
    again = read_back(machine, tmp_path, CONV)
    assert again.storage("act_edram").keep == {"Inputs"}
    assert "Outputs" in again.storage("act_edram").bypass & again.storage("w_sram").bypass
