"""Architectures: from files to machines."""

import json
from pathlib import Path

import pytest
from v04_cases import ARCH, PROBLEM, fake_estimate

from camel_plugin import components
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError
from camel_plugin.files.v04 import read_problem, write_ert
from camel_plugin.spec.constraint_macros import spelt_out
from camel_plugin.spec.machine import Compute, FactorBound, Fanout, Storage, StorageEnergy, VectorUnit

GOLDEN = Path(__file__).parents[2] / "golden" / "timeloop" / "arch"


@pytest.fixture(autouse=True)
def _fake_components(monkeypatch):
    monkeypatch.setattr(components, "estimate", fake_estimate)


def ert_text(energies_pJ):
    tables = [
        {
            "name": f"chip_top_level.{name}[1..36]",
            "actions": [{"name": action, "arguments": {}, "energy": energy} for action, energy in actions.items()],
        }
        for name, actions in energies_pJ.items()
    ]
    return json.dumps({"ERT": {"version": "0.4", "tables": tables}})


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_timeloops_own_view_of_an_architecture(path, tmp_path):
    """Instances, capacities, blocks and energies are those that Timeloop derived from the same file."""
    expected = json.loads(path.with_suffix(".json").read_text())
    (tmp_path / "ERT.yaml").write_text(ert_text(expected["ert_pJ"]))
    machine = read_machine([path], ert=tmp_path / "ERT.yaml")
    assert machine.name == path.stem
    assert machine.cycle_s == 1e-9
    assert len(machine.nodes) == len(expected["nodes_outermost_first"])
    for node, wanted in zip(machine.nodes, expected["nodes_outermost_first"], strict=True):
        assert node.name == wanted["name"]
        if isinstance(node, Fanout):
            assert (wanted["kind"], node.mesh_x, node.mesh_y) == ("spatial", wanted["meshX"], wanted["meshY"])
            continue
        assert machine.instances(node.name) == wanted["instances"]
        energies = {action: float(f"{value}e-12") for action, value in expected["ert_pJ"][node.name].items()}
        if isinstance(node, Compute):
            assert wanted["kind"] == "compute"
            assert node.energy_J == energies["compute"]
            assert node.leakage_W == pytest.approx(energies["leak"] / 1e-9)
            continue
        assert node.energy == StorageEnergy(energies["read"], energies["write"], energies["update"], energies["leak"])
        found = {
            "kind": "storage",
            "name": node.name,
            "capacity_words": node.capacity_words,
            "width": node.width_bits,
            "datawidth": node.datawidth_bits,
            "block_words": node.block_words,
            "cluster_size": node.cluster_size,
            "read_bandwidth": node.read_bandwidth,
            "write_bandwidth": node.write_bandwidth,
            "is_dram": node.is_dram,
            "instances": machine.instances(node.name),
            "keep": sorted(node.keep),
            "bypass": sorted(node.bypass),
            "parallel": node.parallel is not None,
        }
        wanted = {key: sorted(value) if isinstance(value, list) else value for key, value in wanted.items()}
        assert found == {key: wanted[key] for key in found}


def test_a_complete_specification():
    machine = read_machine([("arch.yaml", ARCH)], name="small")
    assert [node.name for node in machine.nodes] == ["dram", "glb", "pe", "wreg", "oreg", "inter_mac_spatial", "mac"]
    assert (machine.name, machine.cycle_s, machine.temperature_C) == ("small", 2e-9, 60)
    assert machine.vector == VectorUnit(16, 1e-12)
    assert machine.instances("mac") == 4 * 4 * 2
    dram, glb, wreg, oreg = machine.storages
    assert (dram.technology, dram.is_dram, dram.capacity_words, dram.read_bandwidth) == ("dram", True, None, None)
    assert (glb.technology, glb.class_name, glb.is_dram) == ("edram", "storage", False)
    assert (glb.capacity_words, glb.row_bits, glb.read_bandwidth, glb.write_bandwidth) == (4096 * 8, 70, 16, 8)
    assert glb.energy == StorageEnergy(8e-12, 16e-12, 24e-12, 1e-3 * 2e-9)
    assert glb.edram is not None
    assert glb.temporal.factors == {"R": FactorBound("=", 1), "C": FactorBound("<=", 4)}
    assert glb.temporal.permutation == ("P", "Q")
    assert (wreg.technology, oreg.technology) == ("regfile", "regfile")
    assert wreg.parallel == oreg.parallel is not None
    assert (wreg.keep, oreg.keep) == ({"Weights"}, {"Outputs"})
    assert wreg.bypass == oreg.bypass == {"Inputs"}
    fanout = machine.node("pe")
    assert isinstance(fanout, Fanout)
    assert (fanout.mesh_x, fanout.mesh_y, fanout.spatial.split) == (4, 4, 1)
    assert machine.node("inter_mac_spatial") == Fanout("inter_mac_spatial", 2, 1)
    assert machine.compute == Compute("mac", "intmac", 1e-12, 1e-6, 1e-10)
    assert "glb: edram is made up" in machine.unconfirmed


def test_a_split_counts_the_unit_loops_that_timeloop_puts_innermost():
    problem = read_problem([("p", PROBLEM)])
    fanout = spelt_out(read_machine([("arch.yaml", ARCH)]), problem).node("pe")
    assert isinstance(fanout, Fanout)
    assert fanout.spatial.permutation == ("N", "C", "M")


def test_the_kept_text_gives_the_same_machine():
    machine = read_machine([("arch.yaml", ARCH)], name="small")
    assert read_machine([("again.yaml", machine.yaml)], name="small") == machine


def test_several_files_are_one_specification():
    head, tail = ARCH.split("  - !Container\n    name: pe\n", 1)
    rest = "architecture:\n  nodes:\n  - !Container\n    name: pe\n" + tail
    variables = 'variables: {version: 0.4, technology: "65nm", global_cycle_seconds: 1e-9}\n'
    targets = (
        "architecture_constraints:\n  targets:\n"
        "  - {target: wreg, type: temporal, factors: M=1 C=2, no_iteration_over_dataspaces: [Inputs]}\n"
        "  - {target: mac, type: spatial, factors: [C<=2]}\n"
    )
    sources = [("a.yaml", head), ("b.yaml", rest), ("v.yaml", variables), ("c.yaml", targets), ("p.yaml", PROBLEM)]
    machine = read_machine(sources, name="small")
    assert [node.name for node in machine.nodes] == [node.name for node in read_machine([("a", ARCH)]).nodes]
    assert machine.storage("wreg").temporal.factors == {"M": FactorBound("=", 1), "C": FactorBound("=", 2)}
    assert machine.storage("wreg").temporal.no_iteration_over == {"Inputs"}
    fanout = machine.node("inter_mac_spatial")
    assert isinstance(fanout, Fanout)
    assert fanout.spatial.factors == {"C": FactorBound("<=", 2)}
    assert read_machine([("merged.yaml", machine.yaml)], name="small") == machine


@pytest.mark.parametrize(
    ("dataspace", "keep", "bypass"),
    [
        ("{keep: [Inputs, Outputs]}", {"Inputs", "Outputs"}, set()),
        ("{keep: Inputs}", {"Inputs"}, set()),
        ("{keep_only: [Inputs]}", {"Inputs"}, {"Weights", "Outputs"}),
        ("{bypass_only: [Weights]}", {"Inputs", "Outputs"}, {"Weights"}),
        ("{bypass: [~Weights]}", set(), {"Inputs", "Outputs"}),
        ('{keep: ["*"]}', {"Weights", "Inputs", "Outputs"}, set()),
        ("{keep: All, bypass: Nothing}", {"Weights", "Inputs", "Outputs"}, set()),
        ("{keep: [], bypass: [], no_coalesce: []}", set(), set()),
    ],
)
def test_sets_of_dataspaces(dataspace, keep, bypass):
    text = ARCH.replace("{keep: [Inputs, Outputs], bypass: [Weights]}", dataspace)
    glb = read_machine([("a", text)]).storage("glb")
    assert (glb.keep, glb.bypass) == (keep, bypass)


@pytest.mark.parametrize(
    ("attributes", "capacity_words", "block_words", "cluster_size"),
    [
        ("{depth: 1, width: 32, datawidth: 8, cluster_size: 4}", 1, 1, 4),
        ("{depth: 3, width: 64, datawidth: 8, block_size: 4, cluster_size: 2}", 12, 4, 2),
        ("{depth: 3, datawidth: 8, block_size: 4}", 12, 4, 1),
        ("{memory_depth: 3, memory_width: 64, word_bits: 16, datawidth: 8}", 12, 4, 1),
        ("{data_storage_depth: 3, data_storage_width: 64, datawidth: 8, n_words: 8}", 24, 8, 1),
        ("{entries: 64, width: 64, datawidth: 8}", 64, 8, 1),
        ("{sizeKB: 2, width: 32, datawidth: 16}", 1024, 2, 1),
        ('{depth: "16", width: 32.0, datawidth: 16}', 32, 2, 1),
    ],
)
def test_sizes_by_timeloops_rules(attributes, capacity_words, block_words, cluster_size):
    """block_size * cluster_size * datawidth = width; an instance holds depth blocks (Timeloop's buffer.cpp)."""
    text = ARCH.replace("{depth: 32, width: 16, datawidth: 8}", attributes)
    wreg = read_machine([("a", text)]).storage("wreg")
    assert (wreg.capacity_words, wreg.block_words, wreg.cluster_size) == (capacity_words, block_words, cluster_size)


def test_factors_of_a_node_with_the_problem_at_hand():
    text = ARCH.replace("factors: [R=1, C<=4]", "factors_only: [C<=4], no_iteration_over_dataspaces: [Weights]")
    machine = read_machine([("a", text), ("p", PROBLEM)])
    temporal = spelt_out(machine, read_problem([("p", PROBLEM)])).storage("glb").temporal
    one = FactorBound("=", 1)
    assert temporal.factors == {"C": one, "M": one, "R": one, "N": one, "P": one, "Q": one}
    text = ARCH.replace("factors: [R=1, C<=4]", "factors: [C=4], no_iteration_over_dataspaces: [Weights]")
    with pytest.raises(SpecError, match="the constraints of glb contradict each other: C=4"):
        spelt_out(read_machine([("a", text)]), read_problem([("p", PROBLEM)]))


def test_scales_and_disabled_components():
    text = ARCH.replace("class: regfile", "class: regfile\n      energy_scale: 2\n      area_scale: 1 / 2")
    text = text.replace("name: glb", "name: glb\n    enabled: False")
    text = text.replace("glb.attributes.datawidth // 2", "4")
    machine = read_machine([("a", text)])
    assert [storage.name for storage in machine.storages] == ["dram", "wreg", "oreg"]
    assert machine.storage("wreg").energy.read_J == pytest.approx(1e-12)
    assert machine.storage("wreg").area_m2 == pytest.approx(1e-9)


def test_clock_and_temperature_that_are_not_given_are_assumed_aloud():
    text = ARCH.replace("      global_cycle_seconds: 2e-9\n      temperature: 60\n", "")
    machine = read_machine([("a", text)])
    assert (machine.cycle_s, machine.temperature_C) == (1e-9, 25)
    assert any("global_cycle_seconds is not given" in note for note in machine.unconfirmed)


def test_components_in_the_energy_table_are_not_estimated(tmp_path):
    table = {
        "dram": {"read": 1, "write": 2, "update": 3, "leak": 4},
        "wreg": {"random_read": 5, "write": 6},
        "mac": {"mac_random": 7, "compute": 8, "leak": 9},
    }
    (tmp_path / "ERT.yaml").write_text(ert_text(table))
    arch = ARCH.replace("class: regfile", "class: storage")
    machine = read_machine([("a", arch)], ert=tmp_path / "ERT.yaml", fill_ert=True)
    assert machine.storage("dram").energy == StorageEnergy(1e-12, 2e-12, 3e-12, 4e-12)
    assert machine.storage("wreg").energy == StorageEnergy(5e-12, 6e-12, 6e-12, 0)
    assert machine.storage("glb").energy.read_J == 8e-12
    assert (machine.compute.energy_J, machine.compute.leakage_W) == (7e-12, pytest.approx(9e-12 / 2e-9))


def test_an_edram_keeps_its_refresh_beside_a_table(tmp_path):
    (tmp_path / "ERT.yaml").write_text(ert_text({"glb": {"read": 1, "write": 2, "update": 3, "leak": 4}}))
    glb = read_machine([("a", ARCH)], ert=tmp_path / "ERT.yaml", fill_ert=True).storage("glb")
    assert glb.energy.read_J == 1e-12
    assert glb.edram is not None


def test_an_energy_table_survives_writing_and_reading(tmp_path):
    machine = read_machine([("a", ARCH)])
    (tmp_path / "ERT.yaml").write_text(write_ert(machine))
    again = read_machine([("a", ARCH)], ert=tmp_path / "ERT.yaml")
    for storage in machine.storages:
        assert vars(again.storage(storage.name).energy) == pytest.approx(vars(storage.energy), rel=1e-14)
    assert again.compute.energy_J == pytest.approx(machine.compute.energy_J, rel=1e-14)
    assert again.compute.leakage_W == pytest.approx(machine.compute.leakage_W, rel=1e-14)


def test_the_name_is_that_of_the_file_or_of_its_folder(tmp_path):
    folder = tmp_path / "eyeriss_like"
    folder.mkdir()
    for stem, name in (("arch", "eyeriss_like"), ("other", "other")):
        (folder / f"{stem}.yaml").write_text(ARCH)
        assert read_machine([folder / f"{stem}.yaml"]).name == name


def test_no_dummy_for_an_unknown_component():
    with pytest.raises(SpecError, match="neither a compound class") as error:
        read_machine([("a.yaml", ARCH.replace("class: regfile", "class: storage"))])
    line = ARCH[: ARCH.index("class: regfile")].count("\n") + 1
    assert (error.value.line, error.value.field) == (line, "architecture.nodes[5].nodes[0].class")


def test_storage_without_problem_names_keeps_other_dataspaces():
    text = ARCH.replace("keep: [Weights]", "keep: [Filters]")
    assert read_machine([("a", text)]).storage("wreg").keep == {"Filters"}


def test_all_storages_are_storages():
    assert all(isinstance(node, Storage) for node in read_machine([("a", ARCH)]).storages)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        # Timeloop exits: block_size * word_bits * cluster_size != storage width
        (
            "{depth: 4, width: 64, datawidth: 8, block_size: 4}",
            "width must be datawidth * block_size * cluster_size = 32",
        ),
        ("{depth: 4, width: 60, datawidth: 8}", "width must be a multiple of datawidth = 8"),
        # Timeloop asserts that clusters divide the instances, 16 here
        ("{depth: 4, width: 512, datawidth: 8, cluster_size: 64}", "the meshes make 16 instances (got 64)"),
        ("{depth: 4, width: 64, datawidth: 8, instances: 4}", "the meshes make 16 instances (got 4)"),
        ("{depth: 4, width: 64, datawidth: 8, vector_access_energy: 5}", "energies stand in an ERT"),
        ("{depth: 4, width: 64, datawidth: 8, addr_gen_energy: 5}", "address generators belong in a component class"),
        ("{depth: 4, width: 64, datawidth: 8, reduction_supported: False}", "cannot take part in reductions"),
        ("{depth: 4, memory_depth: 4, sizeKB: 1, width: 64, datawidth: 8}", "gives the size again"),
    ],
)
def test_sizes_that_timeloop_refuses_or_would_change_in_silence(attributes, message):
    text = ARCH.replace("{depth: 32, width: 16, datawidth: 8}", attributes)
    with pytest.raises(SpecError) as error:
        read_machine([("a", text)])
    assert message in str(error.value)


def test_several_energies_of_an_action_are_the_largest(tmp_path):
    """Timeloop takes the most expensive of the entries that an action has for its arguments."""
    rows = {name: {"read": 1.0, "write": 2.0} for name in ("dram", "glb", "wreg", "oreg")} | {"mac": {"compute": 3.0}}
    text = ert_text(rows).replace(
        '{"name": "read", "arguments": {}, "energy": 1.0}',
        '{"name": "read", "arguments": {"data_delta": 0}, "energy": 0.5}, '
        '{"name": "read", "arguments": {"data_delta": 1}, "energy": 4.0}',
        1,
    )
    assert "data_delta" in text
    (tmp_path / "ERT.yaml").write_text(text)
    machine = read_machine([("a", ARCH)], ert=tmp_path / "ERT.yaml")
    assert [storage.energy.read_J for storage in machine.storages] == [4e-12, 1e-12, 1e-12, 1e-12]
    assert read_machine([("a", ARCH), ("ert", text)]).storages == machine.storages


def test_an_inherited_cluster_size_is_none_of_a_storage():
    """Timeloop's front end gives every storage a cluster_size of its own, 1."""
    text = ARCH.replace("vector_lanes: 16}", "vector_lanes: 16, cluster_size: 4}")
    assert [storage.cluster_size for storage in read_machine([("a", text)]).storages] == [1, 1, 1, 1]
