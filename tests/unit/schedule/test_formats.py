"""The recipe's formats on a machine: bytes, room, traffic, energy."""

from dataclasses import replace

import pytest
from schedule_builders import machine, training_step

from camel_plugin.engine.native import NativeEngine
from camel_plugin.errors import InputError
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.formats import format_notes, in_words
from camel_plugin.schedule.residency import place, task
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.step import TensorKind

ARCH = machine()  # words of 8 bits
KINDS = dict.fromkeys(TensorKind, 8.0)


def work(**bits):
    return replace(training_step(), bits={TensorKind(kind): value for kind, value in bits.items()})


def test_without_formats_a_value_is_a_word():
    step = training_step()
    assert in_words(ARCH, step) is step
    assert task(place(ARCH, step), step.operations[0]).value_words == {}
    same = in_words(ARCH, replace(step, bits=KINDS))
    assert same.tensors == step.tensors and format_notes(ARCH, same) == []


def test_formats_size_the_tensors_of_their_kind():
    step = in_words(ARCH, work(activation=16.0, weight=4.0))
    assert {name: tensor.words() for name, tensor in step.tensors.items() if name in ("a", "w1", "da")} == {
        "a": 2 * 4 * 6 * 6,
        "w1": 4 * 4 // 2,
        "da": 4 * 6 * 6,
    }
    (note,) = format_notes(ARCH, step)
    assert "activation 16, weight 4" in note and "multipliers keep the format of tiny" in note


def test_larger_values_need_more_rows_and_spill_when_they_do_not_fit():
    small = machine(act_depth=110)  # 660 words; a tensor of values has 144
    homes = [place(small, in_words(small, work(activation=bits))).home_levels for bits in (8.0, 64.0)]
    assert [home["b"] for home in homes] == ["act", "dram"]
    held = [place(ARCH, in_words(ARCH, work(activation=bits))).blocks["a"] for bits in (8.0, 16.0)]
    assert [block.stop - block.start for block in held] == [24, 48]


def test_vector_operations_move_the_bits():
    costs = []
    for bits in (8.0, 16.0):
        step = in_words(ARCH, work(activation=bits))
        relu = step.operations[1]
        costs.append(operation_cost(place(ARCH, step), relu, None))
    one, two = costs
    assert one.dynamic_J["act"] == pytest.approx(24 * (6e-12 + 8e-12))  # 144 words, 6 to a row, read and written
    assert two.dynamic_J["act"] == pytest.approx(48 * (6e-12 + 8e-12))
    assert two.compute_J == one.compute_J


def test_mapped_operations_move_the_bits_outside_the_array_only():
    found = []
    for bits in (8.0, 32.0):
        step = in_words(ARCH, work(input=bits))
        operation, plan = step.operations[0], place(ARCH, step)
        evaluation = NativeEngine().map(task(plan, operation), Objective.ENERGY, 5.0).evaluation
        found.append((evaluation, operation_cost(plan, operation, evaluation)))
    (one, narrow), (four, wide) = found
    assert narrow.dram_read_bytes == one.levels["dram"].tensors["Inputs"].reads
    assert wide.dram_read_bytes == 4 * four.levels["dram"].tensors["Inputs"].reads
    reads = four.levels["dram"].tensors["Inputs"].reads
    assert four.levels["dram"].tensors["Inputs"].energy_J == pytest.approx(4 * reads / 8 * 512e-12)
    registers = four.levels["oreg"]
    assert wide.levels["oreg"].read_words == registers.tensors["Outputs"].reads * registers.utilized_instances


def test_memories_with_words_of_different_sizes_take_no_formats():
    nodes = tuple(replace(node, datawidth_bits=16) if node.name == "dram" else node for node in ARCH.nodes)
    with pytest.raises(InputError, match=r"training.precision: formats need one size of word .*dram: 16 bits, act: 8"):
        in_words(replace(ARCH, nodes=nodes), work(weight=16.0))
