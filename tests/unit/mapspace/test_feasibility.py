"""Why a map space is empty, where a permutation and a split are at fault."""

import pytest

from camel_plugin.engine.native import NativeEngine
from camel_plugin.errors import InfeasibleError
from camel_plugin.files.v04.reader import read_architecture
from camel_plugin.mapspace.feasibility import shortfalls
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

PROBLEM = Problem(
    ("C", "M", "P"),
    (8, 8, 6),
    (
        Dataspace("Weights", ((("C", 1),), (("M", 1),))),
        Dataspace("Inputs", ((("C", 1),), (("P", 1),))),
        Dataspace("Outputs", ((("M", 1),), (("P", 1),)), read_write=True),
    ),
    name="product",
)
MACHINE = """
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {width: 64, datawidth: 16}}
  - !Container {name: pe, spatial: {meshX: %d, meshY: %d}, constraints: {spatial: {%s}}}
  - !Component {name: reg, class: regfile, attributes: {width: 16, datawidth: 16, depth: 16}}
  - !Component {name: mac, class: intmac, attributes: {datawidth: 16}}
"""


def task(spatial: str, x: int = 4, y: int = 4) -> Task:
    return Task(read_architecture([("arch.yaml", MACHINE % (x, y, spatial))], PROBLEM).machine, PROBLEM)


@pytest.mark.parametrize(
    ("split", "what", "remedy"),
    [
        # P, of factor 1, stands innermost: P | M C, and P M C |. Timeloop's mapper refuses both: fanout 16 exceeds 4.
        (1, "fanout Y of pe with split: 1", "split: 2; the loops stand in the order P, M, C, innermost"),
        (3, "fanout X of pe with split: 3", "split: 2; the loops stand in the order P, M, C, innermost"),
    ],
)
def test_a_split_that_puts_all_loops_along_one_axis(split, what, remedy):
    empty = task(f"factors_only: [M=4, C=4], permutation: [M, C], split: {split}")
    (reason,) = shortfalls(MapSpace(empty))
    assert (reason.what, reason.demanded, reason.available) == (what, 16, 4)
    assert reason.remedy.startswith(remedy)
    with pytest.raises(InfeasibleError, match=what):
        NativeEngine().map(empty, Objective.EDP, 1.0)


def test_the_split_that_is_named_fits():
    space = MapSpace(task("factors_only: [M=4, C=4], permutation: [M, C], split: 2"))
    assert len(space.spatial(1).factors) == 1
    assert shortfalls(space) == ()


def test_no_split_fits():
    (reason,) = shortfalls(MapSpace(task("factors_only: [M=4, C=4], permutation: [M, C], split: 2", x=8, y=2)))
    assert (reason.what, reason.demanded, reason.available) == ("fanout Y of pe with split: 2", 4, 2)
    assert reason.remedy.startswith("free the factors or change the permutation; ")
