"""Placed steps of random graphs, run on a memory that counts; and all placements of small ones tried."""

import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_builders import ALL_ORDERS, CAMEL_REFRESH, machine, placed_in, random_steps, step, vector
from schedule_replay import replay

from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.placement import peak_bytes


def dram_words(placed):
    """Words to and from DRAM as the costs of the operations have them."""
    found = 0
    for op in placed.step.operations:
        traffic = operation_cost(placed, op, None).levels.get("dram")
        found += (traffic.read_words + traffic.written_words) * placed.step.trips(op.name) if traffic else 0
    return found


@settings(max_examples=150, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_no_bank_ever_holds_more_than_it_has_and_traffic_is_that_of_the_costs(work, order, act, weight, edram):
    arch = machine(act, weight, CAMEL_REFRESH if edram else None)
    placed = placed_in(arch, work, order)
    seen = replay(placed)
    for name, level in seen.levels.items():
        assert (level.bank_peaks <= level.bank_rows).all() and level.peak <= arch.storage(name).depth
        if name in peak_bytes(placed):
            assert (
                arch.storage(name).bits(level.peak * arch.storage(name).block_words) / 8 <= (peak_bytes(placed)[name])
            )
    assert seen.words == dram_words(placed)


@settings(max_examples=150, deadline=None)
@given(random_steps(runs=(1,)), st.integers(1, 60), st.integers(1, 20))
def test_the_peak_is_that_of_the_replay(work, act, weight):
    placed = placed_in(machine(act, weight), work, "network")
    levels, peaks = replay(placed).levels, peak_bytes(placed)
    assert levels.keys() & peaks.keys()
    for name in levels.keys() & peaks.keys():
        storage = placed.machine.storage(name)
        assert storage.bits(levels[name].peak * storage.block_words) / 8 == peaks[name]


@st.composite
def small_graphs(draw):
    """Up to five values of whole accesses, each made from the one before and from any other."""
    tensors, ops, made = {"x": ("input", (8,))}, [], ["x"]
    for i in range(draw(st.integers(2, 5))):
        tensors[f"v{i}"] = ("activation", (8 * draw(st.integers(2, 4)),))
        ops.append(vector(f"op{i}", tuple(sorted({made[-1], draw(st.sampled_from(made))})), (f"v{i}",), 1))
        made.append(f"v{i}")
    return step(ops, **tensors)


def every_set_of_residents(work):
    """Of each: rows at the fullest moment, written in place where shapes allow and not; words to and from DRAM."""
    uses = {}
    for time, op in enumerate(work.operations):
        for name in op.reads + op.writes:
            uses.setdefault(name, []).append(time)
    values = [name for name in work.tensors if name != "x"]
    for chosen in itertools.product((False, True), repeat=len(values)):
        here = {name for name, stays in zip(values, chosen, strict=True) if stays}
        least, most, words = 0, 0, 0
        for time, op in enumerate(work.operations):
            live = {name: math.ceil(work.tensors[name].elements / 6) for name in here
                    if uses[name][0] <= time <= uses[name][-1]}  # fmt: skip
            most = max(most, taken := sum(live.values()))
            if any(made in live and old in live and uses[old][-1] == time
                   and work.tensors[made].shape == work.tensors[old].shape
                   for made in op.writes for old in op.reads):  # fmt: skip
                taken -= live[op.writes[0]]
            least = max(least, taken)
            words += sum(work.tensors[name].elements for name in (*op.reads, *op.writes) if name not in here)
        yield least, most, words


@settings(max_examples=150, deadline=None)
@given(small_graphs(), st.integers(1, 24))
def test_against_every_set_of_residents(work, depth):
    sets = list(every_set_of_residents(work))
    placed = placed_in(machine(depth, 1), work, "network")
    words, peak = dram_words(placed), replay(placed).levels["act"].peak
    assert any(low <= peak <= high and words == moved for low, high, moved in sets)
    low, high, compulsory = sets[-1]  # all of them
    if high <= depth and not _in_pieces(placed):
        assert low <= peak <= high and words == compulsory


def _in_pieces(placed):
    return any("free rows in a row" in reason for reason in placed.reasons.values())


@pytest.mark.parametrize("refresh", [None, CAMEL_REFRESH])
def test_a_bank_of_one_row_less_is_refused_by_the_replay(refresh):
    # The replay itself must be able to fail: the rows that the plan takes are not there.
    work = step([vector("make", ("x",), ("a",)), vector("use", ("a",), ("b",))],
                x=("input", (60,)), a=("activation", (60,)), b=("activation", (1,)))  # fmt: skip
    placed = placed_in(machine(11, 1, refresh), work, "network")
    replay(placed)
    smaller = replace(placed, machine=machine(9, 1, refresh))
    with pytest.raises(AssertionError, match="lies outside act"):
        replay(smaller)
