"""Cost of one run of an operation, refresh left out.

A multiply-accumulate operation is taken from the engine's evaluation of its mapping. A vector
operation is memory-bound by nature: each tensor moves once between its home and the vector unit.
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from camel_plugin.result import LevelTraffic, OperationCost
from camel_plugin.schedule.formats import value_words
from camel_plugin.spec.evaluation import Evaluation, LevelStats, TileStay
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Operation


def leakage_W(machine: Machine) -> float:
    """Static power of the chip: every instance of every on-chip storage and compute unit, used or not.

    Timeloop lets unused instances and all compute units leak nothing, which suits one layer on a
    power-gated array; a training step runs on the whole chip, idle corners included. DRAM is not part of it.
    """
    storages = (storage for storage in machine.storages if not storage.is_dram)
    compute = machine.compute
    return machine.instances(compute.name) * compute.leakage_W + sum(
        machine.instances(storage.name) * storage.energy.leakage_J_per_cycle / machine.cycle_s for storage in storages
    )


def dram_standby_W(machine: Machine) -> float:
    """Static power of the DRAM levels, 0 unless the machine gives one."""
    return sum(s.energy.leakage_J_per_cycle / machine.cycle_s for s in machine.storages if s.is_dram)


def operation_cost(plan: Plan, operation: Operation, evaluation: Evaluation | None) -> OperationCost:
    """Cost of one run of ``operation``.

    A tensor that the operation both reads and writes is accumulated into: beyond what the engine counts (which
    starts from zero), its old value is read once at its home. The first micro-batch would not need that read.

    Args:
        plan: the placed step that it belongs to.
        operation: what to cost.
        evaluation: of its mapping; None for a vector operation.
    """
    if evaluation is None:
        return _vector(plan, operation)
    machine = plan.machine
    levels = {
        name: _engine_traffic(machine.storage(name), stats, value_words(plan, operation, name))
        for name, stats in evaluation.levels.items()
    }
    cycles, bound_by = evaluation.cycles, evaluation.bound_by
    for name in dict.fromkeys(operation.reads):
        if name in operation.writes:
            home = plan.home_levels[name]
            old = _stream(machine, home, read_words=(plan.step.tensors[name].words(),), written_words=())
            levels[home] = _together(levels.get(home, LevelTraffic()), old)
            if levels[home].port_cycles > cycles:
                cycles, bound_by = math.ceil(levels[home].port_cycles), home
    macs = evaluation.computes
    return _cost(machine, levels, cycles, bound_by, macs, evaluation.compute_J, evaluation.tiles)


def _vector(plan: Plan, operation: Operation) -> OperationCost:
    machine = plan.machine
    read: dict[str, list[int]] = {}
    written: dict[str, list[int]] = {}
    for moved, names in ((read, operation.reads), (written, operation.writes)):
        for name in dict.fromkeys(names):
            words = plan.step.tensors[name].words(operation.touched.get(name))
            moved.setdefault(plan.home_levels[name], []).append(words)
    levels = {
        storage.name: _stream(machine, storage.name, read.get(storage.name, ()), written.get(storage.name, ()))
        for storage in machine.storages
        if storage.name in read or storage.name in written
    }
    unit = machine.vector_unit
    demands = {"vector": operation.vector_ops / unit.lanes} | {name: t.port_cycles for name, t in levels.items()}
    bound_by = max(demands, key=lambda name: demands[name])
    cycles = max(1, math.ceil(demands[bound_by]))
    return _cost(machine, levels, cycles, bound_by, 0, operation.vector_ops * unit.energy_J)


def _cost(
    machine: Machine,
    levels: Mapping[str, LevelTraffic],
    cycles: int,
    bound_by: str,
    macs: int,
    compute_J: float,
    tiles: tuple[TileStay, ...] = (),
) -> OperationCost:
    dram = [storage for storage in machine.storages if storage.is_dram and storage.name in levels]
    off_chip = {storage.name for storage in dram}
    latency_s = cycles * machine.cycle_s
    return OperationCost(
        cycles=cycles,
        latency_s=latency_s,
        bound_by=bound_by,
        utilization=macs / (cycles * machine.units),
        macs=macs,
        compute_J=compute_J,
        dynamic_J={name: traffic.energy_J for name, traffic in levels.items() if name not in off_chip},
        dram_J=sum(levels[name].energy_J for name in off_chip) + dram_standby_W(machine) * latency_s,
        leakage_J=leakage_W(machine) * latency_s,
        dram_read_bytes=sum(s.bits(levels[s.name].read_words) / 8 for s in dram),
        dram_written_bytes=sum(s.bits(levels[s.name].written_words) / 8 for s in dram),
        levels=levels,
        tiles=tiles,
    )


def _engine_traffic(storage: Storage, stats: LevelStats, sizes: Mapping[str, float]) -> LevelTraffic:
    reads = sum(tensor.reads * sizes.get(space, 1.0) for space, tensor in stats.tensors.items())
    writes = sum((tensor.fills + tensor.updates) * sizes.get(space, 1.0) for space, tensor in stats.tensors.items())
    return LevelTraffic(
        read_words=reads * stats.utilized_instances,
        written_words=writes * stats.utilized_instances,
        energy_J=stats.energy_J,
        port_cycles=storage.port_cycles(reads, writes),
    )


def _stream(
    machine: Machine, level: str, read_words: tuple[int, ...] | list[int], written_words: tuple[int, ...] | list[int]
) -> LevelTraffic:
    """Whole tensors that pass once, each in whole accesses."""
    storage = machine.storage(level)
    read_accesses = sum(map(storage.rows, read_words))
    write_accesses = sum(map(storage.rows, written_words))
    return LevelTraffic(
        read_words=sum(read_words),
        written_words=sum(written_words),
        energy_J=read_accesses * storage.energy.read_J + write_accesses * storage.energy.write_J,
        port_cycles=storage.port_cycles(sum(read_words), sum(written_words)),
    )


def _together(first: LevelTraffic, second: LevelTraffic) -> LevelTraffic:
    """Both on the same level. The ports may be busy with either: their times add up."""
    return replace(
        first,
        read_words=first.read_words + second.read_words,
        written_words=first.written_words + second.written_words,
        energy_J=first.energy_J + second.energy_J,
        port_cycles=first.port_cycles + second.port_cycles,
    )
