"""Orders of a step: what runs when, what waits, and a replay of memory row by row."""

import itertools
import math
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from schedule_builders import (
    ALL_ORDERS,
    CAMEL_REFRESH,
    CYCLE_S,
    conv,
    mac,
    machine,
    placed_in,
    random_steps,
    step,
    vector,
)
from schedule_replay import unrolled

from camel_plugin.refresh.account import account
from camel_plugin.refresh.lifetime import lifetimes
from camel_plugin.schedule.copies import without_copies
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.order import ORDERS, looped, ordered
from camel_plugin.schedule.partition import _Model, least_costs
from camel_plugin.schedule.plan import plan
from camel_plugin.schedule.timeline import make_timeline
from camel_plugin.spec.liveness import groups
from camel_plugin.spec.refresh import LifetimeRefresh
from camel_plugin.spec.step import MOVES, Pass


def blocks(count=3, runs=4, words=12):
    """Blocks of two operations with a weight each, forward and backward, and the updates."""
    forward, backward, updates, tensors = [], [], [], {"x": ("input", (words,))}
    value = "x"
    for i in range(count):
        tensors |= {f"w{i}": ("weight", (words, words)), f"dw{i}": ("weight_grad", (words, words))}
        tensors |= {f"{name}{i}": ("activation", (words,)) for name in ("a", "b")}
        tensors |= {f"{name}{i}": ("gradient", (words,)) for name in ("da", "db")}
        forward += [
            mac(f"stage.{i}.one", conv(words, words, 1), value, f"w{i}", f"a{i}", repeats=runs),
            vector(f"stage.{i}.two", (f"a{i}", f"w{i}"), (f"b{i}",), 1, repeats=runs),
        ]
        value = f"b{i}"
    gradient = value
    for i in reversed(range(count)):
        source = f"b{i - 1}" if i else "x"
        backward += [
            _back(f"stage.{i}.two", (gradient, f"a{i}", f"w{i}"), (f"da{i}",), runs),
            _back(f"stage.{i}.one", (f"da{i}", source, f"dw{i}"), (f"dw{i}", f"db{i}"), runs),
        ]
        gradient = f"db{i}"
        updates.append(vector(f"sgd{i}", (f"w{i}", f"dw{i}"), (f"w{i}",), 1, Pass.UPDATE, kind="sgd"))
    return step([*forward, *backward, *updates], **tensors)


def _back(partner, reads, writes, runs):
    return vector(f"{partner}:grad", reads, writes, 1, Pass.INPUT_GRAD, repeats=runs, partner=partner)


def names(work):
    return [[work.operations[i].name for i in group.span] for group in groups(work)]


def test_a_micro_batch_runs_through_the_network_unless_told_otherwise():
    assert ordered(blocks(), "network") == blocks()


def test_blocks_are_the_elements_of_the_outermost_list():
    work = ordered(blocks(2), "block")
    assert names(work) == [
        ["stage.0.one", "stage.0.two"],
        # The last block runs forward and backward in one go, and its weight is updated at once.
        ["stage.1.one", "stage.1.two", "stage.1.two:grad", "stage.1.one:grad"],
        ["sgd1"],
        ["stage.0.two:grad", "stage.0.one:grad"],
        ["sgd0"],
    ]


def test_one_stage_is_one_loop():
    assert len(groups(ordered(blocks(), "stage"))) == 2


def test_layer_by_layer_every_operation_is_a_loop():
    work = ordered(blocks(2), "none")
    assert [len(group) for group in names(work)] == [1] * len(work.operations)


def test_what_stands_outside_the_blocks_joins_them():
    ops = [vector(name, ("x",), (f"y{i}",), 1, repeats=2) for i, name in enumerate(("stem", "l.0.a", "l.1.a", "head"))]
    work = step(ops, x=("input", (4,)), **{f"y{i}": ("activation", (4,)) for i in range(4)})
    assert names(ordered(work, "block")) == [["stem", "l.0.a"], ["l.1.a", "head"]]


def test_weights_are_fetched_once_for_a_loop():
    # The weight buffer (9 words to a row) holds one weight of 144 words, 16 rows, but not all three.
    arch = machine(act_depth=400, weight_depth=20)
    traffic = {}
    for order in ("network", "block"):
        placed = plan(arch, ordered(blocks(), order))
        read = Counter()
        for operation, _ in unrolled(placed.step):
            for name in operation.reads:
                if placed.home_levels[name] == "dram" and name.startswith("w"):
                    read[operation.kind in MOVES] += 1
        traffic[order] = read
    # One weight stays all the time; the other two are read by 3 operations in each of 4 runs, and by their update.
    assert traffic["network"] == {False: 2 * (3 * 4 + 1)}
    # Block by block: two loads for the first two (forward, backward), one for the last, and the updates.
    assert traffic["block"][True] == 5 and traffic["block"][False] == 3


def test_borders_wait_in_one_copy_a_micro_batch():
    placed = plan(machine(act_depth=400), ordered(blocks(2, runs=4, words=12), "block"))
    assert placed.ranges["b0"].copies == 4
    block = placed.blocks["b0"]
    assert block.stop - block.start == 4 * 2  # 12 words are 2 rows of 6
    assert placed.ranges["a1"].copies == 1


@settings(max_examples=60, deadline=None)
@given(random_steps(), st.sampled_from(ORDERS), st.integers(1, 60), st.integers(1, 20))
def test_an_order_and_its_copies_can_be_undone(work, order, act, weight):
    undone = without_copies(plan(machine(act, weight), ordered(work, order)).step)
    assert undone.tensors == work.tensors and len(undone.body) == len(work.body)
    assert looped(undone) == looped(work)
    assert sorted(op.name for op in undone.operations) == sorted(op.name for op in work.operations)


class Memory:
    """Rows of all on-chip storages, each with what stands there and since when."""

    def __init__(self, placed):
        self.placed, self.cells, self.stamps = placed, {}, {}
        self.oldest = Counter()
        self.written = set()

    def rows(self, name, run):
        placed = self.placed
        block, level = placed.blocks[name], placed.machine.storage(placed.home_levels[name])
        assert block.start >= 0 and block.stop <= level.depth
        copies = placed.ranges[name].copies
        size = (block.stop - block.start) // copies
        start = block.start + (run * size if copies > 1 else 0)
        assert size * level.block_words >= placed.words[name]
        return [(level.name, row) for row in range(start, start + size)]

    def tag(self, name, run):
        """One value a micro-batch, but for what is accumulated or outlives the step."""
        shared = self.placed.step.tensors[name].kind in ("weight", "weight_grad")
        return name, None if shared else run

    def write(self, name, run, time):
        self.written.add(name)
        for cell in self.rows(name, run):
            self.cells[cell] = self.tag(name, run)
            self.stamps[cell] = time

    def read(self, name, run, time):
        if name not in self.written and self.placed.step.tensors[name].kind == "weight_grad":
            return  # accumulation starts from zero
        for cell in self.rows(name, run):
            assert self.cells.get(cell) == self.tag(name, run), f"{name} was overwritten"
            self.oldest[name] = max(self.oldest[name], time - self.stamps[cell])


def _read_at(operation, name, start, end):
    """Word by word a sum is read and rewritten at once: from one run to the next each word waits equally long."""
    return start if name in operation.writes else end


def replay(placed, cycles):
    """Run the step on a memory that forgets what is overwritten; (memory, words to and from DRAM)."""
    memory, traffic, time = Memory(placed), 0, 0
    homes, tensors = placed.home_levels, placed.step.tensors
    first = {}
    for operation in placed.step.operations:
        for name in operation.reads + operation.writes:
            first.setdefault(name, operation)
    for name, home in homes.items():
        made = name in first[name].writes and name not in first[name].reads
        if home != "dram" and not made and tensors[name].kind == "weight":
            memory.write(name, None, 0)
    for operation, run in unrolled(placed.step):
        start, time = time, time + cycles[operation.name]
        for name in operation.reads:
            if homes[name] == "dram":
                traffic += tensors[name].elements
            else:
                memory.read(name, run, _read_at(operation, name, start, time))
        for name in operation.writes:
            if homes[name] == "dram":
                traffic += tensors[name].elements
            else:
                memory.write(name, run, start)
    return memory, traffic


@settings(max_examples=150, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20))
def test_no_value_is_overwritten_before_its_last_read_and_traffic_equals_a_replay(work, order, act, weight):
    arch = machine(act, weight)
    placed = placed_in(arch, work, order)
    costs = {op.name: operation_cost(placed, op, None) for op in placed.step.operations}
    _, words = replay(placed, {name: cost.cycles for name, cost in costs.items()})
    dram = [(costs[op.name].levels.get("dram"), placed.step.trips(op.name)) for op in placed.step.operations]
    counted = sum((traffic.read_words + traffic.written_words) * runs for traffic, runs in dram if traffic)
    assert counted == words


@settings(max_examples=100, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 9))
def test_lifetimes_equal_a_time_stamp_on_every_row(work, order, act, seed):
    arch = machine(act, 20)
    placed = placed_in(arch, work, order)
    cycles = {op.name: (7 * i + seed) % 11 + 1 for i, op in enumerate(placed.step.operations)}
    memory, _ = replay(placed, cycles)
    found = lifetimes(placed, make_timeline(placed.step, cycles), {})
    exact = [data for data in found if data.level != "dram" and not data.rule.startswith("outlives")]
    assume(exact)
    for data in exact:
        assert data.cycles == memory.oldest[data.tensor], (data.tensor, data.rule)


@settings(max_examples=60, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(5, 40))
def test_rows_are_refreshed_as_their_time_stamps_say(work, order, period):
    """Every stretch of every copy from its write to its last read, refreshed once a retention time."""
    refresh = type(CAMEL_REFRESH)(**{
        **CAMEL_REFRESH.__dict__, "banks": 1, "arrays_per_bank": 1, "rows_per_array": 1000,
        "row_cycles": 0, "row_energy_J": 1e-30, "retention_s": period * CYCLE_S,
    })  # fmt: skip
    arch = machine(1000, 20, refresh)
    placed = placed_in(arch, work, order)
    costs = {op.name: operation_cost(placed, op, None) for op in placed.step.operations}
    result = account(placed, costs, LifetimeRefresh())
    expected = 0
    time, stretches = 0, {}
    here = {name for name, home in placed.home_levels.items() if home == "act"}
    lasting = {name for name in here if name in work.tensors and work.tensors[name].kind == "weight"}
    for operation, run in unrolled(placed.step):
        start, time = time, time + costs[operation.name].cycles
        for name in operation.reads:
            if (name, _run(placed, name, run)) in stretches:
                stretches[name, _run(placed, name, run)][1] = _read_at(operation, name, start, time)
        for name in operation.writes:
            if name in here - lasting:
                expected += _refreshes(placed, name, stretches.pop((name, _run(placed, name, run)), None), period)
                stretches[name, _run(placed, name, run)] = [start, start]
    expected += sum(_refreshes(placed, name, stretch, period) for (name, _), stretch in stretches.items())
    expected += sum(_refreshes(placed, name, (0, time), period) for name in lasting)
    assert result.totals.refresh_count == expected


def _run(placed, name, run):
    return run if placed.ranges[name].copies > 1 else None


def _refreshes(placed, name, stretch, period):
    if stretch is None:
        return 0
    rows = math.ceil(placed.words[name] / 6)
    return rows * ((stretch[1] - stretch[0]) // period)


@pytest.mark.parametrize("order", ALL_ORDERS)
def test_a_step_of_one_micro_batch_has_one_order(order):
    work = blocks(runs=1)
    assert [op.name for op in placed_in(machine(), work, order).step.operations if op.kind not in MOVES] == [
        op.name for op in work.operations
    ]


@settings(max_examples=60, deadline=None)
@given(random_steps(), st.integers(1, 40), st.integers(1, 20))
def test_the_best_cut_beats_every_other_by_its_own_measure(work, act, weight):
    repeated = looped(work)
    if not repeated:
        return
    # No operation has a problem here, so the model may cut nowhere by itself: let it cut between any two operations.
    model = _Model(machine(act, weight), work, repeated, range(len(repeated)))
    costs = [model.costs(first) for first in range(len(repeated))]
    least = min(
        sum(costs[start][stop - start - 1] for start, stop in itertools.pairwise((0, *cuts, len(repeated))))
        for count in range(len(repeated))
        for cuts in itertools.combinations(range(1, len(repeated)), count)
    )
    assert least_costs(costs)[0] == pytest.approx(least)
