"""Steps of real networks, placed on the machines and run on a memory that counts the bytes of every bank."""

import functools
import math

import pytest
from schedule_replay import replay

from camel_plugin.components.machines import load_machine
from camel_plugin.plugins import load
from camel_plugin.schedule.order import ordered
from camel_plugin.schedule.partition import best_cut
from camel_plugin.schedule.placement import peak_bytes
from camel_plugin.schedule.plan import plan
from camel_plugin.schedule.residency import task
from camel_plugin.spec.objective import Objective
from camel_plugin.workload.load import load_network

MACHINES = ("camel", "camel-sram", "eyeriss-16nm")
SIZES = {"revresnet": 4, "resnet32": 4, "revnet110": 4, "dudnn-branch6-resnet50": 2}
"""Network -> batch."""
NETS = ["revresnet", *(pytest.param(net, marks=pytest.mark.slow) for net in list(SIZES)[1:])]


@functools.cache
def network(name):
    return load_network(name, batch=SIZES.get(name, 4), micro_batch=1).step()


def placed(arch, net, order):
    machine, work = load_machine(arch), network(net)
    return plan(machine, best_cut(machine, work) if order == "cut" else ordered(work, order))


@pytest.mark.parametrize("order", ["network", "cut"])
@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("net", NETS)
def test_no_bank_holds_more_bytes_than_it_has(net, arch, order):
    found = placed(arch, net, order)
    seen = replay(found)
    for name, level in seen.levels.items():
        storage = found.machine.storage(name)
        bank_bytes = storage.bits(level.bank_rows * storage.block_words) / 8
        held_bytes = [storage.bits(int(rows) * storage.block_words) / 8 for rows in level.bank_peaks]
        assert max(held_bytes) <= bank_bytes and level.peak <= storage.depth
        assert level.bank_peaks.sum() >= level.peak
        if name in peak_bytes(found):
            assert storage.bits(level.peak * storage.block_words) / 8 <= peak_bytes(found)[name]
    shared = [name for name in peak_bytes(found) if seen.levels[name].peak]
    assert shared, "nothing rests on chip at all"


@pytest.mark.parametrize("arch", MACHINES)
@pytest.mark.parametrize("net", NETS)
def test_the_mapper_is_given_no_room_that_residents_hold(net, arch):
    found = placed(arch, net, "cut")
    seen = replay(found)
    for operation in found.step.operations:
        if operation.problem is None:
            continue
        given = task(found, operation).constrained
        homes = found.operand_homes(operation)
        for name, level in seen.levels.items():
            if any(space not in homes and given.may_keep(given.storage(name), space) for space in operation.roles):
                assert given.storage(name).depth + level.idle[operation.name] <= found.machine.storage(name).depth


@pytest.mark.parametrize("arch", MACHINES)
def test_tiles_find_room_beside_the_residents(arch):
    engine, found = load("engines", "native")(), placed(arch, "lenet5", "cut")
    seen = replay(found)
    mapped = 0
    for operation in found.step.operations:
        if operation.problem is None:
            continue
        result = engine.map(task(found, operation), Objective.EDP, 0.0)
        for name, level in seen.levels.items():
            storage = found.machine.storage(name)
            tiles = result.evaluation.levels[name].tensors.values() if name in result.evaluation.levels else ()
            rows = sum(math.ceil(tile.utilized_capacity / storage.block_words) for tile in tiles)
            assert rows + level.idle[operation.name] <= storage.depth, (operation.name, name)
            mapped += bool(rows)
    assert mapped
