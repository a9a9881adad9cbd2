"""Problems: read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from v04_cases import PROBLEM

from camel_plugin.errors import SpecError
from camel_plugin.files.v04 import read_problem, write_problem
from camel_plugin.spec.problem import Dataspace, Problem


def test_a_strided_convolution():
    problem = read_problem([("p.yaml", PROBLEM)])
    assert problem.size == {"C": 8, "M": 8, "R": 3, "N": 1, "P": 6, "Q": 4}
    assert problem.shape == "conv"
    assert problem.dataspace("Inputs").projection == ((("N", 1),), (("C", 1),), (("R", 1), ("P", 2)), (("Q", 1),))
    assert [space.name for space in problem.dataspaces if space.read_write] == ["Outputs"]
    # 3 rows of the kernel over 6 outputs at stride 2 touch 2 * 5 + 3 rows of the input
    assert problem.volume("Inputs") == 8 * (2 * 5 + 3) * 4


def test_bounds_may_be_expressions_of_variables():
    text = "variables: {version: 0.4, SIDE: 4}\n" + PROBLEM.replace("Q: 4", "Q: SIDE ** 2")
    assert read_problem([("p.yaml", text)]).size["Q"] == 16


def test_coefficients_may_be_numbers():
    problem = read_problem([("p.yaml", PROBLEM.replace("[P, Hstride]", "[P, 3]"))])
    assert problem.dataspace("Inputs").projection[2] == (("R", 1), ("P", 3))


@st.composite
def problems(draw):
    dimensions = draw(st.lists(st.sampled_from("CMRSNPQGKXYZ"), min_size=1, max_size=6, unique=True))
    term = st.tuples(st.sampled_from(dimensions), st.integers(1, 4))
    ranks = st.lists(st.lists(term, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple)
    spaces = [Dataspace(name, draw(ranks), name == "Outputs") for name in ("Weights", "Inputs", "Outputs")]
    bounds = [draw(st.integers(1, 512)) for _ in dimensions]
    return Problem(tuple(dimensions), tuple(bounds), tuple(spaces), shape="any")


@given(problems())
def test_writing_and_reading_gives_the_same_problem(problem):
    again = read_problem([("p.yaml", write_problem(problem))])
    assert again == problem
    assert again.shape == problem.shape


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("C: 8, ", "", "C is missing, the shape has this dimension"),
        ("C: 8", "C: 0", "must be at least 1"),
        ("C: 8", "C: 2.5", "must be a whole number"),
        ("C: 8", "C: eight", "nothing is called 'eight'"),
        ("[C, M, R, N", "[C, C, R, N", "this name stands twice"),
        ("[[[C]], [[M]]", "[[[K]], [[M]]", "unknown dimension (got 'K')"),
        ("[P, Hstride]", "[P, Hstrid]", "unknown coefficient (got 'Hstrid'); did you mean 'Hstride'"),
        ("[P, Hstride]", "[P, Hstride, 2]", "a term is [dimension] or [dimension, coefficient]"),
        ("read_write: true", "read_wite: true", "unknown key (got 'read_wite'); did you mean 'read_write'"),
        ("read_write: true", "read_write: maybe", "nothing is called 'maybe'"),
        ("      read_write: true\n", "", "no dataspace is written"),
        ("version: 0.4", "version: 0.5", "only version 0.4"),
        ("Hstride: 2}", "densities: {Inputs: 0.5}}", "sparse tensors are not modelled"),
        (", default: 1}\n    - {name: Hdil", "}\n    - {name: Hdil", None),
        (", default: 1}\n    data", "}\n    data", "the instance gives no value and there is no default"),
        ("name: Weights", "name: Inputs", "this name stands twice"),
        ("    dimensions: [C, M, R, N, P, Q]\n", "", "dimensions is missing"),
    ],
)
def test_malformed_problems(old, new, message):
    assert old in PROBLEM
    if message is None:
        assert read_problem([("p.yaml", PROBLEM.replace(old, new, 1))])
        return
    with pytest.raises(SpecError) as error:
        read_problem([("p.yaml", PROBLEM.replace(old, new, 1))])
    assert message in str(error.value)
    assert str(error.value).startswith("p.yaml:")


def test_no_problem():
    with pytest.raises(SpecError, match="no problem is given"):
        read_problem([("p.yaml", "mapping: []")])


def test_parts_of_a_problem_in_several_files_are_one_problem_unless_they_contradict():
    both = read_problem([("p.yaml", PROBLEM), ("q.yaml", PROBLEM), ("r.yaml", "problem: {instance: {C: 8}}")])
    assert both == read_problem([("p.yaml", PROBLEM)])
    with pytest.raises(SpecError, match=r"q.yaml:1: problem.instance.C: this is given differently in p.yaml:\d+"):
        read_problem([("p.yaml", PROBLEM), ("q.yaml", "problem: {instance: {C: 9}}")])
