"""Which files are meant, how they become one specification, and what older files are called."""

import re
from pathlib import Path

import pytest
from v04_cases import ARCH, MAPPING, PROBLEM

from camel_plugin.errors import SpecError
from camel_plugin.files.sources import Reading, expand, is_file_name
from camel_plugin.files.specification import is_specification, read_specification
from camel_plugin.files.v04 import read_mapping, read_problem
from camel_plugin.files.v04.reader import read_architecture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "components").mkdir()
    for name in ("b.yaml", "a.yaml", "notes.txt", "components/c.yml"):
        (tmp_path / name).write_text("variables: {}\n")
    return tmp_path


def names(paths: list[Path], folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in paths]


def test_files_folders_patterns_and_lists(folder):
    assert names(expand(str(folder)), folder) == ["a.yaml", "b.yaml", "components/c.yml"]
    assert names(expand(f"{folder}/*.yaml"), folder) == ["a.yaml", "b.yaml"]
    assert names(expand(f"{folder}/b.yaml,{folder}/components/*.yml"), folder) == ["b.yaml", "components/c.yml"]
    assert names(expand(f"{folder}/*.yaml,{folder}/a.yaml"), folder) == ["a.yaml", "b.yaml"]
    assert names(expand(f"{folder}/notes.txt"), folder) == ["notes.txt"]
    with pytest.raises(SpecError, match=r"gone.yaml: no such file"):
        expand(f"{folder}/gone.yaml")
    (folder / "empty").mkdir()
    with pytest.raises(SpecError, match="holds no YAML files"):
        expand(f"{folder}/empty")


def test_what_a_name_is(folder):
    assert is_file_name(str(folder))
    assert is_file_name("gone.yaml")
    assert is_file_name("top.yaml.jinja2")
    assert is_file_name("parts/*")
    assert not is_file_name("camel")
    for key in (
        "architecture",
        "compound_components",
        "architecture_constraints",
        "problem_base_ignore",
        "arch",
        "ERT",
    ):
        assert is_specification({key})
    assert not is_specification({"extends", "parameters", "template"})


def test_a_file_given_twice_is_read_once(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(ARCH)
    spec = read_specification([path, str(path), ("p", PROBLEM)])
    assert len(spec.architecture) == len(read_specification([path]).architecture)


def test_keys_with_ignore_in_them_count_nowhere():
    text = PROBLEM.replace("  version: 0.4\n", "  version: 0.4\n  some_ignored_thing: [1]\n")
    assert read_problem([("p", f"base_ignore: {{x: 1}}\nto_ignore: 3\n{text}")]) == read_problem([("p", PROBLEM)])


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("variables: {a: 1}", "variables: {a: 2}", "b:1: variables.a: this is given differently in a:1 (got 2)"),
        ("variables: {a: 1}", "variables: {a: 0}", "b:1: variables.a: this is given differently in a:1 (got 0)"),
        ("variables: {a: false}", "variables: {a: 1}", "b:1: variables.a: this is given differently in a:1 (got 1)"),
        (
            "mapper: {timeout: 1}",
            "mapper: {timeout: 2}",
            "b:1: mapper.timeout: this is given differently in a:1 (got 2)",
        ),
        ("architecture: {nodes: []}", "architcture: {}", "b:1: architcture: unknown section"),
    ],
)
def test_sections_that_contradict_each_other(one, other, message):
    with pytest.raises(SpecError) as error:
        read_specification([("a", one), ("b", other)])
    assert message in str(error.value)


def test_what_is_given_empty_gives_way():
    spec = read_specification([("a", "variables: {a: , b: 1}"), ("b", "variables: {a: 2, b: }")])
    assert spec.variables == {"a": 2, "b": 1}


def test_written_text_keeps_expressions_and_marks_of_jinja():
    variables = 'variables:\n  a: max(1, 2)\n  b: |\n    max(a,\n    3)\n  c: "{{ a }}"\n'
    text = read_specification([("a", "{% raw %}" + variables + "{% endraw %}")]).text
    assert read_specification([("again", text)]).variables == {"a": 2, "b": 3, "c": "{{ a }}"}


OLD_PROBLEM = "problem: {version: 0.3, shape: cnn-layer, R: 3, S: 1, P: 4, Q: 5, C: 2, K: 6, N: 1, Wstride: 2}"


def test_problems_of_older_versions():
    """Sizes beside the shape, a shape by its name, hyphens: as Timeloop's workload.cpp has it."""
    problem = read_problem([("p", OLD_PROBLEM)])
    assert problem.size == {"R": 3, "S": 1, "P": 4, "Q": 5, "C": 2, "K": 6, "N": 1}
    assert [space.name for space in problem.dataspaces] == ["Weights", "Inputs", "Outputs"]
    # (2 - 1) * ... : 2 * (4 - 1) + 3 rows and 5 + 1 - 1 columns of 2 channels
    assert problem.volume("Inputs") == 2 * (2 * 3 + 3) * 5
    assert read_problem([("p", OLD_PROBLEM.replace("shape: cnn-layer, ", ""))]) == problem
    gemm = read_problem([("p", "problem: {shape: gemm-ABZ, instance: {M: 2, N: 3, K: 4}}")])
    assert (gemm.size, gemm.dataspaces[2].read_write) == ({"M": 2, "N": 3, "K": 4}, True)
    hyphens = (
        "problem: {version: 0.2, M: 2, shape: {dimensions: [M], data-spaces: [{name: Z, projection: [[[M]]], %s}]}}"
    )
    assert read_problem([("p", hyphens % "read-write: true")]).dataspaces[0].read_write
    beside = hyphens.replace("version: 0.2, M: 2,", "instance: {M: 2},")
    assert read_problem([("p", beside % "read-write: 'True'")]).dataspaces[0].read_write
    assert "-" not in read_specification([("p", beside % "read-write: true")]).text.replace("- ", "")
    with pytest.raises(SpecError, match=r"Timeloop ships no such shape \(got 'cnn-lair'\); did you mean 'cnn_layer'"):
        read_problem([("p", OLD_PROBLEM.replace("layer", "lair"))])


OLD_ARCHITECTURE = """
architecture:
  version: 0.3
  subtree:
  - name: system
    local:
    - {name: back, class: DRAM, attributes: {width: 64, block-size: 8, word-bits: 8, type: LPDDR4}}
    subtree:
    - name: chip
      attributes: {technology: 45nm}
      local:
      - {name: glb, class: SRAM, attributes: {memory_depth: 128, memory_width: 32}}
      - {name: "row[0..3]", class: regfile, attributes: {depth: 4, width: 16, datawidth: 8, meshX: 4}}
      subtree:
      - name: PE[0..11]
        local:
        - {name: mac, class: intmac, attributes: {datawidth: 8, meshX: 4}}
        - {name: reg, class: regfile, attributes: {depth: 4, width: 8, datawidth: 8, meshX: 4}}
architecture_constraints:
  targets:
  - {target: glb, type: bypass, bypass: [Weights]}
  - {target: glb, type: spatial, factors: R=1 S=1, permutation: "R S", split: 7}
  - {target: row, type: spatial, permutation: SRC, split: 0}
  - {target: reg, type: spatial, factors: C=1}
"""
TODAYS = """
architecture:
  version: 0.4
  nodes:
  - !Component {name: back, class: DRAM, attributes: {width: 64, datawidth: 8}}
  - !Container {name: chip, attributes: {technology: "45nm"}}
  - !Component {name: glb, class: SRAM, attributes: {depth: 128, width: 32, datawidth: 16}}
  - !Container {name: below_glb, spatial: {meshX: 4}}
  - !Component {name: row, class: regfile, attributes: {depth: 4, width: 16, datawidth: 8}}
  - !Container {name: below_row, spatial: {meshY: 3}}
  - !Component {name: reg, class: regfile, attributes: {depth: 4, width: 8, datawidth: 8}}
  - !Component {name: mac, class: intmac, attributes: {datawidth: 8}}
constraints:
  targets:
  - {target: glb, type: dataspace, bypass: [Weights]}
  - {target: below_glb, type: spatial, factors: [R=1, S=1], permutation: [R, S], split: 7}
  - {target: below_row, type: spatial, permutation: [S, R, C], split: 0}
"""


def test_architectures_of_v03_are_the_nodes_that_timeloop_makes_of_them():
    """By hand from Topology::ParseTreeSpecs: instances multiply, X is whole if not said, words have 16 bits."""
    old = read_architecture([("old", OLD_ARCHITECTURE)]).machine
    assert old.nodes == read_architecture([("new", TODAYS)]).machine.nodes
    again = read_specification([("old", OLD_ARCHITECTURE)]).text
    glb = again.partition("name: glb")[2].partition("name:")[0]
    assert {"depth: 128", "width: 32", "datawidth: 16"} <= set(re.split(r"[{},\n]\s*", glb))
    assert read_architecture([("again", again)]).machine.nodes == old.nodes
    assert old.technology == "45 nm"


def test_a_mapping_of_v03_names_the_storage_outside_a_fanout():
    problem = read_problem([("p", OLD_PROBLEM.replace("Wstride: 2", "Wstride: 1"))])
    machine = read_architecture([("old", OLD_ARCHITECTURE)]).machine
    text = """
mapping:
- {target: glb, type: spatial, factors: P=4, permutation: P}
- {target: row, type: spatial, factors: S=1 R=3 C=1, permutation: SRC, split: 0}
- {target: back, type: temporal, factors: K=6 C=2 Q=5, permutation: QCK}
"""
    mapping = read_mapping([("m", text)], machine, problem)
    assert (mapping.at("below_glb").factors, mapping.at("below_row").factors) == ({"P": 4}, {"R": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch: {storage: []}", "an architecture of Timeloop v0.1, only v0.2 to v0.4 are read"),
        (OLD_ARCHITECTURE.replace("PE[0..11]", "PE[0..9]"), "are no multiple of"),
        (OLD_ARCHITECTURE.replace("PE[0..11]", "PE[0..]"), "is no name with a range"),
        (OLD_ARCHITECTURE.replace("class: SRAM, ", ""), "class is missing"),
    ],
)
def test_older_architectures_that_are_refused(text, message):
    with pytest.raises(SpecError, match=message):
        read_architecture([("a", text)])


def test_sparse_files_are_refused_or_read_as_dense():
    sparse = ARCH.replace("    subclass: edram\n", "    subclass: edram\n    sparse_optimizations: {target: x}\n")
    sparse_problem = PROBLEM.replace("Hstride: 2}", "Hstride: 2, densities: {Inputs: 0.5}}")
    for text in (sparse, f"{ARCH}\nsparse_optimizations: {{targets: [{{name: glb}}]}}\n"):
        with pytest.raises(SpecError, match="sparse optimizations are not modelled; --dense leaves them out"):
            read_architecture([("a", text)])
        machine = read_architecture([("a", text)], reading=Reading(dense=True)).machine
        assert machine.nodes == read_architecture([("a", ARCH)]).machine.nodes
        assert "sparse optimizations and densities in its files are left out" in machine.unconfirmed
    with pytest.raises(SpecError, match="sparse tensors are not modelled; --dense"):
        read_problem([("p", sparse_problem)])
    assert read_problem([("p", sparse_problem)], Reading(dense=True)) == read_problem([("p", PROBLEM)])


def test_everything_in_one_file_is_what_it_was(tmp_path):
    spec = read_specification([("a", ARCH), ("p", PROBLEM), ("m", MAPPING)])
    again = read_specification([("one", spec.text)])
    assert again.text == spec.text
    assert {key: node.plain() for key, node in again.sections.items()} == {
        key: node.plain() for key, node in spec.sections.items()
    }
