import math
from dataclasses import replace

import pytest
from schedule_builders import CYCLE_S, machine, training_step

from camel_plugin.schedule.cost import leakage_W, operation_cost
from camel_plugin.schedule.residency import place
from camel_plugin.spec.evaluation import Evaluation, LevelStats, TensorStats

# 8 MACs; oreg 8 instances: every instance of act, wbuf, oreg leaks 5, 2 and 1 fJ a cycle of 2 ns; a MAC 0.1 uW.
LEAKAGE_W = (5e-15 + 2e-15 + 8 * 1e-15) / CYCLE_S + 8 * 1e-7


def evaluation(cycles=100):
    def level(instances, energy_J, **tensors):
        stats = {name: TensorStats(1, *counts, energy_J=0.0) for name, counts in tensors.items()}
        return LevelStats(instances, instances, cycles, energy_J, 123.0, stats)

    return Evaluation(
        cycles=cycles,
        computes=576,
        utilization=0.72,
        energy_J=9.0,
        compute_J=5e-9,
        bound_by="compute",
        levels={
            "dram": level(1, 7e-9, Inputs=(144, 0, 0, 0)),
            "act": level(1, 3e-9, Inputs=(288, 144, 0, 0), Outputs=(16, 0, 160, 16)),
            "wbuf": level(1, 2e-9, Weights=(64, 0, 0, 0)),
            "oreg": level(8, 1e-9, Outputs=(72, 10, 82, 72)),
        },
    )


def costs(arch, name, result=None, work=None):
    work = work or training_step()
    operation = next(op for op in work.operations if op.name == name)
    return operation_cost(place(arch, work), operation, result)


def test_the_whole_chip_leaks():
    assert leakage_W(machine()) == pytest.approx(LEAKAGE_W)


def test_a_mac_operation_takes_over_the_engine_s_counts():
    cost = costs(machine(), "conv1", evaluation())
    assert (cost.cycles, cost.macs, cost.bound_by) == (100, 576, "compute")
    assert cost.utilization == pytest.approx(576 / (100 * 8))
    assert cost.compute_J == 5e-9 and cost.dram_J == 7e-9
    assert cost.dynamic_J == {"act": 3e-9, "wbuf": 2e-9, "oreg": 1e-9}
    assert cost.leakage_J == pytest.approx(LEAKAGE_W * 100 * CYCLE_S)
    assert (cost.dram_read_bytes, cost.dram_written_bytes) == (144, 0)
    assert cost.levels["act"].read_words == 304 and cost.levels["act"].written_words == 304
    assert cost.levels["oreg"].read_words == 8 * 72  # counts are per instance


def test_an_accumulated_tensor_is_read_once_more_at_its_home():
    plain, accumulated = costs(machine(), "conv1", evaluation()), costs(machine(), "conv2:wg", evaluation())
    extra_words = 4 * 4
    assert accumulated.levels["act"].read_words == plain.levels["act"].read_words + extra_words
    assert accumulated.dynamic_J["act"] - plain.dynamic_J["act"] == pytest.approx(math.ceil(extra_words / 6) * 6e-12)


def test_that_read_comes_from_dram_where_the_tensor_rests_there():
    # One row of 6 words and of 9 words: nothing of 16 words fits on chip.
    cost = costs(machine(act_depth=1, weight_depth=1), "conv2:wg", evaluation())
    assert cost.dram_read_bytes == 144 + 16


def test_it_can_make_the_operation_wait():
    # act moves 304 + 16 words at 1 word a cycle.
    cost = costs(machine(act_bandwidth=1), "conv2:wg", evaluation())
    assert (cost.cycles, cost.bound_by) == (304 + 16, "act")


def test_a_vector_operation_moves_each_tensor_once():
    # relu: 144 words in, 144 out, both at home in act; 144 element operations on 8 lanes.
    cost = costs(machine(), "relu")
    assert cost.levels["act"].read_words == cost.levels["act"].written_words == 144
    assert cost.dynamic_J == {"act": pytest.approx(24 * 6e-12 + 24 * 8e-12)}
    assert cost.compute_J == pytest.approx(144 * 1e-12)
    assert (cost.cycles, cost.bound_by, cost.utilization, cost.macs) == (18, "vector", 0, 0)
    assert cost.dram_J == 0 and cost.dram_read_bytes == 0


def test_a_vector_operation_moves_only_what_it_touches():
    work = training_step()
    whole = next(op for op in work.operations if op.problem is None and op.reads)
    part = replace(whole, touched={whole.reads[0]: 4})
    plan = place(machine(), work)
    before, after = (operation_cost(plan, operation, None) for operation in (whole, part))
    moved = [sum(level.read_words for level in cost.levels.values()) for cost in (before, after)]
    assert moved[0] - moved[1] == work.tensors[whole.reads[0]].elements - 4 > 0


def test_it_is_bound_by_the_slowest_memory():
    # act passes 2 words a cycle each way: 72 cycles for 144 words.
    assert costs(machine(act_bandwidth=2), "relu").cycles == 72
    # From DRAM: 144 words read at 16 and written at 8 a cycle.
    cost = costs(machine(act_depth=1, weight_depth=1), "relu")
    assert (cost.cycles, cost.bound_by) == (18, "vector")
    slow = machine(act_depth=1, weight_depth=1)
    slow = replace(slow, nodes=(replace(slow.nodes[0], write_bandwidth=1), *slow.nodes[1:]))
    cost = costs(slow, "relu")
    assert (cost.cycles, cost.bound_by) == (144, "dram")
    assert (cost.dram_read_bytes, cost.dram_written_bytes) == (144, 144)


def test_without_a_vector_unit_the_macs_do_the_work():
    arch = machine(unit=None)
    assert (arch.vector_unit.lanes, arch.vector_unit.energy_J) == (8, 0.4e-12)
    assert costs(arch, "relu").compute_J == pytest.approx(144 * 0.4e-12)


def test_standing_power_of_the_dram_counts_as_dram():
    arch = machine()
    dram = replace(arch.nodes[0], energy=replace(arch.nodes[0].energy, leakage_J_per_cycle=1e-9))
    cost = costs(replace(arch, nodes=(dram, *arch.nodes[1:])), "relu")
    assert cost.dram_J == pytest.approx(18 * 1e-9)
    assert cost.leakage_J == pytest.approx(LEAKAGE_W * 18 * CYCLE_S)
