from dataclasses import replace

import pytest
from schedule_builders import CAMEL_REFRESH, conv, mac, machine, mapping, plain, step, training_step, vector

from camel_plugin.engine.native.tile_times import tile_stays
from camel_plugin.refresh.lifetime import Rule, lifetimes
from camel_plugin.schedule.residency import place
from camel_plugin.schedule.timeline import make_timeline
from camel_plugin.spec.step import Pass


def edram(refresh, **sizes):
    return machine(edram=refresh, **sizes)


@pytest.fixture
def refresh():
    return CAMEL_REFRESH


def at_home(found, homes):
    """The mapping with each dataspace that has a home kept there alone among the buffers."""
    buffers = ("dram", "act", "wbuf")
    keep = {
        node.target: {space for space in node.keep if space not in homes or node.target not in buffers}
        | {space for space, home in homes.items() if home == node.target}
        for node in found.nodes
    }
    return replace(found, nodes=tuple(replace(node, keep=frozenset(keep[node.target])) for node in found.nodes))


def analyse(arch, work, cycles, mappings=None):
    plan, mappings = place(arch, work), mappings or {}
    tiles = {
        op.name: tile_stays(arch, op.problem, at_home(mappings.get(op.name, plain(op.problem)), plan.operand_homes(op)))
        for op in work.operations
        if op.problem
    }
    found = lifetimes(plan, make_timeline(work, cycles), tiles)
    resident = {data.tensor: data for data in found if not data.staged}
    staged = {(data.operation, data.tensor): data for data in found if data.staged}
    return resident, staged


def hundred(work):
    return {op.name: 100 for op in work.operations}


def test_from_the_write_to_the_last_read(refresh):
    resident, _ = analyse(edram(refresh), training_step(), hundred(training_step()))
    # a: written from the start of conv1 (0), last read by relu (100..200); b: relu (100) .. relu:ig (600..700).
    assert (resident["a"].cycles, resident["a"].rule) == (200, Rule.SWEEP)
    assert (resident["b"].cycles, resident["b"].rule) == (600, Rule.PRODUCER)
    assert [span.times for span in resident["a"].spans] == [4]


def test_weights_live_for_a_step(refresh):
    resident, _ = analyse(edram(refresh), training_step(), hundred(training_step()))
    assert (resident["w1"].cycles, resident["w1"].rule) == (4 * 800 + 200, Rule.STEP)


def test_an_accumulated_gradient_is_restored_once_a_micro_batch(refresh):
    resident, _ = analyse(edram(refresh), training_step(), hundred(training_step()))
    # conv1:wg starts at 700 and finishes its first gradient after 35 of the 36 pixels of the first of 4 output
    # channels, 24 cycles later. dw1 then waits 3 times from one micro-batch to the next (800 cycles), and from the
    # last micro-batch (2400 + 724) to the end of sgd1 (3300).
    data = resident["dw1"]
    assert data.rule is Rule.MICRO_BATCH
    assert [(span.written, span.cycles, span.times) for span in data.spans] == [(724, 800, 3), (3124, 176, 1)]


def test_a_write_restores():
    # s is written by "first", read and rewritten by "again", read by "last".
    work = step(
        [
            vector("first", ("x",), ("s",)),
            vector("pause", ("x",), ("t",)),
            vector("again", ("s", "t"), ("s",)),
            vector("last", ("s",), ("u",)),
        ],
        x=("input", (4,)),
        **dict.fromkeys("stu", ("activation", (4,))),
    )
    resident, _ = analyse(machine(), work, {"first": 10, "pause": 50, "again": 10, "last": 5})
    assert [(span.written, span.cycles) for span in resident["s"].spans] == [(0, 70), (60, 15)]
    assert resident["s"].cycles == 70


def test_a_value_that_nobody_reads_has_no_lifetime():
    work = step([vector("make", ("x",), ("y",))], x=("input", (4,)), y=("activation", (4,)))
    assert analyse(machine(), work, {"make": 10})[0]["y"].cycles == 0


def test_the_last_sweep_of_the_producer_counts_not_all_of_them(refresh):
    # With the reduction loop outermost all outputs are rewritten 4 times; final values appear in the last quarter.
    problem = conv(4, 4, 6)
    work = step(
        [mac("make", problem, "x", "w", "a"), vector("use", ("a",), ("b",))],
        x=("input", (4, 6, 6)),
        w=("weight", (4, 4)),
        **dict.fromkeys("ab", ("activation", (4, 6, 6))),
    )
    outer = {"make": mapping({"act": [("C", 4), ("M", 4), ("P", 6), ("Q", 6)]})}
    resident, _ = analyse(edram(refresh), work, {"make": 400, "use": 50}, outer)
    assert resident["a"].cycles == 100 + 50


def test_tiles_on_their_way_to_dram(refresh):
    # Nothing rests in 2 rows. One row of P at a time: the tile of inputs stays for 1/6 of the operation.
    work = training_step()
    problem = conv(4, 4, 6)
    tiled = mapping({"dram": [("P", 6)], "act": [("Q", 6), ("M", 4), ("C", 4)]})
    mappings = {op.name: tiled for op in work.operations if op.problem}
    assert work.operations[0].problem == problem
    resident, staged = analyse(
        edram(refresh, act_depth=2, weight_depth=1), work, hundred(work) | {"conv1": 600}, mappings
    )
    tile = staged["conv1", "x"]
    assert (tile.cycles, tile.rule, tile.words, tile.instances) == (100, Rule.TILE, 4 * 6, 1)
    # Six tiles one after the other in each of four runs.
    assert [(span.written, span.times) for span in tile.spans] == [(0, 24)]
    assert staged["conv1", "a"].rule is Rule.PARTIAL_SUM
    assert ("conv1", "w1") not in staged  # weights pass through the SRAM
    assert resident["a"].level == "dram"


def test_camel_rule_longest_of_forward_and_backward(refresh):
    # A reversible pair: the forward value dies at once, its reconstruction is a value of its own.
    shape = ("activation", (4, 6, 6))
    work = step(
        [
            vector("f", ("x",), ("y",)),
            vector("next", ("y",), ("z",)),
            vector("rest", ("z",), ("dz",)),
            vector("inverse", ("z",), ("y_again",), pass_=Pass.RECONSTRUCT),
            vector("grad", ("y_again", "dz"), ("dy",), pass_=Pass.INPUT_GRAD),
        ],
        x=("input", (4, 6, 6)),
        **dict.fromkeys(("y", "z", "dz", "y_again", "dy"), shape),
    )
    cycles = {"f": 10, "next": 30, "rest": 500, "inverse": 20, "grad": 40}
    resident, _ = analyse(edram(refresh), work, cycles)
    assert (resident["y"].cycles, resident["y_again"].cycles) == (40, 60)
