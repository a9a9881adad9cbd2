"""Malformed architectures: refused with file, line and field, whatever the mistake."""

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from v04_cases import ARCH, MAPPING, PROBLEM, fake_estimate

from camel_plugin import components
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import InputError, SpecError
from camel_plugin.files.v04 import read_mapping, read_problem

GLB = "architecture.nodes[3]"
PE = "architecture.nodes[4]"
PEERS = "architecture.nodes[5]"
MISTAKES = [
    # old, new, field, message
    ("version: 0.4", "version: 0.3", "architecture.version", "only version 0.4"),
    (
        "  nodes:\n  - !Container\n    name: system",
        "  node:\n  - !Container\n    name: system",
        "architecture.node",
        "'nodes'",
    ),
    (
        "architecture:",
        "architectur:",
        "architectur",
        "unknown section (got 'architectur'); did you mean 'architecture'",
    ),
    (
        "!Container\n    name: pe",
        "!Contaner\n    name: pe",
        PE,
        "unknown tag (got '!Contaner'); did you mean 'Container'",
    ),
    ("- !Container\n    name: pe", "-\n    name: pe", PE, "a node needs a tag"),
    ("name: glb\n", "nam: glb\n", GLB + ".nam", "unknown key (got 'nam'); did you mean 'name'"),
    ("    name: glb\n", "", GLB, "name is missing"),
    ("name: wreg", "name: glb", PEERS + ".nodes[0].name", "this name is taken (got 'glb')"),
    ("name: wreg", "name: [wreg]", PEERS + ".nodes[0].name", "must be a name"),
    ("class: storage\n", "class: stroage\n", GLB + ".class", "Timeloop knows no such class"),
    ("class: storage\n", "class: edram\n", GLB + ".class", "use class: storage, subclass: edram"),
    ("class: storage\n", "class: eDRAM\n", GLB + ".class", "Timeloop takes this class for DRAM"),
    ("class: storage\n", "class: XY_NoC\n", GLB + ".class", "networks are not modelled"),
    ("subclass: edram", "subclas: edram", GLB + ".subclas", "did you mean 'subclass'"),
    ("subclass: edram", "subclass: edrum", GLB + ".subclass", "neither a compound class"),
    ("depth: 1024 * 4", "depth: -4", GLB + ".attributes.depth", "must be at least 0 (got -4)"),
    ("depth: 1024 * 4", "depth: 1.5", GLB + ".attributes.depth", "must be a whole number"),
    ("depth: 1024 * 4", "depth: large", GLB + ".attributes.depth", "nothing is called 'large'"),
    ("depth: 1024 * 4", 'depth: "large"', GLB + ".attributes.depth", "must be a number"),
    ("depth: 1024 * 4", "dpeth: 1024 * 4", GLB + ".attributes.dpeth", "did you mean 'depth'"),
    ("      depth: 1024 * 4\n", "", GLB + ".attributes", "depth is missing"),
    ("depth: 1024 * 4", "depth: 1024 * 4\n      depth: 3", GLB + ".attributes.depth", "duplicate key"),
    ("depth: 1024 * 4", "depth: 4\n      sizeKB: 3", GLB + ".attributes.sizeKB", "gives the size again"),
    ("width: word * 8", "width: word * 8 + 1", GLB + ".attributes.width", "width must be a multiple of datawidth = 8"),
    ("width: word * 8", "width: wrod * 8", GLB + ".attributes.width", "did you mean 'word'"),
    ("width: word * 8", "width: word /", GLB + ".attributes.width", "put strings in double quotes"),
    ("datawidth: word", "data_width: word", GLB + ".attributes.data_width", "did you mean 'datawidth'"),
    ("read_bandwidth: 16", "read_bandwidth: 0", GLB + ".attributes.read_bandwidth", "must be above 0"),
    ("read_bandwidth: 16", "read_bandwith: 16", GLB + ".attributes.read_bandwith", "did you mean 'read_bandwidth'"),
    ("read_bandwidth: 16", "shared_bandwidth: 16", GLB + ".attributes.shared_bandwidth", "is not modelled"),
    ("read_bandwidth: 16", "multiple_buffering: 2", GLB + ".attributes.multiple_buffering", "is not modelled"),
    ("row_bits: 70", "row_bits: none", GLB + ".attributes.row_bits", "nothing is called 'none'"),
    ("row_bits: 70", "cluster_size: 3", GLB + ".attributes.cluster_size", "the meshes make 1 instances"),
    ("width: 64, datawidth: 8}", "width: 64}", "architecture.nodes[1].attributes", "datawidth is missing"),
    ("keep: [Inputs, Outputs]", "keep: [Inptus]", GLB + ".constraints.dataspace.keep[0]", "did you mean 'Inputs'"),
    ("bypass: [Weights]", "bypass: [Inputs]", GLB + ".constraints.dataspace", "is both kept and bypassed"),
    ("bypass: [Weights]", "bypas: [Weights]", GLB + ".constraints.dataspace.bypas", "did you mean 'bypass'"),
    ("bypass: [Weights]", "no_coalesce: [Weights]", GLB + ".constraints.dataspace.no_coalesce", "is not modelled"),
    ("C<=4]", "C<4]", GLB + ".constraints.temporal.factors[1]", "is no factor (got 'C<4')"),
    ("C<=4]", "R=2]", GLB + ".constraints.temporal.factors[1]", "another factor here already"),
    ("permutation: [P, Q]", "permutation: [P, P]", GLB + ".constraints.temporal.permutation[1]", "stands twice"),
    ("permutation: [P, Q]", "permutaton: [P, Q]", GLB + ".constraints.temporal.permutaton", "'permutation'"),
    ("temporal: {permutation", "temporl: {permutation", GLB + ".constraints.temporl", "did you mean 'temporal'"),
    (
        "permutation: [C, M], split: 1, factors: [N=1]}",
        "no_reuse: []}\n      temporal: {factors: [N=1]}",
        PE + ".constraints",
        "spatial constraints only",
    ),
    ("temporal: {permutation", "spatial: {permutation", GLB + ".constraints.spatial", "move them to the container"),
    ("split: 1", "split: one", PE + ".constraints.spatial.split", "nothing is called 'one'"),
    ("split: 1", "remainders: 2", PE + ".constraints.spatial.remainders", "imperfect factors are not modelled"),
    ("split: 1", "no_link_transfer: [Inputs]", PE + ".constraints.spatial.no_link_transfer", "is not modelled"),
    ("meshX: 4", "meshX: 0", PE + ".spatial.meshX", "must be at least 1"),
    ("meshX: 4", "meshX: attributes.word", PE + ".spatial.meshX", "nothing is called 'word'"),
    ("meshX: 4", "meshX: vector_lines", PE + ".spatial.meshX", "did you mean 'vector_lanes'"),
    ("meshX: 4", "meshx: 4", PE + ".spatial.meshx", "did you mean 'meshX'"),
    ("glb.attributes.datawidth", "gbl.attributes.datawidth", PE + ".spatial.meshY", "did you mean 'glb'"),
    (
        "keep: [Outputs]}\n    - !N",
        "keep: [Weights]}\n    - !N",
        PEERS + ".nodes[1]",
        "a peer keeps this dataspace already",
    ),
    (
        "- !Component\n      name: oreg",
        "- !Container\n      name: oreg",
        PEERS + ".nodes[1]",
        "cannot stand in !Parallel",
    ),
    ("class: intmac", "class: dram_nothing", "architecture.nodes[6]", "the last node must be a compute unit"),
    ("class: DRAM", "class: intmac", "architecture.nodes[1].name", "only the last node can be a compute unit"),
    ("vector_lanes: 16", "vector_lanes: 0", "architecture.nodes[2].attributes.vector_lanes", "must be at least 1"),
    ("technology:", "sparse_optimizations: {a: 1}\n    networks: [1]\n    x:\n      t:", None, "unknown key"),
    (
        "    class: intmac",
        "    sparse_optimizations: {a: 1}\n    class: intmac",
        "architecture.nodes[6].sparse",
        "sparse",
    ),
    (
        "    class: intmac",
        "    energy_scale: -1\n    class: intmac",
        "architecture.nodes[6].energy_scale",
        "must be at least 0",
    ),
    (
        "    class: intmac",
        "    enabled: 3.5\n    class: intmac",
        "architecture.nodes[6].enabled",
        "must be true or false",
    ),
]


@pytest.fixture(autouse=True, scope="module")
def _fake_components():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "estimate", fake_estimate)
        yield


@pytest.mark.parametrize(("old", "new", "field", "message"), MISTAKES, ids=lambda value: repr(value)[:40])
def test_a_mistake_is_found_where_it_stands(old, new, field, message):
    assert ARCH.count(old) >= 1
    start = ARCH.index(old)
    text = ARCH[:start] + new + ARCH[start + len(old) :]
    with pytest.raises(SpecError) as error:
        read_machine([("arch.yaml", text)])
    assert message in str(error.value)
    assert error.value.file == "arch.yaml"
    first = ARCH[:start].count("\n") + 1
    changed = range(first - 12, first + new.count("\n") + 2)
    assert error.value.line in changed
    if field is not None:
        assert error.value.field is not None
        assert error.value.field.startswith(field)
        if field.rsplit(".", 1)[-1].split("[")[0] in new:  # the offending key is in the text: its very line is named
            assert error.value.line in range(first, first + new.count("\n") + 1)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("architecture_constraints: {targets: [{type: temporal}]}", "target is missing"),
        ("architecture_constraints: {targets: [{target: glb}]}", "type is missing"),
        ("architecture_constraints: {targets: [{target: gbl, type: temporal}]}", "unknown target (got 'gbl'); did you"),
        ("constraints: {targets: [{target: glb, type: temporl}]}", "unknown type of constraint (got 'temporl')"),
        ("constraints: {targets: [{target: glb, type: dataspace, keep: [Weights]}]}", "is both kept and bypassed"),
        ("constraints: {targets: [{target: glb, type: temporal, factors: R=2}]}", "bounds R differently"),
        ("constraints: {targets: [{target: pe, type: spatial, split: 2}]}", "gives a different split"),
        ("constraints: {targets: [{target: glb, type: temporal, no_reuse: [Inputs]}]}", "is not modelled"),
        ("constraints: {targets: [{target: pe, type: spatial, no_reuse: [Inputs]}]}", "is not modelled"),
        ("variables: {version: 0.4, a: b}", "nothing is called 'b'"),
        ("variables: {version: 0.5}", "only version 0.4"),
        ("sparse_optimizations: {targets: [{name: glb}]}", "sparse optimizations are not modelled"),
        ("components: {classes: [{subcomponents: []}]}", "name is missing"),
    ],
)
def test_mistakes_outside_the_architecture(extra, message):
    with pytest.raises(SpecError) as error:
        read_machine([("arch.yaml", ARCH), ("extra.yaml", extra)])
    assert message in str(error.value)
    assert str(error.value).startswith("extra.yaml:1: ")


def test_a_branch_for_every_dataspace_of_the_problem():
    text = ARCH.replace("    - !Nothing {constraints: {dataspace: {keep: [Inputs]}}}\n", "")
    assert read_machine([("arch.yaml", text)])
    with pytest.raises(SpecError, match=r"no branch keeps some dataspaces .got \['Inputs'\]"):
        read_machine([("arch.yaml", text), ("problem.yaml", PROBLEM)])


def test_names_are_those_of_the_problem_where_there_is_one():
    with pytest.raises(SpecError, match="unknown dimension"):
        read_machine([("arch.yaml", ARCH), ("p.yaml", PROBLEM.replace("C", "K"))])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("ERT: {tables: [{name: dram, actions: [{name: read, energy: -1}]}]}", "must be at least 0"),
        ("ERT: {tables: [{name: dram, actions: [{name: read}]}]}", "energy is missing"),
        (
            "ERT: {tables: [{name: dram, actions: [{name: raed, energy: 1}]}]}",
            "has no read action; did you mean 'raed'",
        ),
        ("ERT: {tables: [{name: mac, actions: []}]}", "has no compute action"),
        ("ERT: {tables: [{name: a.mac, actions: []}, {name: 'b.mac[1..2]', actions: []}]}", "twice"),
        ("ERT: {table: []}", "did you mean 'tables'"),
        ("tables: []", "unknown key"),
        ("", "ERT is missing"),
    ],
)
def test_malformed_energy_tables(tmp_path, table, message):
    (tmp_path / "ERT.yaml").write_text(table)
    with pytest.raises(SpecError) as error:
        read_machine([("arch.yaml", ARCH)], ert=tmp_path / "ERT.yaml", fill_ert=True)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'ERT.yaml'}:1: ")


def test_no_architecture():
    for sources, message in (
        ([], "no file is given"),
        ([("p.yaml", PROBLEM)], "no architecture is given"),
        ([("e.yaml", "")], "holds no specification"),
        ([("e.yaml", "- 1")], "holds no specification"),
        ([("a.yaml", "architecture: {nodes: []}")], "the last node must be a compute unit"),
        ([("a.yaml", "architecture: {nodes: [!Component {name: m, class: intmac}]}")], "there is no storage"),
    ):
        with pytest.raises(SpecError, match=message):
            read_machine(sources)


TEXT = ARCH + PROBLEM + MAPPING
TOKENS = re.findall(r"[A-Za-z_]\w*|\d+|[^\s\w]", TEXT)
SPANS = [match.span() for match in re.finditer(r"[A-Za-z_]\w*|[-\d.e]+|[^\s\w]|\n", TEXT)]
EXTRA = ["-1", "0", "1e999", "[]", "{}", "~", "''", "true", "9" * 30, "a.b", "x[1..2]", "&a", "*a", "!Component", "\n"]


def read_everything(text):
    sources = [("all.yaml", text)]
    problem = read_problem(sources)
    read_mapping(sources, read_machine(sources), problem, ignore_constraints=True)


def test_the_text_that_is_mutated_is_right():
    read_everything(TEXT)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutations_are_read_or_refused(data):
    """Words deleted, doubled or replaced: any outcome but an unforeseen exception."""
    text = TEXT
    for first, last in sorted(data.draw(st.lists(st.sampled_from(SPANS), min_size=1, max_size=3)), reverse=True):
        text = text[:first] + data.draw(st.sampled_from([*TOKENS, *EXTRA, ""])) + text[last:]
    with contextlib.suppress(InputError):
        read_everything(text)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_missing_lines_are_read_or_refused(data):
    lines = TEXT.splitlines(keepends=True)
    for index in sorted(data.draw(st.sets(st.integers(0, len(lines) - 1), min_size=1, max_size=4)), reverse=True):
        del lines[index]
    with contextlib.suppress(InputError):
        read_everything("".join(lines))
