import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_nests import nests
from schedule_builders import conv, machine, mapping

from camel_plugin.engine.native.tile_times import tile_stays


def tile_of(problem, found, level, dataspace):
    """The row of one dataspace in one level."""
    rows = tile_stays(machine(), problem, found)
    (row,) = (row for row in rows if (row.level, row.dataspace) == (level, dataspace))
    return row


def walk(problem, found, level, dataspace):
    """Replay the nest step by step: the coordinates in the tile of ``level`` at each step, all instances together."""
    names = [node.target for node in found.nodes]
    position = names.index(level)
    loops = [(names.index(n.target), d, n.factors[d], n.target == "pe") for n in found.nodes for d in n.permutation]
    temporal = [loop for loop in loops if not loop[3]]
    space = problem.dataspace(dataspace)

    def coordinates(indices):
        return tuple(sum(c * indices[d] for d, c in rank) for rank in space.projection)

    def value(choice):
        """Index of every dimension from the index of every loop, most significant loop first."""
        indices = dict.fromkeys(problem.dimensions, 0)
        for (_, dimension, factor, _), index in zip(loops, choice, strict=True):
            indices[dimension] = indices[dimension] * factor + index
        return indices

    inside = [i for i, loop in enumerate(loops) if loop[0] >= position or loop[3]]
    tiles = []
    for step in itertools.product(*(range(loop[2]) for loop in temporal)):
        at = iter(step)
        fixed = [0 if loop[3] else next(at) for loop in loops]
        corner = [range(loops[i][2]) if i in inside else (fixed[i],) for i in range(len(loops))]
        tiles.append(frozenset(coordinates(value(choice)) for choice in itertools.product(*corner)))
    return tiles


def stays(tiles):
    """Datum -> list of (first step, one past the last step) of uninterrupted presence."""
    result = {}
    for time, tile in enumerate(tiles):
        for datum in tile:
            runs = result.setdefault(datum, [])
            if runs and runs[-1][1] == time:
                runs[-1] = (runs[-1][0], time + 1)
            else:
                runs.append((time, time + 1))
    return result


def temporal_steps(found):
    return math.prod(n.factors[d] for n in found.nodes if n.target != "pe" for d in n.permutation)


@settings(max_examples=60, deadline=None)
@given(nests(), st.sampled_from([("act", "Inputs"), ("wbuf", "Weights")]))
def test_no_operand_stays_longer_than_said(nest, where):
    problem, found = nest
    time = tile_of(problem, found, *where)
    tiles = walk(problem, found, *where)
    said = time.stays * temporal_steps(found)
    longest = max(end - start for runs in stays(tiles).values() for start, end in runs)
    assert time.unrestored == time.stays
    assert time.words >= len(tiles[0])
    if where == ("wbuf", "Weights"):
        assert longest == pytest.approx(said)  # nothing slides: exact
    else:
        assert max(_written_stays(tiles)) <= said + 1e-9


def _written_stays(tiles):
    """Stays between two writes: a tile that changes direction fetches everything anew, halo included (as Timeloop)."""
    stays_, since, previous_move = [], {}, None
    last = tiles[0]
    since = dict.fromkeys(last, 0)
    for time, tile in enumerate(tiles[1:], 1):
        if tile == last:
            continue
        move = tuple(a - b for a, b in zip(min(tile), min(last), strict=True))
        kept = tile & last if previous_move in (None, move) else frozenset()
        stays_ += [time - start for datum, start in since.items() if datum not in kept]
        since = {datum: since[datum] if datum in kept else time for datum in tile}
        previous_move, last = (move if previous_move in (None, move) else None), tile
    return stays_ + [len(tiles) - start for start in since.values()]


@settings(max_examples=60, deadline=None)
@given(nests())
def test_a_partial_sum_waits_for_one_sweep_at_most(nest):
    problem, found = nest
    time = tile_of(problem, found, "act", "Outputs")
    at_act = walk(problem, found, "act", "Outputs")
    in_child = stays(walk(problem, found, "oreg", "Outputs"))
    steps = temporal_steps(found)
    said = time.unrestored * steps
    longest = 0
    for datum, runs in stays(at_act).items():
        for start, end in runs:
            visits = [(a, b) for a, b in in_child[datum] if start <= a < end]
            waits = [visits[0][0] - start, end - visits[-1][1]]
            waits += [after - before for (_, before), (after, _) in itertools.pairwise(visits)]
            longest = max(longest, *waits)
    assert longest <= said + 1e-9


def test_one_sweep_exactly():
    # C (reduction) runs outside P and Q at act: every output is rewritten C times; between two visits it waits
    # for one sweep of 16 steps, not for the whole operation of 64.
    problem = conv(4, 1, 4)
    found = mapping({"act": [("C", 4), ("P", 4), ("Q", 4)]})
    time = tile_of(problem, found, "act", "Outputs")
    assert time.stays == 1 and time.unrestored == pytest.approx(16 / 64)


def test_a_reduction_inside_the_registers_does_not_restore():
    problem = conv(4, 1, 4)
    found = mapping({"act": [("P", 4), ("Q", 4), ("C", 4)]})
    assert tile_of(problem, found, "act", "Outputs").unrestored == 1
    # Without registers every step writes: after its last visit the first output waits 64 - 3 steps.
    bare = mapping({"act": [("P", 4), ("Q", 4), ("C", 4)]}, oreg_keeps=False)
    assert tile_of(problem, bare, "act", "Outputs").unrestored == pytest.approx(61 / 64)


def test_a_tile_stays_while_the_loops_outside_do_not_move_it():
    # M does not index the inputs: their tile stays for all of M, 1 of 4 iterations of C.
    problem = conv(4, 4, 2)
    found = mapping({"dram": [("C", 4), ("M", 4)], "act": [("P", 2), ("Q", 2)]})
    assert tile_of(problem, found, "act", "Inputs").stays == pytest.approx(1 / 4)
    assert tile_of(problem, found, "act", "Outputs").stays == pytest.approx(1 / 16)


def test_a_row_stays_for_as_many_steps_as_the_window_is_high():
    # 3x3 kernel, one output row at a time: an input row is used in 3 steps of 8.
    problem = conv(1, 1, 8, r=3)
    found = mapping({"dram": [("P", 8)], "act": [("Q", 8), ("R", 3), ("S", 3)]})
    time = tile_of(problem, found, "act", "Inputs")
    assert time.stays == pytest.approx(3 / 8)
    assert time.words == 3 * 10


def test_spatial_loops_take_no_time_but_count_instances():
    problem = conv(1, 8, 4)
    found = mapping({"act": [("P", 4), ("Q", 4)], "pe": [("M", 8)]})
    time = tile_of(problem, found, "oreg", "Outputs")
    assert (time.words, time.instances) == (1, 8)
    assert time.stays == pytest.approx(1 / 16)
