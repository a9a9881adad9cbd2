"""The machines that ship: sources, structure and sizes against the published figures."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest
import yaml

from camel_plugin import resources
from camel_plugin.components.machines import Machine, load_machine, load_machine_file, render_machine
from camel_plugin.errors import InputError, SpecError
from camel_plugin.spec.machine import Fanout, Storage
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

SPECS = Path(__file__).parents[3] / "arch_specs"
NAMES = sorted(path.stem for path in SPECS.glob("*.yaml"))
KIB_BITS = 8 * 1024
BLOCK_BITS, BLOCK_WORDS = 58, 9


@pytest.fixture(scope="module")
def machines() -> dict[str, Machine]:
    return {name: load_machine(name) for name in NAMES}


def test_the_folder_and_the_registry_agree() -> None:
    assert set(NAMES) == {name for name, path in resources.available("arch_specs").items() if path.parent == SPECS}
    assert {"camel", "camel-sram", "eyeriss", "eyeriss-16nm"} <= set(NAMES)


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_value_written_in_a_shipped_file_names_its_source(path: Path) -> None:
    written = yaml.safe_load(path.read_text())
    assert written["source"]
    assert written["description"]
    for name, entry in written["parameters"].items():
        assert isinstance(entry, dict), f"{name} has no source"
        assert entry.get("source"), f"{name} has no source"


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_described_and_assumptions_are_marked(name: str) -> None:
    for parameter in load_machine_file(name).parameters.values():
        assert parameter.description
        assert parameter.source not in ("", "user")
        assert parameter.confirmed == (not re.search("assumed|derived|recalled", parameter.source)), parameter


@pytest.mark.parametrize("name", NAMES)
def test_rendered_text_is_what_timeloop_wants(name: str) -> None:
    class Tagged(yaml.SafeLoader):
        pass

    Tagged.add_multi_constructor("!", lambda loader, tag, node: {"tag": tag, **loader.construct_mapping(node, True)})
    nodes = yaml.load(render_machine(name), Tagged)["architecture"]["nodes"]  # noqa: S506 - a SafeLoader
    flat = [child for node in nodes for child in node.get("nodes", [node])]
    for node in flat:
        if node["tag"] != "Component":
            continue
        attributes = node["attributes"]
        assert "edram" not in node["class"].lower()
        if "depth" in attributes:
            assert attributes["width"] % attributes["datawidth"] == 0
            assert isinstance(attributes["depth"], int)
            assert 0 < attributes["depth"] < 2**31
    assert flat[-1]["class"] in ("mac", "intmac")


@pytest.mark.parametrize("name", NAMES)
def test_costs_are_physical(name: str, machines: dict[str, Machine]) -> None:
    machine = machines[name]
    assert machine.name == name
    assert machine.vector is not None
    assert machine.vector.energy_J > 0
    assert machine.compute.energy_J > 0
    per_word = [storage.energy.read_J / storage.block_words for storage in machine.storages]
    assert all(energy > 0 for energy in per_word)
    assert per_word[0] == max(per_word)
    for storage in machine.storages:
        assert (storage.area_m2 == 0) == storage.is_dram
        assert (storage.edram is None) == (storage.technology != "edram")
    assert 0.05e-6 < machine.area_m2 < 50e-6


@pytest.mark.parametrize("name", NAMES)
def test_unconfirmed_parameters_and_constants_are_named(name: str, machines: dict[str, Machine]) -> None:
    text = "\n".join(machines[name].unconfirmed)
    for parameter in load_machine_file(name).parameters.values():
        assert (f"{parameter.name} = " in text) == (not parameter.confirmed)
    assert "vector operation" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_mapping_with_all_loops_in_dram_is_always_allowed(name: str, machines: dict[str, Machine]) -> None:
    """Unit factors satisfy every constraint and unit tiles every capacity, so any problem has a mapping."""
    for node in machines[name].nodes:
        loops = node.spatial if isinstance(node, Fanout) else node.temporal if isinstance(node, Storage) else None
        if loops is None:
            continue
        assert all(bound.relation in ("=", "<=") and bound.value >= 1 for bound in loops.factors.values())
        assert all(bound.value == 1 for bound in loops.factors.values() if bound.relation == "=")
        assert loops.min_parallelism == 0
        if isinstance(node, Storage):
            assert node.capacity_words is None or node.capacity_words >= len(node.keep)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dataspace", ["Weights", "Inputs", "Outputs"])
def test_the_activation_buffer_can_be_the_home_of_any_dataspace(
    name: str, dataspace: str, machines: dict[str, Machine]
) -> None:
    home = machines[name].storages[1].name
    spaces = tuple(Dataspace(each, ((("N", 1),),)) for each in ("Weights", "Inputs", "Outputs"))
    resident = Task(machines[name], Problem(("N",), (1,), spaces), {dataspace: home}).constrained
    keepers = [storage.name for storage in resident.storages if dataspace in storage.keep]
    assert keepers[0] == home
    assert all(dataspace in storage.bypass for storage in resident.storages if storage.name == "dram")
    assert dataspace not in resident.storage(home).bypass


@pytest.mark.parametrize(
    ("name", "macs"), [("camel", 324), ("camel-sram", 144), ("eyeriss", 168), ("eyeriss-16nm", 168)]
)
def test_multiply_accumulates_per_cycle(name: str, macs: int, machines: dict[str, Machine]) -> None:
    assert machines[name].instances("mac") == macs


@pytest.mark.parametrize(
    ("name", "buffer", "banks", "bank_kib"),
    [
        ("camel", "act_edram", 12, 48),
        ("camel", "w_sram", 6, 8),
        ("camel-sram", "act_sram", 6, 48),
        ("camel-sram", "w_sram", 2, 24),
    ],
)
def test_buffers_hold_whole_blocks_of_nine_values(
    name: str, buffer: str, banks: int, bank_kib: int, machines: dict[str, Machine]
) -> None:
    storage = machines[name].storage(buffer)
    blocks = banks * (bank_kib * KIB_BITS // BLOCK_BITS)
    assert storage.capacity_words == blocks * BLOCK_WORDS
    assert storage.bits(BLOCK_WORDS) == BLOCK_BITS
    assert storage.bits(storage.capacity_words) <= banks * bank_kib * KIB_BITS


def test_camel_refresh_is_the_published_one(machines: dict[str, Machine]) -> None:
    refresh = machines["camel"].storage("act_edram").edram
    assert refresh is not None
    rows = 48 * KIB_BITS // BLOCK_BITS
    assert (refresh.banks, refresh.rows_per_array, refresh.row_bits) == (12, 1024, 58)
    assert refresh.arrays_per_bank == math.ceil(rows / 1024)
    assert refresh.retention_s == pytest.approx(3.35e-6)
    assert refresh.retention_s / machines["camel"].cycle_s == pytest.approx(1675)


@pytest.mark.parametrize("name", ["camel", "camel-sram", "eyeriss", "eyeriss-16nm"])
def test_dram_bandwidth_is_one_lpddr4_die(name: str, machines: dict[str, Machine]) -> None:
    dram = machines[name].storages[0]
    bits = dram.row_bits or dram.width_bits
    assert dram.read_bandwidth is not None
    bytes_per_s = dram.read_bandwidth / machines[name].cycle_s * bits / dram.block_words / 8
    assert bytes_per_s == pytest.approx(3200e6 * 32 / 8)
    assert dram.capacity_words is not None
    assert dram.bits(dram.capacity_words) == pytest.approx(4 * 2**30 * 8, rel=1e-6)


def test_a_dot_product_only_reduces(machines: dict[str, Machine]) -> None:
    for name in ("camel", "camel-sram"):
        lane = machines[name].node("lane")
        assert isinstance(lane, Fanout)
        assert (lane.size, lane.spatial.no_iteration_over) == (9, {"Outputs"})


def test_edram_is_denser_than_sram(machines: dict[str, Machine]) -> None:
    edram, sram = machines["camel"].storage("act_edram"), machines["camel-sram"].storage("act_sram")
    assert edram.depth is not None
    assert sram.depth is not None
    assert (sram.area_m2 / sram.depth) / (edram.area_m2 / edram.depth) == pytest.approx(2.0, rel=0.2)


def test_the_sram_baseline_has_about_the_area_of_camel(machines: dict[str, Machine]) -> None:
    """CAMEL calls them equal in area; the model leaves out the special function unit, the converters and wires."""
    assert machines["camel"].area_m2 == pytest.approx(machines["camel-sram"].area_m2, rel=0.1)


@pytest.mark.parametrize(("name", "columns", "rows"), [("camel", 6, 6), ("camel-sram", 4, 4)])
def test_buffers_feed_one_block_per_row_and_column(
    name: str, columns: int, rows: int, machines: dict[str, Machine]
) -> None:
    activations, weights = machines[name].storages[1:3]
    assert weights.read_bandwidth is not None
    assert activations.read_bandwidth is not None
    assert weights.read_bandwidth >= columns * BLOCK_WORDS
    assert activations.read_bandwidth >= rows * BLOCK_WORDS


def test_a_processing_element_holds_one_block_of_weights(machines: dict[str, Machine]) -> None:
    for name in ("camel", "camel-sram"):
        register = machines[name].storage("wreg")
        assert register.capacity_words == BLOCK_WORDS
        assert register.keep == {"Weights"}
        assert register.temporal.no_iteration_over == {"Weights", "Inputs", "Outputs"}


def test_comparisons_share_node_clock_and_temperature(machines: dict[str, Machine]) -> None:
    for name in ("camel-sram", "eyeriss-16nm"):
        assert machines[name].cycle_s == machines["camel"].cycle_s
        assert machines[name].temperature_C == machines["camel"].temperature_C == 100
    assert machines["eyeriss-16nm"].compute.energy_J < machines["eyeriss"].compute.energy_J
    assert machines["eyeriss-16nm"].area_m2 < machines["eyeriss"].area_m2


def test_temperature_argument_changes_retention_and_leakage() -> None:
    hot, cool = load_machine("camel"), load_machine("camel", temperature_C=25)
    assert cool.temperature_C == 25
    warm, cold = hot.storage("act_edram"), cool.storage("act_edram")
    assert warm.edram is not None
    assert cold.edram is not None
    assert cold.edram.retention_s > warm.edram.retention_s
    assert cold.energy.leakage_J_per_cycle < warm.energy.leakage_J_per_cycle


def test_retention_can_be_given_outright() -> None:
    refresh = load_machine("camel", {"edram_retention": "50e-6"}, temperature_C=25).storage("act_edram").edram
    assert refresh is not None
    assert refresh.retention_s == 50e-6


def test_overrides_reach_the_machine() -> None:
    machine = load_machine("camel", {"activation_banks": "6", "clock": "1e9", "technology": "7nm"})
    assert machine.cycle_s == 1e-9
    refresh = machine.storage("act_edram").edram
    assert refresh is not None
    assert refresh.banks == 6


def test_what_a_component_refuses_points_to_the_parameter(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"--set: technology: unknown technology \(got '16 parsecs'\)"):
        load_machine("camel", {"technology": "16 parsecs"})
    path = tmp_path / "mine.yaml"
    path.write_text("extends: camel\nparameters:\n  dram_type: LPDR4\n")
    with pytest.raises(SpecError, match="did you mean 'LPDDR4'") as caught:
        load_machine(str(path))
    assert (caught.value.file, caught.value.line) == (str(path), 3)


def test_a_registered_name_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "camel").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_machine("camel").name == "camel"
    with pytest.raises(SpecError, match="holds no YAML files"):
        load_machine("./camel/")


TIMELOOP = """\
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip, attributes: {technology: "45nm", global_cycle_seconds: 1e-9}}
  - !Component {name: dram, class: DRAM, attributes: {width: 64, datawidth: 8, depth: 1073741824}}
  - !Component {name: buffer, class: SRAM, attributes: {width: 64, datawidth: 8, depth: 1024}}
  - !Component {name: mac, class: intmac, attributes: {width: 8}}
"""


def test_ordinary_timeloop_files_by_path_folder_and_list(tmp_path: Path) -> None:
    path = tmp_path / "arch.yaml"
    path.write_text(TIMELOOP)
    other = tmp_path / "variables.yaml"
    other.write_text("variables: {version: 0.4, global_cycle_seconds: 1e-9}\n")
    for spelling in (str(path), str(tmp_path), f"{path},{other}"):
        assert [storage.name for storage in load_machine(spelling).storages] == ["dram", "buffer"]
    assert yaml.safe_load(load_machine(path).yaml.replace("!Co", "# !Co")) is not None


@pytest.mark.parametrize("arguments", [{"overrides": {"rows": "4"}}, {"temperature_C": 85.0}])
def test_timeloop_files_have_nothing_to_set(tmp_path: Path, arguments: dict[str, object]) -> None:
    path = tmp_path / "arch.yaml"
    path.write_text(TIMELOOP)
    with pytest.raises(SpecError, match=r"has no parameters to set .*make a template"):
        load_machine(str(path), **arguments)  # type: ignore[arg-type]


def test_empty_folder_and_missing_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no YAML files"):
        load_machine(str(tmp_path))
    with pytest.raises(InputError, match="no such file"):
        load_machine(os.fspath(tmp_path / "gone.yaml"))
