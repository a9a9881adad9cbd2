"""Costs of the native model in closed form, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from camel_plugin.engine.native import model as model_module
from camel_plugin.engine.native.model import Model, evaluate
from camel_plugin.engine.native.model_rules import ModelRules
from camel_plugin.errors import InputError
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.machine import Compute, Fanout, Machine, Storage, StorageEnergy
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.task import Task

MATMUL = Problem(
    ("M", "N", "K"),
    (4, 6, 10),
    (
        Dataspace("A", ((("M", 1),), (("K", 1),))),
        Dataspace("B", ((("K", 1),), (("N", 1),))),
        Dataspace("Z", ((("M", 1),), (("N", 1),)), read_write=True),
    ),
)
ALL = frozenset({"A", "B", "Z"})


def storage(name: str, **attributes: object) -> Storage:
    fixed = Storage(
        name, "SRAM", "sram", width_bits=32, datawidth_bits=8, depth=None, energy=StorageEnergy(5.0, 7.0, 11.0, 0.25)
    )
    return replace(fixed, **attributes)  # type: ignore[arg-type]


def machine(**attributes: object) -> Machine:
    """DRAM, an array of 3 by 2 buffers with a MAC each."""
    nodes = (storage("dram"), Fanout("pe", 3, 2), storage("buffer", **attributes), Compute("mac", "mac", energy_J=2.0))
    return Machine("machine", nodes, cycle_s=1e-9)


def mapping(buffer_keeps: frozenset[str] = ALL) -> Mapping:
    """DRAM: M2; array: N3 along X, M2 along Y; buffer: N2, K10."""
    return Mapping(
        (
            NodeMapping("dram", {"M": 2}, ("M",), keep=ALL),
            NodeMapping("pe", {"N": 3, "M": 2}, ("M", "N"), x_dims=frozenset("N")),
            NodeMapping("buffer", {"N": 2, "K": 10}, ("N", "K"), keep=buffer_keeps),
        )
    )


def test_every_access_of_a_matmul() -> None:
    levels = evaluate(Task(machine(), MATMUL), mapping()).levels
    dram, buffer = levels["dram"].tensors, levels["buffer"].tensors
    # A buffer holds a row of A (10), two columns of B (20) and their products (2). A and Z change with each of the
    # two steps outside, B stays. The three columns of buffers share A, the two rows share B.
    assert [buffer[name].utilized_capacity for name in "ABZ"] == [10, 20, 2]
    assert [buffer[name].fills for name in "ABZ"] == [2 * 10, 20, 0]
    assert [buffer[name].reads for name in "ABZ"] == [40, 40, 40 - 4]
    assert [buffer[name].updates for name in "ABZ"] == [0, 0, 40]
    assert [dram[name].reads for name in "ABZ"] == [2 * 2 * 10, 3 * 20, 0]
    assert dram["Z"].updates == 24
    assert [dram[name].fills for name in "ABZ"] == [0, 0, 0]


def test_energy_is_counted_in_whole_blocks_of_all_instances() -> None:
    result = evaluate(Task(machine(), MATMUL), mapping())
    # blocks of 4 words: reads 10 + 10 + 9, fills 5 + 5, updates 10; six buffers
    assert result.levels["buffer"].energy_J == 6 * (29 * 5.0 + 10 * 7.0 + 10 * 11.0)
    assert result.levels["dram"].energy_J == (10 + 15) * 5.0 + 6 * 11.0
    assert result.compute_J == 240 * 2.0
    assert result.cycles == 40
    assert result.levels["buffer"].leakage_J == 0.25 * 40 * 6
    assert result.levels["dram"].leakage_J == 0.25 * 40
    parts = sum(level.energy_J + level.leakage_J for level in result.levels.values())
    assert result.energy_J == pytest.approx(parts + result.compute_J, rel=1e-15)
    assert result.utilization == 240 / (6 * 40)


def test_a_cluster_shares_one_access() -> None:
    alone = evaluate(Task(machine(width_bits=32), MATMUL), mapping()).levels["buffer"]
    ganged = evaluate(Task(machine(width_bits=32 * 3, cluster_size=3), MATMUL), mapping()).levels["buffer"]
    # the block of an instance stays four words; 6 instances make 2 clusters
    assert ganged.energy_J == pytest.approx(alone.energy_J * 2 / 6, rel=1e-15)


@pytest.mark.parametrize(
    ("bandwidth", "cycles"),
    [({"read_bandwidth": 116 / 40}, 40), ({"read_bandwidth": 2.0}, 58), ({"write_bandwidth": 0.5}, 160)],
)
def test_the_slowest_port_sets_the_pace(bandwidth: dict[str, float], cycles: int) -> None:
    # 116 reads, 40 fills and 40 updates in 40 steps
    result = evaluate(Task(machine(**bandwidth), MATMUL), mapping())
    assert result.cycles == cycles
    assert result.levels["buffer"].cycles == cycles
    assert result.bound_by == ("compute" if cycles == 40 else "buffer")
    assert result.levels["dram"].leakage_J == 0.25 * cycles


@pytest.mark.parametrize(("depth", "fits"), [(8, True), (7, False)])
def test_the_tiles_of_all_dataspaces_must_fit(depth: int, fits: bool) -> None:
    batch = MappingBatch.from_mappings(machine(depth=depth), MATMUL, [mapping()])
    assert Model(Task(batch.machine, MATMUL)).evaluate(batch).fits.tolist() == [fits]


def test_a_bypassed_dataspace_takes_no_room_and_no_reuse() -> None:
    result = evaluate(Task(machine(depth=5), MATMUL), mapping(frozenset("B")))
    assert list(result.levels["buffer"].tensors) == ["B"]
    assert result.levels["dram"].tensors["A"].reads == 40 * 2
    assert result.levels["dram"].tensors["Z"].updates == 40 * 6


@pytest.mark.parametrize(
    ("rules", "words", "fills"), [(ModelRules(), 7, 3 * 7), (ModelRules(count_gaps=False), 4, 3 * 4)]
)
def test_words_that_a_stride_skips(rules: ModelRules, words: int, fills: int) -> None:
    """A 1x1 convolution of stride 2: four outputs touch four of seven inputs."""
    problem = Problem(
        ("P", "R"), (12, 1), (Dataspace("I", ((("P", 2), ("R", 1)),)), Dataspace("O", ((("P", 1),),), read_write=True))
    )
    loops = (
        NodeMapping("dram", {"P": 3}, ("P",), keep=frozenset("IO")),
        NodeMapping("pe"),
        NodeMapping("buffer", {"P": 4}, ("P",), keep=frozenset("IO")),
    )
    tensor = evaluate(Task(machine(), problem), Mapping(loops), rules).levels["buffer"].tensors["I"]
    assert (tensor.utilized_capacity, tensor.fills) == (words, fills)


@pytest.mark.parametrize(("forget", "fills"), [(True, 36 + 24 + 36 + 24), (False, 36 + 24 + 32 + 24)])
def test_the_halo_is_forgotten_where_the_direction_changes(forget: bool, fills: int) -> None:
    """Windows of 6 by 6 that advance by 4: P, then Q while P goes back (a corner of 2 by 2 is still there), then P."""
    window = ((("P", 1), ("R", 1)), (("Q", 1), ("S", 1)))
    problem = Problem(
        ("P", "Q", "R", "S"),
        (8, 8, 3, 3),
        (Dataspace("I", window), Dataspace("O", ((("P", 1),), (("Q", 1),)), read_write=True)),
    )
    inside = {"P": 4, "Q": 4, "R": 3, "S": 3}
    loops = (
        NodeMapping("dram", {"P": 2, "Q": 2}, ("Q", "P"), keep=frozenset("IO")),
        NodeMapping("pe"),
        NodeMapping("buffer", inside, tuple(inside), keep=frozenset("IO")),
    )
    tensor = (
        evaluate(Task(machine(), problem), Mapping(loops), ModelRules(forget_halo=forget)).levels["buffer"].tensors["I"]
    )
    assert tensor.fills == fills


def test_macs_pass_a_resident_word_on() -> None:
    """Six MACs use one weight for all ten steps: Timeloop's links spare the buffer all reads but the first."""
    problem = Problem(
        ("P", "Q", "K"),
        (6, 10, 1),
        (Dataspace("W", ((("K", 1),),)), Dataspace("O", ((("P", 1),), (("Q", 1),)), read_write=True)),
    )
    nodes = (storage("buffer"), Fanout("lane", 3, 2), Compute("mac", "mac"))
    loops = (
        NodeMapping("buffer", {"Q": 10}, ("Q",), keep=frozenset("WO")),
        NodeMapping("lane", {"P": 6}, ("P",), x_dims=frozenset("P")),
    )
    lanes = Machine("lanes", nodes, cycle_s=1e-9)
    for rules, reads in ((ModelRules(), 1), (ModelRules(link_transfers=False), 10)):
        result = evaluate(Task(lanes, problem), Mapping(loops), rules)
        assert result.levels["buffer"].tensors["W"].reads == reads


def test_the_mesh_bounds_each_axis() -> None:
    batch = MappingBatch.from_mappings(machine(), MATMUL, [mapping()])
    turned = replace(batch, along_x=~batch.along_x)
    assert Model(Task(batch.machine, MATMUL)).evaluate(turned).fits.tolist() == [False]


def test_a_dataspace_must_be_somewhere() -> None:
    batch = MappingBatch.from_mappings(machine(), MATMUL, [mapping()])
    keep = np.repeat(batch.keep, 3, axis=0)
    keep[1, :, 0] = False
    keep[2, 0, 0] = False
    many = MappingBatch(
        batch.machine,
        MATMUL,
        *(np.repeat(part, 3, axis=0) for part in (batch.factors, batch.order, batch.along_x)),
        keep,
    )
    result = Model(Task(batch.machine, MATMUL)).evaluate(many)
    assert result.fits.tolist() == [True, False, True]


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = MappingBatch.from_mappings(machine(), MATMUL, [mapping(), mapping(frozenset("B"))] * 5)
    whole = Model(Task(batch.machine, MATMUL)).evaluate(batch)
    monkeypatch.setattr(model_module, "CHUNK", 3)
    pieces = Model(Task(batch.machine, MATMUL)).evaluate(batch)
    assert np.array_equal(whole.energy_J, pieces.energy_J)
    assert np.array_equal(whole.reads, pieces.reads)


def test_a_batch_gives_its_mappings_back() -> None:
    batch = MappingBatch.from_mappings(machine(), MATMUL, [mapping(), mapping(frozenset("A"))])
    assert [batch.mapping(0), batch.mapping(1)] == [mapping(), mapping(frozenset("A"))]


@pytest.mark.parametrize(
    ("target", "changes", "message"),
    [
        ("dram", {"target": "dramm"}, "every storage and container"),
        ("dram", {"factors": {"M": 3}}, "factors of M multiply up to 6"),
        ("dram", {"factors": {"M": 2, "O": 1}}, "unknown dimension"),
        ("dram", {"factors": {"M": 2, "N": 0}}, "at least 1"),
        ("dram", {"permutation": ()}, "add M"),
        ("dram", {"permutation": ("M", "M")}, "stands twice"),
        ("buffer", {"keep": frozenset({"A", "W"})}, "unknown dataspace"),
    ],
)
def test_a_wrong_mapping_is_refused(target: str, changes: dict[str, object], message: str) -> None:
    nodes = [replace(node, **changes) if node.target == target else node for node in mapping().nodes]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        evaluate(Task(machine(), MATMUL), Mapping(tuple(nodes)))


def test_a_problem_beyond_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="negative"):
        Model(Task(machine(), Problem(("M",), (4,), (Dataspace("A", ((("M", -1),),)),))))
    with pytest.raises(InputError, match="too large"):
        Model(Task(machine(), Problem(("M", "N"), (2**31, 2**31), (Dataspace("A", ((("M", 1),), (("N", 1),))),))))
