"""Mappings: read, checked and written."""

import math
from dataclasses import replace

import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from v04_cases import ARCH, MAPPING, PROBLEM, fake_estimate

from camel_plugin import components
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError
from camel_plugin.files.v04 import read_mapping, read_problem, write_mapping
from camel_plugin.spec.machine import Fanout, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping


@pytest.fixture(scope="module")
def problem():
    return read_problem([("p.yaml", PROBLEM)])


@pytest.fixture(scope="module")
def machine():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(components, "estimate", fake_estimate)
        return read_machine([("arch.yaml", ARCH)])


def read(text, machine, problem):
    return read_mapping([("m.yaml", text)], machine, problem, ignore_constraints=True)


def test_orders_omissions_and_forms(machine, problem):
    every = frozenset({"Weights", "Inputs", "Outputs"})
    assert read(MAPPING, machine, problem).nodes == (
        NodeMapping("dram", {"C": 2, "P": 3}, ("C", "P"), keep=every),
        NodeMapping("glb", {"Q": 4}, ("Q",), keep=frozenset({"Inputs", "Outputs"})),
        # split: 2 counts N, which has factor 1 by the machine's constraint, and C
        NodeMapping("pe", {"C": 4, "M": 4}, ("M", "C"), x_dims=frozenset({"C"})),
        NodeMapping("wreg", {"R": 3}, ("R",), keep=frozenset({"Weights"})),
        NodeMapping("oreg", {"P": 2}, ("P",), keep=frozenset({"Outputs"})),
        NodeMapping("inter_mac_spatial", {"M": 2}, ("M",), x_dims=frozenset({"M"})),
    )


def pe_axes(machine, problem, permutation, split, factors="C=4, M=4, R=1"):
    text = MAPPING.replace("factors: [C=4, M=4]", f"factors: [{factors}]")
    text = text.replace("permutation: [C, M], split: 2", f"permutation: {permutation}, split: {split}")
    return read(text, machine, problem).at("pe").x_dims


@pytest.mark.parametrize(
    ("permutation", "split", "x_dims"),
    [
        # every dimension named: nothing is put before them
        ("[C, M, R, N, P, Q]", 1, {"C"}),
        ("[M, C, R, N, P, Q]", 1, {"M"}),
        ("[R, M, C, N, P, Q]", 2, {"M"}),
        # R (factor 1 here) and N (bound 1) are put innermost by Timeloop's front end and count
        ("[C, M]", 3, {"C"}),
        ("[M, C]", 3, {"M"}),
    ],
)
def test_split_counts_the_innermost_dimensions(machine, problem, permutation, split, x_dims):
    assert pe_axes(machine, problem, permutation, split) == x_dims


def test_everything_runs_along_x_where_nothing_says_otherwise(machine, problem):
    text = MAPPING.replace('"M2"', "[C=2], permutation: [M, C]").replace("C=2, M=1", "C=1, M=2")
    assert read(text, machine, problem).at("inter_mac_spatial").x_dims == {"C"}


def test_a_factor_0_is_what_remains(machine, problem):
    text = MAPPING.replace("C=2, M=1", "C=0, M=1")
    assert read(text, machine, problem) == read(MAPPING, machine, problem)


def test_what_the_mapper_prints_is_read(machine, problem):
    """timeloop-mapper.map.yaml names the storages that the front end puts at each fanout, innermost level first."""
    printed = """\
mapping:
  - {target: oreg, type: datatype, keep: [Outputs], bypass: [Weights, Inputs]}
  - {target: inter_pe_spatial, type: datatype, keep: [], bypass: [Weights, Inputs, Outputs]}
  - {target: glb, type: datatype, keep: [Inputs, Outputs], bypass: [Weights]}
  - {target: oreg, type: temporal, factors: C1 M1 R1 N1 P2 Q1, permutation: CMRNPQ}
  - {target: inter_mac_spatial, type: spatial, factors: C1 M2 R1 N1 P1 Q1, permutation: MCRNPQ, split: 1}
  - {target: wreg, type: temporal, factors: C1 M1 R3 N1 P1 Q1, permutation: RCMNPQ}
  - {target: inter_pe_spatial, type: spatial, factors: C4 M4 R1 N1 P1 Q1, permutation: CMRNPQ, split: 1}
  - {target: inter_pe_spatial, type: temporal, factors: C1 M1 R1 N1 P1 Q1, permutation: CMRNPQ}
  - {target: glb, type: temporal, factors: C1 M1 R1 N1 P1 Q4, permutation: CMRNPQ}
  - {target: dram, type: temporal, factors: C2 M1 R1 N1 P3 Q1, permutation: PCMRNQ}
"""
    found = read(printed, machine, problem)
    assert [node.target for node in found.nodes] == ["dram", "glb", "pe", "wreg", "oreg", "inter_mac_spatial"]
    assert found.at("dram") == read(MAPPING, machine, problem).at("dram")
    assert found.at("pe").x_dims == {"C"}
    assert found.at("inter_mac_spatial").factors == {"M": 2}


def test_fixed_factors_of_the_machine_fill_what_is_left_open(problem, monkeypatch):
    monkeypatch.setattr(components, "estimate", fake_estimate)
    text = ARCH.replace(
        "dataspace: {keep: [Weights]}", "dataspace: {keep: [Weights]}\n        temporal: {factors: [R=3]}"
    )
    machine = read_machine([("arch.yaml", text)])
    without = MAPPING.replace('- {target: wreg, type: temporal, factors: "R=3, M=1"}\n', "")
    assert read(without, machine, problem).at("wreg").factors == {"R": 3}


@st.composite
def mappings(draw, machine, problem):
    """A mapping within the fanouts; capacities are left to the reader."""
    rest = dict(problem.size)
    nodes = []
    for node in machine.nodes[:-1]:
        order = draw(st.permutations(problem.dimensions))
        along_x = {name for name in order if draw(st.booleans())}
        room = {True: node.mesh_x, False: node.mesh_y} if isinstance(node, Fanout) else {}
        factors = {}
        for name in order:
            most = room.get(name in along_x, rest[name])
            factor = draw(st.sampled_from([f for f in range(1, rest[name] + 1) if rest[name] % f == 0 and f <= most]))
            rest[name] //= factor
            if room:
                room[name in along_x] //= factor
            if factor > 1:
                factors[name] = factor
        looping = tuple(name for name in order if name in factors)
        if isinstance(node, Storage):
            keep = frozenset(name for name in ("Weights", "Inputs", "Outputs") if draw(st.booleans()))
            keep = frozenset({"Weights", "Inputs", "Outputs"}) if not nodes else keep
            nodes.append([node.name, factors, looping, frozenset(), keep])
        else:
            # the Y loops of a container stand outside its X loops
            looping = tuple(sorted(looping, key=lambda name: name in along_x))
            nodes.append([node.name, factors, looping, frozenset(along_x & set(factors)), frozenset()])
    outermost = nodes[0]
    for name, factor in rest.items():
        if factor > 1:
            outermost[1][name] = outermost[1].get(name, 1) * factor
            if name not in outermost[2]:
                outermost[2] += (name,)
    return Mapping(tuple(NodeMapping(*node) for node in nodes))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_writing_and_reading_gives_the_same_mapping(machine, problem, data):
    mapping = data.draw(mappings(machine, problem))
    text = write_mapping(mapping, machine, problem)
    try:
        again = read(text, machine, problem)
    except SpecError as error:
        assume("the tiles need" not in str(error))
        raise
    assert again == mapping
    for name, bound in problem.size.items():
        assert math.prod(node.factor(name) for node in again.nodes) == bound


@pytest.mark.parametrize(
    ("old", "new", "field", "message"),
    [
        ("C=2, M=1", "C=4, M=1", "mapping[1].factors", "the factors of C multiply to 16, the problem has C = 8"),
        ("[Q=4]", "[Q=2]", "mapping[2].factors", "the factors of Q multiply to 2, the problem has Q = 4"),
        ("C=2, M=1", "C=two, M=1", "mapping[1].factors[0]", "is no factor (got 'C=two')"),
        ("C=2, M=1", "C<=2, M=1", "mapping[1].factors", "a mapping needs exact factors"),
        ("C=2, M=1", "C=2, C=4", "mapping[1].factors[1]", "another factor here already"),
        ("C=2, M=1", "K=2, M=1", "mapping[1].factors[0]", "unknown dimension (got 'K')"),
        ("[P, C, M, R", "[P, C, P, R", "mapping[1].permutation[2]", "stands twice in the permutation"),
        ("target: glb", "target: glbb", "mapping[2].target", "unknown target (got 'glbb'); did you mean 'glb'"),
        ("target: glb, type: t", "type: t", "mapping[2]", "target is missing"),
        ("target: glb, type: temporal", "target: glb", "mapping[2]", "type is missing"),
        ("target: glb, type: temporal", "target: glb, type: spatial", "mapping[2].target", "there is no fanout here"),
        ("type: temporal, factors: [Q", "type: temporl, factors: [Q", "mapping[2].type", "did you mean 'temporal'"),
        ("target: pe, type: spatial", "target: pe, type: temporal", "mapping[3]", "has spatial loops only"),
        ("split: 2", "split: 9", "mapping[3].factors", "the factors need 16 instances along X, pe has 4"),
        ("split: 2", "split: 0", "mapping[3].factors", "the factors need 16 instances along Y, pe has 4"),
        ("split: 2", "split: -1", "mapping[3].split", "must be at least 0"),
        ("split: 2", "spilt: 2", "mapping[3].spilt", "unknown key (got 'spilt'); did you mean 'split'"),
        ('"M2"', '"M4"', "mapping[3].factors", "the factors of M multiply to 16"),
        ("{P: 2}", "{P: 1}", "mapping[1].factors", "the factors of P multiply to 3, the problem has P = 6"),
        ("keep: [Weights, Inputs", "keep: [Weigths, Inputs", "mapping[0].keep[0]", "did you mean 'Weights'"),
        ("bypass: []", "bypass: [Inputs]", "mapping[0]", "is both kept and bypassed"),
        ("bypass: []}", "bypass: []}\n- {target: dram, type: dataspace}", "mapping[1]", "directive in line 2 already"),
        ("keep: [Weights, Inputs, Outputs], bypass: []", "skew: 1", "mapping[0].skew", "unknown key"),
        (
            "{target: glb, type: temporal, factors: [Q=4]",
            "{target: glb, type: temporal, no_reuse: [Inputs]",
            None,
            "no_reuse",
        ),
    ],
)
def test_malformed_mappings(machine, problem, old, new, field, message):
    assert old in MAPPING
    with pytest.raises(SpecError) as error:
        read(MAPPING.replace(old, new, 1), machine, problem)
    assert message in str(error.value)
    assert error.value.file == "m.yaml"
    assert error.value.line is not None
    if field:
        assert error.value.field is not None
        assert error.value.field.startswith(field)


def test_a_tile_that_does_not_fit(machine, problem):
    """oreg holds 16 words; with all of Q and P inside it needs 4 * 6 words of Outputs."""
    text = MAPPING.replace("[Q=4]", "[Q=1]").replace("P=3", "P=1").replace("{P: 2}", "{P: 6, Q: 4}")
    with pytest.raises(SpecError) as error:
        read(text, machine, problem)
    assert "the tiles need 48 words (Outputs 48), oreg holds 16" in str(error.value)
    assert error.value.line == 7


def test_a_dataspace_that_no_level_keeps(machine, problem):
    text = MAPPING.replace(
        "keep: [Weights, Inputs, Outputs], bypass: []", "keep: [], bypass: [Weights, Inputs, Outputs]"
    )
    text += "- {target: wreg, type: dataspace, bypass: [Weights]}\n"
    with pytest.raises(SpecError, match=r"no level keeps this dataspace .got 'Weights'."):
        read(text, machine, problem)


def test_no_mapping(machine, problem):
    with pytest.raises(SpecError, match="no mapping is given"):
        read(PROBLEM, machine, problem)


def test_a_mapping_of_another_machine_is_not_written(machine, problem):
    with pytest.raises(SpecError, match=r"the machine has no such node .got 'drum'.; did you mean 'dram'"):
        write_mapping(Mapping((NodeMapping("drum"),)), machine, problem)


def joined_by_the_front_end(written, machine):
    """The rule by which Timeloop's front end joins a mapping with constraints: what both say must be the same.

    Lists of dimensions and splits must be equal, unless one is absent; factors of a dimension must have equal values,
    whatever their relations.
    """
    for directive in written:
        if directive["type"] == "dataspace":
            continue
        spatial = directive["type"] == "spatial"
        name = directive["target"]
        node = next(
            each
            for each in machine.nodes
            if each.name in (name, f"inter_{name}_spatial") and isinstance(each, Fanout if spatial else Storage)
        )
        loops = node.spatial if spatial else node.temporal
        if loops.permutation and list(loops.permutation) != directive["permutation"]:
            return False
        if spatial and loops.split not in (None, directive["split"]):
            return False
        for factor in directive["factors"]:
            dimension, value = factor.split("=")
            if dimension in loops.factors and loops.factors[dimension].value != int(value):
                return False
    return True


def test_a_mapping_is_written_in_words_that_go_with_the_constraints(machine, problem):
    every = frozenset({"Weights", "Inputs", "Outputs"})
    nodes = (
        NodeMapping("dram", {"C": 8, "P": 3}, ("C", "P"), keep=every),
        NodeMapping("glb", {"Q": 4, "M": 2}, ("M", "Q"), keep=frozenset({"Inputs", "Outputs"})),
        NodeMapping("pe", {"M": 2}, ("M",)),
        NodeMapping("wreg", {"R": 3}, ("R",), keep=frozenset({"Weights"})),
        NodeMapping("oreg", {"P": 2}, ("P",), keep=frozenset({"Outputs"})),
        NodeMapping("inter_mac_spatial", {"M": 2}, ("M",), x_dims=frozenset({"M"})),
    )
    text = write_mapping(Mapping(nodes), machine, problem)
    assert joined_by_the_front_end(yaml.safe_load(text)["mapping"], machine)
    assert not text.startswith("#")
    assert read_mapping([("m", text)], machine, problem) == Mapping(nodes)
    # glb's constraint leaves open what comes outside P and Q; Timeloop takes C before M there
    other = replace(nodes[1], factors={"Q": 4, "M": 2, "C": 2}, permutation=("C", "M", "Q"))
    fewer = replace(nodes[0], factors={"C": 4, "P": 3})
    text = write_mapping(Mapping((fewer, other, *nodes[2:])), machine, problem)
    assert text.startswith("# glb: its order of loops is not all that the machine's constraints say there")
    assert not joined_by_the_front_end(yaml.safe_load(text)["mapping"], machine)
    assert read_mapping([("m", text)], machine, problem) == Mapping((fewer, other, *nodes[2:]))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("keep: [Weights, Inputs, Outputs]", "keep: [Weights, Inputs, Outputs]", "of pe say split 1 of permutation"),
        (
            "{target: glb, type: t",
            "{target: glb, type: dataspace, keep: [Weights]}\n- {target: glb, type: t",
            "bypass We",
        ),
        (
            "{target: glb, type: t",
            "{target: glb, type: dataspace, bypass: [Inputs]}\n- {target: glb, type: t",
            "keep Inp",
        ),
        ("{target: wreg,", "{target: wreg, type: dataspace, keep: [Outputs]}\n- {target: wreg,", "say bypass Outputs"),
        ("factors: [Q=4], permutation: [Q]", "factors: [Q=4, R=3], permutation: [Q]", "say R=1, this mapping has R=3"),
        ("factors: [Q=4], permutation: [Q]", "factors: [Q=4, C=8], permutation: [Q]", "say C<=4, this mapping has C=8"),
        (
            "factors: [Q=4], permutation: [Q]",
            "factors: [Q=2, P=3], permutation: [Q, P]",
            r"permutation \[P, Q\], inner",
        ),
    ],
)
def test_a_mapping_that_contradicts_the_constraints_is_refused(machine, problem, old, new, message):
    fitting = MAPPING.replace("permutation: [C, M], split: 2", "permutation: [N, C, M], split: 2")
    text = MAPPING.replace(old, new)
    if "split" not in message:
        text = fitting.replace(old, new).replace("[C=4, M=4]", "[C=1, M=4]").replace("C=2, M=1, R=1", "C=0, M=1, R=1")
        text = text.replace("R=3, M=1", "R=0, M=1").replace("P=3, Q=1", "P=0, Q=0")
    with pytest.raises(SpecError, match=message) as error:
        read_mapping([("m.yaml", text)], machine, problem)
    assert error.value.file == "m.yaml"
    assert error.value.line
