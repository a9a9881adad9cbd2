import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_builders import CAMEL_REFRESH, CYCLE_S, conv, mac, machine, plain, step, training_step, vector
from schedule_replay import timed_runs

from camel_plugin.engine.native.tile_times import tile_stays
from camel_plugin.errors import InfeasibleError
from camel_plugin.plugins import load, registered
from camel_plugin.refresh.account import account
from camel_plugin.result import LevelTraffic, OperationCost
from camel_plugin.schedule.cost import leakage_W
from camel_plugin.schedule.residency import place
from camel_plugin.spec.machine import EdramCells
from camel_plugin.spec.step import Pass

POLICIES = ("none", "lifetime", "occupied", "conventional")

# 12 banks of 6 arrays of 1024 rows of 64 bits: exactly CAMEL's 12 x 48 KB.
CAMEL_48KB = replace(CAMEL_REFRESH, arrays_per_bank=6, row_bits=64, row_energy_J=64 * 20.3e-15)


def cost(cycles, **port_cycles):
    """An operation of ``cycles`` cycles that keeps some levels busy."""
    levels = {level: LevelTraffic(10, 10, 1e-12, busy) for level, busy in port_cycles.items()}
    dynamic = {level: traffic.energy_J for level, traffic in levels.items() if level != "dram"}
    return OperationCost(cycles, cycles * CYCLE_S, "compute", 0.5, 7, 2e-12, dynamic, 3e-12, 0.0, 5, 6, levels)


def run(policy, arch, work, cycles, busy=0.0):
    """Account with every MAC mapping as plain as possible; ``cycles``: operation -> cycles."""
    tiles = {op.name: tile_stays(arch, op.problem, plain(op.problem)) for op in work.operations if op.problem}
    costs = {
        name: replace(
            cost(time, act=busy * time), tiles=tiles.get(name, ()), leakage_J=leakage_W(arch) * time * CYCLE_S
        )
        for name, time in cycles.items()
    }
    return account(place(arch, work), costs, load("refresh", policy)())


def resident_pair(shape=(4, 6, 6)):
    """One tensor, written by "make" and read by "use"."""
    return step(
        [vector("make", ("x",), ("a",)), vector("use", ("a",), ("b",))],
        x=("input", shape),
        a=("activation", shape),
        b=("activation", (1,)),
    )


def test_the_policies_are_registered():
    assert set(POLICIES) <= set(registered("refresh"))


def test_camel_s_refresh_power():
    # FACTS: 4.7 Mb x 20.3 fJ/bit = 96 nJ a pass, 29 mW at one pass in 3.35 us; 1024 of 1675 cycles leave 39 %.
    result = run("conventional", machine(edram=CAMEL_48KB), resident_pair(), {"make": 1675, "use": 1675 * 9})
    assert result.totals.refresh_J / 10 == pytest.approx(96e-9, rel=0.01)
    assert result.totals.refresh_J / result.totals.latency_s == pytest.approx(29e-3, rel=0.02)
    assert result.totals.refresh_count == pytest.approx(10 * 12 * 6 * 1024)


def test_refresh_leaves_39_percent_of_the_bandwidth():
    arch = machine(edram=CAMEL_REFRESH)
    half = run("conventional", arch, resident_pair(), {"make": 1000, "use": 1000}, busy=0.5)
    assert half.operations[0].totals.cycles == math.ceil(500 / (1 - 1024 / 1675)) == 1287
    assert (half.operations[0].refresh.stall_cycles, half.operations[0].bound_by) == (287, "act")
    idle = run("conventional", arch, resident_pair(), {"make": 1000, "use": 1000}, busy=0.38)
    assert (idle.operations[0].refresh.stall_cycles, idle.operations[0].bound_by) == (0, "compute")


@pytest.mark.parametrize(("policy", "rows"), [("lifetime", 0.25), ("occupied", 1), ("conventional", 1), ("none", 0)])
def test_only_rows_under_refresh_take_time(policy, rows):
    # A quarter of the buffer lives for 2 x 1675 cycles; its ports are busy for 90 % of the time.
    arch = machine(edram=CAMEL_REFRESH)
    result = run(policy, arch, resident_pair((49152 // 4,)), {"make": 1675, "use": 1675}, busy=0.9)
    assert result.operations[0].totals.cycles == max(1675, math.ceil(0.9 * 1675 / (1 - rows * 1024 / 1675)))


def test_data_that_die_young_keep_nobody_waiting():
    arch = machine(edram=CAMEL_REFRESH)
    result = run("lifetime", arch, resident_pair((49152 // 2,)), {"make": 800, "use": 800}, busy=1.0)
    assert result.totals.refresh_count == 0 and all(op.refresh.stall_cycles == 0 for op in result.operations)


def test_stalls_make_everything_longer_that_follows_time():
    arch = machine(edram=CAMEL_REFRESH)
    stalled = run("conventional", arch, resident_pair(), {"make": 1000, "use": 1000}, busy=0.5)
    assert stalled.totals.latency_s == pytest.approx(2 * 1287 * CYCLE_S)
    assert stalled.operations[0].totals.leakage_J == pytest.approx(leakage_W(arch) * 1287 * CYCLE_S)
    assert stalled.operations[0].utilization == pytest.approx(0.5 * 1000 / 1287)
    assert {t.name: t.lifetime_s for t in stalled.tensors}["a"] == pytest.approx(2 * 1287 * CYCLE_S)


def test_refresh_that_takes_all_the_time_is_refused():
    tight = replace(CAMEL_REFRESH, retention_s=1024 * CYCLE_S)
    arch = machine(edram=tight)
    with pytest.raises(InfeasibleError, match="1024 cycles demanded, 1024 available"):
        run("conventional", arch, resident_pair(), {"make": 10, "use": 10})
    # Data that die young need none: the other policies live with such a memory.
    assert run("lifetime", arch, resident_pair(), {"make": 10, "use": 10}).totals.refresh_count == 0


@pytest.mark.parametrize(("total", "refreshes"), [(1674, 0), (1675, 1), (1676, 1), (3349, 1), (3350, 2)])
def test_refreshes_at_the_boundary(total, refreshes):
    # 144 words of 8 bits in 24 of 8192 accesses, i.e. ceil(144 * 86016 / 49152) = 252 of the 86016 rows.
    result = run("lifetime", machine(edram=CAMEL_REFRESH), resident_pair(), {"make": 100, "use": total - 100})
    assert {t.name: t.refreshes for t in result.tensors}["a"] == refreshes
    assert result.totals.refresh_count == refreshes * 252
    assert result.totals.refresh_J == pytest.approx(refreshes * 252 * CAMEL_REFRESH.row_energy_J)


def test_table_v_of_camel():
    # Lifetimes of 2.66 to 3.10 us: no refresh; 3.40 to 4.13 us: one (FACTS 1).
    for lifetime_s, refreshes in ((2.66e-6, 0), (3.10e-6, 0), (3.40e-6, 1), (4.13e-6, 1)):
        cycles = round(lifetime_s / CYCLE_S)
        result = run("lifetime", machine(edram=CAMEL_REFRESH), resident_pair(), {"make": 1, "use": cycles - 1})
        assert {t.name: t.refreshes for t in result.tensors}["a"] == refreshes


def test_refreshes_fall_into_the_operations_during_which_they_happen():
    work = step(
        [vector("make", ("x",), ("a",)), vector("pause", ("x",), ("c",)), vector("use", ("a",), ("b",))],
        x=("input", (4, 6, 6)),
        a=("activation", (4, 6, 6)),
        b=("activation", (1,)),
        c=("activation", (1,)),
    )
    result = run("lifetime", machine(edram=CAMEL_REFRESH), work, {"make": 100, "pause": 4000, "use": 1000})
    # Written at 0, read until 5100: refreshed at 1675 and 3350 during the pause, at 5025 during use.
    # c (3 rows of the 2 accesses that it fills) is not read again.
    assert [op.totals.refresh_count for op in result.operations] == [0, 2 * 252, 252]


def test_only_occupied_banks():
    # 144 words: 252 of 7168 rows of a bank. One bank of twelve is refreshed.
    cycles = {"make": 1675, "use": 1675}
    result = run("occupied", machine(edram=CAMEL_REFRESH), resident_pair(), cycles)
    assert result.totals.refresh_count == pytest.approx(2 * 7168)


def test_a_second_bank_when_the_first_is_full():
    # 8192 rows in 12 banks are 683 a bank, of 6 words each; the first one keeps the result of "use".
    for words, banks in ((682 * 6, 1), (682 * 6 + 1, 2)):
        result = run("occupied", machine(edram=CAMEL_REFRESH), resident_pair((words,)), {"make": 1675, "use": 1})
        assert result.operations[0].totals.refresh_count == pytest.approx(banks * 7168, rel=1e-9)


def test_nothing_to_refresh_in_sram():
    for policy in POLICIES:
        result = run(policy, machine(), training_step(), dict.fromkeys(_names(), 10_000), busy=0.9)
        assert result.totals.refresh_count == result.totals.refresh_J == 0
        assert all(
            op.refresh.stall_cycles == 0 and op.refresh.corrupted_share == 0 and not op.lifetimes
            for op in result.operations
        )


def test_cells_that_hold_for_ever_need_none():
    for policy in POLICIES:
        arch = machine(edram=replace(CAMEL_REFRESH, retention_s=math.inf, retention_median_s=math.inf))
        result = run(policy, arch, training_step(), dict.fromkeys(_names(), 10_000), busy=0.9)
        assert result.totals.refresh_count == 0 and all(op.refresh.stall_cycles == 0 for op in result.operations)


def test_without_refresh_old_bits_are_lost():
    # All data are a median retention time old: half of the bits are gone.
    arch = machine(edram=replace(CAMEL_REFRESH, retention_median_s=400 * CYCLE_S))
    result = run("none", arch, resident_pair(), {"make": 100, "use": 300})
    use = result.operations[1]
    assert result.totals.refresh_count == 0
    assert use.refresh.corrupted_share == pytest.approx(0.5)
    assert [(data.tensor, data.corrupted_share) for data in use.lifetimes] == [("a", pytest.approx(0.5)), ("b", 0.0)]
    assert run("lifetime", arch, resident_pair(), {"make": 100, "use": 300}).operations[1].refresh.corrupted_share == 0


def test_a_step_is_the_sum_of_its_operations():
    result = run("lifetime", machine(edram=CAMEL_REFRESH), training_step(), dict.fromkeys(_names(), 1000), busy=0.5)
    conv1 = result.operations[0]
    assert conv1.repeats == 4 and conv1.totals.macs == 4 * 7
    assert conv1.totals.dram_bytes == 4 * (5 + 6) and conv1.cost.levels["act"].read_words == 10
    assert conv1.totals.compute_J == pytest.approx(4 * 2e-12) and conv1.totals.dram_J == pytest.approx(4 * 3e-12)
    parts = sum(
        op.repeats * (2e-12 + 3e-12 + sum(op.cost.dynamic_J.values()))
        + leakage_W(machine(edram=CAMEL_REFRESH)) * op.totals.latency_s
        + sum(op.refresh.energy_J.values())
        for op in result.operations
    )
    assert result.totals.energy_J == pytest.approx(parts)
    assert result.totals.latency_s == pytest.approx(sum(op.totals.cycles for op in result.operations) * CYCLE_S)


def test_tensors_name_their_maker_and_last_user():
    result = run("lifetime", machine(edram=CAMEL_REFRESH), training_step(), dict.fromkeys(_names(), 10))
    tensors = {tensor.name: tensor for tensor in result.tensors}
    assert (tensors["b"].produced_by, tensors["b"].last_used_by, tensors["b"].home) == ("relu", "relu:ig", "act")
    assert (tensors["x"].produced_by, tensors["w1"].produced_by) == (None, None)
    assert tensors["b"].bytes == 144


def _names():
    return [op.name for op in training_step().operations]


@st.composite
def situations(draw):
    """A step, a machine on which some of it fits, and durations around the retention time."""
    work = training_step(draw(st.integers(1, 12)), draw(st.integers(1, 8)), draw(st.sampled_from([1, 3])))
    cycles = {op.name: draw(st.integers(1, 3000)) for op in work.operations}
    refresh = EdramCells(
        banks=draw(st.integers(1, 6)),
        arrays_per_bank=draw(st.integers(1, 4)),
        rows_per_array=draw(st.integers(1, 200)),
        row_bits=48,
        row_energy_J=1e-12,
        row_cycles=1,
        retention_s=draw(st.integers(201, 4000)) * CYCLE_S,
        retention_median_s=1e-5,
        retention_sigma_ln=0.35,
    )
    return work, cycles, refresh, draw(st.integers(1, 400)), draw(st.floats(0, 1))


@settings(max_examples=60, deadline=None)
@given(situations())
def test_each_policy_refreshes_no_more_than_the_next(situation):
    work, cycles, refresh, depth, busy = situation
    results = [run(name, machine(depth, edram=refresh), work, cycles, busy) for name in POLICIES]
    for better, worse in itertools.pairwise(results):
        assert better.totals.refresh_count <= worse.totals.refresh_count * (1 + 1e-9)
        assert better.totals.refresh_J <= worse.totals.refresh_J * (1 + 1e-9)
        assert better.totals.latency_s <= worse.totals.latency_s * (1 + 1e-9)
    assert results[0].totals.refresh_count == 0


@settings(max_examples=100, deadline=None)
@given(situations(), st.floats(0.5, 1), st.sampled_from(POLICIES))
def test_shorter_retention_never_saves_refresh(situation, shorter, policy):
    work, cycles, refresh, depth, busy = situation
    hot = replace(refresh, retention_s=max(201 * CYCLE_S, refresh.retention_s * shorter))
    cold_result = run(policy, machine(depth, edram=refresh), work, cycles, busy)
    hot_result = run(policy, machine(depth, edram=hot), work, cycles, busy)
    assert hot_result.totals.refresh_J >= cold_result.totals.refresh_J * (1 - 1e-9)


@settings(max_examples=30, deadline=None)
@given(situations(), st.integers(201, 300))
def test_every_live_row_is_refreshed_once_a_period(situation, period):
    """Replay: a clock ticks every retention time, and each tick refreshes what must be refreshed at that moment.

    The clock may stand anywhere when the step begins: the count is the mean over all its phases.
    """
    work, cycles, refresh, depth, _ = situation
    refresh = replace(refresh, retention_s=period * CYCLE_S)
    arch = machine(depth, edram=refresh)
    plan = place(arch, work)
    all_rows = refresh.banks * refresh.arrays_per_bank * refresh.rows_per_array
    bank_size = math.ceil(depth / refresh.banks)

    def occupied_rows(op):
        """Row by row: the banks of all residents, then tiles in their free rows, then further banks."""
        homed = [name for name, home in plan.home_levels.items() if home == "act"]
        held = set()
        for name in homed:
            if plan.step.index[op.name] in plan.ranges[name]:
                held |= set(range(plan.blocks[name].start, plan.blocks[name].stop))
        tiles = {} if op.problem is None else {d: n for d, n in op.roles.items() if n not in homed and d != "Weights"}
        begun = {row // bank_size for row in held}
        room = sum(1 for bank in begun for row in range(bank * bank_size, (bank + 1) * bank_size) if row not in held)
        staged = math.ceil(sum(op.problem.volume(d) for d in tiles) / 6)
        more = math.ceil(max(0, staged - room) / bank_size)
        return min(refresh.banks, len(begun) + more) * refresh.arrays_per_bank * refresh.rows_per_array

    ticks, time = dict.fromkeys(cycles, 0), 0
    for name, start, end in timed_runs(work, cycles):
        time = end
        ticks[name] += sum(end // period - start // period for start, end in _phases(start, end, period))
    assert time == sum(cycles[op.name] * work.trips(op.name) for op in work.operations)

    conventional = run("conventional", arch, work, cycles)
    assert conventional.totals.refresh_count == pytest.approx(all_rows * sum(ticks.values()) / period)
    occupied = run("occupied", arch, work, cycles)
    for op, counted in zip(work.operations, occupied.operations, strict=True):
        assert counted.totals.refresh_count == pytest.approx(occupied_rows(op) * ticks[op.name] / period)


def _phases(start, end, period):
    return ((start + phase, end + phase) for phase in range(period))


def test_tiles_that_wait_too_long_are_refreshed():
    # The input streams from DRAM through two rows of the buffer, all of it in one tile.
    work = step(
        [mac("conv", conv(1, 1, 3), "x", "w", "y", Pass.FORWARD)],
        x=("input", (1, 3, 3)),
        w=("weight", (1, 1)),
        y=("activation", (1, 3, 3)),
    )
    result = run("lifetime", machine(edram=CAMEL_REFRESH), work, {"conv": 3400})
    data = {entry.tensor: entry for entry in result.operations[0].lifetimes}
    assert data["x"].refreshes == 2 and data["x"].rule == "residency of the tile"
    # 9 words are 16 rows (86016 rows for 49152 words); y is not read again.
    assert result.totals.refresh_count == 2 * math.ceil(9 * 86016 / 49152)


@pytest.mark.parametrize(("cycles", "refreshes"), [(1674, 0), (1675, 1), (1676, 1), (3349, 1), (3350, 2), (3351, 2)])
def test_refreshes_of_a_tile_at_the_boundary(cycles, refreshes):
    # All of the input is one tile that stays from the first cycle to the last: one cycle below the retention time
    # (3.35 us are 1675 cycles of 2 ns) it needs none, at the retention time one.
    work = step(
        [mac("conv", conv(1, 1, 3), "x", "w", "y", Pass.FORWARD)],
        x=("input", (1, 3, 3)),
        w=("weight", (1, 1)),
        y=("activation", (1, 3, 3)),
    )
    result = run("lifetime", machine(edram=CAMEL_REFRESH), work, {"conv": cycles})
    (tile,) = (data for data in result.operations[0].lifetimes if data.tensor == "x")
    assert tile.refreshes == refreshes and result.totals.refresh_count == refreshes * 16


@pytest.mark.parametrize(("retention_cycles", "refreshes"), [(999, 1), (1000, 1), (1001, 0), (500, 2), (501, 1)])
def test_the_boundary_moves_with_the_retention_time(retention_cycles, refreshes):
    arch = machine(edram=replace(CAMEL_REFRESH, retention_s=retention_cycles * CYCLE_S, rows_per_array=128))
    result = run("lifetime", arch, resident_pair(), {"make": 400, "use": 600})
    assert {tensor.name: tensor.refreshes for tensor in result.tensors}["a"] == refreshes
