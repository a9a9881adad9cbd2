"""Files as Timeloop's front end processes them: recorded answers (scripts/record_front_end.py) against our reading."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from camel_plugin.files.sources import Reading
from camel_plugin.files.specification import read_specification
from camel_plugin.files.v04 import read_problem
from camel_plugin.files.v04.reader import read_architecture
from camel_plugin.spec.constraint_macros import _filling, spelt_out
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage

FOLDER = Path(__file__).parents[2] / "recorded" / "front-end"
CASES = json.loads((FOLDER / "cases.json").read_text())
ANSWERS = json.loads((FOLDER / "answers.json").read_text())


def sources(name: str) -> tuple[list[Path], Reading]:
    return [FOLDER / file for file in CASES[name]["files"]], Reading(CASES[name]["values"])


def machine(name: str) -> Machine:
    files, reading = sources(name)
    return spelt_out(read_architecture(files, reading=reading).machine, read_problem(files, reading))


def components(name: str) -> list[dict]:
    """Storages and compute units of the recorded tree."""
    return [node for node in ANSWERS[name]["nodes"] if node["kind"] != "Container"]


@pytest.mark.parametrize("name", CASES)
def test_the_problem(name):
    files, reading = sources(name)
    problem, answer = read_problem(files, reading), ANSWERS[name]["problem"]
    values = answer["coefficients"] | answer["instance"]
    assert problem.size == {dimension: answer["instance"][dimension] for dimension in answer["dimensions"]}
    for space, (label, projection, written) in zip(problem.dataspaces, answer["data_spaces"], strict=True):
        ranks = [[(term[0], values[term[1]] if len(term) == 2 else 1) for term in rank] for rank in projection]
        assert (space.name, [list(rank) for rank in space.projection], space.read_write) == (label, ranks, written)


@pytest.mark.parametrize("name", CASES)
def test_nodes_and_meshes(name):
    found = machine(name)
    meshes = {
        node["name"] if node["kind"] == "Container" else f"inter_{node['name']}_spatial": tuple(node["mesh"])
        for node in ANSWERS[name]["nodes"]
        if node["mesh"] != [1, 1]
    }
    assert {node.name: (node.mesh_x, node.mesh_y) for node in found.nodes if isinstance(node, Fanout)} == meshes
    units = [node for node in found.nodes if not isinstance(node, Fanout)]
    assert [(unit.name, unit.class_name) for unit in units] == [(n["name"], n["class"]) for n in components(name)]
    assert [isinstance(unit, Compute) for unit in units] == [n["kind"] == "Compute" for n in components(name)]


@pytest.mark.parametrize("name", CASES)
def test_attributes_and_dataspaces(name):
    found = machine(name)
    every = {space.name for space in read_problem(*sources(name)).dataspaces}
    for node in components(name):
        if node["kind"] != "Storage":
            continue
        storage, attributes = found.storage(node["name"]), node["attributes"]
        for key, value in {"cluster_size": storage.cluster_size, "read_bandwidth": storage.read_bandwidth}.items():
            if key in attributes:
                assert value == attributes[key]
        if "word_bits" not in attributes:
            assert storage.datawidth_bits == attributes["datawidth"]
        if "width" in attributes:
            assert storage.width_bits == attributes["width"]
        if "depth" in attributes:
            assert storage.depth == attributes["depth"]
        assert (storage.keep & every) == set(node["keep"])
        assert {space for space in every if not found.may_keep(storage, space)} == set(node["bypass"])


def heeded(factors: list[str], size: dict[str, int]) -> Iterator[str]:
    """As Timeloop's mapper heeds them: 0 is the whole dimension, and a factor that exceeds it is passed over."""
    for factor in factors:
        dimension, relation, value = re.fullmatch(r"\s*(\w+)\s*(<=|>=|=)\s*(\d+)\s*", factor).groups()
        if relation != "=" or int(value) <= size[dimension]:
            yield f"{dimension}{relation}{int(value) or size[dimension]}"


@pytest.mark.parametrize("name", CASES)
def test_factors_permutations_and_splits(name):
    found = machine(name)
    size = read_problem(*sources(name)).size
    for node in ANSWERS[name]["nodes"]:
        kinds = {"temporal": node["name"], "spatial": f"inter_{node['name']}_spatial"}
        if node["kind"] == "Container":
            kinds = {"spatial": node["name"]}
        for kind, target in kinds.items():
            ours = next((each for each in found.nodes if each.name == target), None)
            if not isinstance(ours, Fanout if kind == "spatial" else Storage):
                continue
            loops, answer = ours.spatial if isinstance(ours, Fanout) else ours.temporal, node[kind]
            factors = {f"{dim}{bound.relation}{bound.value}" for dim, bound in loops.factors.items()}
            assert factors == set(heeded(answer["factors"], size)), target
            assert loops.split == answer["split"], target
            # The front end puts loops of factor 1 innermost; where no split counts them, that changes nothing.
            unit = {f.split("=")[0].strip("<> ") for f in answer["factors"] if re.search(r"=1$", f)}
            unit |= {dimension for dimension, bound in size.items() if bound == 1}
            real = [dimension for dimension in answer["permutation"] if dimension not in unit]
            assert [dimension for dimension in loops.permutation if dimension not in unit] == real, target
            if loops.split is not None:
                assert list(loops.permutation) == answer["permutation"], target


@pytest.mark.parametrize("name", CASES)
def test_what_is_converted_is_read_as_the_same(name, tmp_path):
    files, reading = sources(name)
    path = tmp_path / "one.yaml"
    path.write_text(read_specification(files, reading).text)
    assert not re.search(r"\{\{|<<:|&|\*\w", path.read_text())
    assert read_problem([path]) == read_problem(files, reading)
    assert read_architecture([path]).machine.nodes == read_architecture(files, reading=reading).machine.nodes


def test_sizes_by_timeloops_rules_for_every_name_of_an_attribute():
    """Words of an instance and of an access, by hand from ParseSpecs in Timeloop's buffer.cpp."""
    storages = {storage.name: storage for storage in machine("names").storages}
    words = {name: (storages[name].capacity_words, storages[name].block_words) for name in "abcde"}
    assert words == {"a": (256, 8), "b": (128, 4), "c": (64, 4), "d": (1024, 4), "e": (18, 2)}
    assert storages["back"].is_dram
    bandwidths = [(storages[name].read_bandwidth, storages[name].write_bandwidth) for name in "ab"]
    assert bandwidths == [(8, 8), (2, 3)]


@pytest.mark.parametrize(("sizes", "capacity", "factors"), json.loads((FOLDER / "filling.json").read_text()))
def test_loops_fill_a_mesh_as_in_the_front_end(sizes, capacity, factors):
    assert list(_filling(tuple(sizes), capacity)[0]) == factors
