"""Residency: which tensor rests whole in which on-chip storage, and on what machine an operation is then mapped.

A tensor is resident from its first write to its last use or not at all; a tensor that is not
resident rests in the outermost level and is staged by tiles, as the mapper sees fit. Tensors that
nothing in the step writes (the network's input) arrive from outside and rest in the outermost level.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np

from camel_plugin.schedule.banks import Rows
from camel_plugin.schedule.formats import value_words
from camel_plugin.schedule.placement import Holders
from camel_plugin.spec.liveness import LiveRange, in_place, live_ranges, users
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.plan import Plan, Resting, resting_words
from camel_plugin.spec.refresh import LifetimeRefresh, RefreshPolicy
from camel_plugin.spec.step import LOAD, STORE, Operation, Step
from camel_plugin.spec.task import RefreshDuty, Task

WORKING_SHARE = 1 / 8
"""Share of a storage left to tiles while an operation stages an operand through it."""

QUANTA = 16
"""Capacity left beside idle residents is rounded down to this fraction, so that distinct problems stay few."""


def place(machine: Machine, step: Step, policy: RefreshPolicy | None = None) -> Plan:
    """Give every tensor of a step a home.

    Tensors are tried in the order of traffic to the outermost level saved per byte and unit of time
    (uses / time alive, both over all repeats, time at full utilisation), ties by order of use.
    One becomes resident if at every moment of its life it fits beside the residents so far and, during
    operations that stage another operand through the storage, :data:`WORKING_SHARE` of it stays free. An eDRAM
    takes it only if what ``policy`` refreshes for its sake costs less than the accesses to the outermost level that it
    saves: a gradient that waits for milliseconds is better off there.

    Args:
        machine: to place it on.
        step: in the order in which it runs.
        policy: which rows are refreshed; by their age if none is given.

    Raises:
        WorkloadError: the step uses unknown or unwritten tensors.
    """
    return _Placer(machine, step, policy or LifetimeRefresh()).run()


def task(plan: Plan, operation: Operation, duties: Mapping[str, RefreshDuty] | None = None) -> Task:
    """What an engine maps for an operation that has a problem.

    Residents that are operands are pinned to their homes. Residents that only wait there narrow the
    storage where a staged operand needs tiles in it; where none does, the capacity is left as it is,
    so that equal tasks stay equal.

    Args:
        plan: homes of all tensors.
        operation: of its step.
        duties: eDRAM level -> the refresh that the mapper weighs.
    """
    assert operation.problem is not None
    homes = plan.operand_homes(operation)
    sizes, name = value_words(plan, operation), f"{plan.machine.name}: {operation.name}"
    whole = Task(plan.machine, operation.problem, homes, {}, sizes, duties or {}, name)
    operands = {operation.roles[dataspace] for dataspace in homes}
    room = {}
    for level in whole.constrained.storages:
        if level.depth is None or not _stages(whole.constrained, level, operation, homes):
            continue
        idle = sum(
            level.rows(plan.words[resident]) * (plan.ranges[resident].copies - (resident in operands))
            for resident in plan.residents(level.name, operation.name)
        )
        if idle:
            quantum = max(1, level.depth // QUANTA)
            room[level.name] = (level.depth - idle) // quantum * quantum
    return replace(whole, room=room) if room else whole


def _stages(machine: Machine, storage: Storage, operation: Operation, homes: Mapping[str, str]) -> bool:
    """Some operand of ``operation`` without a home on chip may have tiles in ``storage``."""
    return any(name not in homes and machine.may_keep(storage, name) for name in operation.roles)


def spared_accesses(machine: Machine, step: Step, uses: Sequence[Operation], name: str) -> tuple[int, int]:
    """Reads and writes that the outermost level is spared in a step when a tensor rests on chip.

    Args:
        machine: the machine.
        step: the step.
        uses: the operations that use the tensor.
        name: of the tensor.
    """
    read = written = 0
    tensor, block = step.tensors[name], machine.storages[0].block_words
    for operation in uses:
        accesses = math.ceil(tensor.words(operation.touched.get(name)) / block) * step.trips(operation.name)
        # A copy costs what moves it: a load reads the outermost level once, a store writes it once.
        if operation.kind == LOAD and name in operation.writes:
            read -= accesses
        elif operation.kind == STORE and name in operation.reads:
            written -= accesses
        else:
            read += accesses * (name in operation.reads)
            written += accesses * (name in operation.writes)
    return read, written


def spared_J(machine: Machine, step: Step, uses: Sequence[Operation], name: str) -> float:
    """Energy of the accesses that :func:`spared_accesses` counts."""
    energy = machine.storages[0].energy
    read, written = spared_accesses(machine, step, uses, name)
    return read * energy.read_J + written * energy.write_J


def takeovers(step: Step, ranges: Mapping[str, LiveRange]) -> dict[str, list[tuple[str, int]]]:
    """Tensor -> the tensors that may take over its rows, or it theirs, with the one operation at which both live."""
    found: dict[str, list[tuple[str, int]]] = {}
    for output, dying in in_place(step, ranges).items():
        moment = ranges[output].first
        found.setdefault(output, []).append((dying, moment))
        found.setdefault(dying, []).append((output, moment))
    return found


class _Placer:
    """State of the greedy placement."""

    def __init__(self, machine: Machine, step: Step, policy: RefreshPolicy) -> None:
        self.machine = machine
        self.step = step
        self.policy = policy
        self.holders = Holders(machine, step)
        self.levels = self.holders.levels
        self.ranges = live_ranges(step)
        self.partners = takeovers(step, self.ranges)
        self.users = users(step)
        self.elapsed = self._elapsed()
        self.words = resting_words(step)
        self.homes: dict[str, str] = {}
        self.rows = {level.name: Rows(level.depth, len(step.operations)) for level in self.levels}
        spaces = {space for operation in step.operations for space in operation.roles}
        self.keeps = {
            level.name: {space for space in spaces if machine.may_keep(level, space)} for level in self.levels
        }
        self.staged = {level.name: np.zeros(len(step.operations), int) for level in self.levels}
        for level in self.levels:
            for name in self.ranges:
                for index, count in self._operands(name, level):
                    self.staged[level.name][index] += count

    def run(self) -> Plan:
        """Place until a whole round finds no more room: a resident operand frees the share of its tiles."""
        order = sorted(self.ranges, key=self._value, reverse=True)
        reasons: dict[str, str] = {}
        placed = True
        while placed:
            placed = False
            for name in order:
                if name not in self.homes:
                    home, reasons[name] = self._home(name)
                    if home is not None:
                        self.homes[name] = home.name
                        placed = True
        return self._result(reasons)

    def _value(self, name: str) -> tuple[float, int, int]:
        held = self.step.tensors[name].words() * self.ranges[name].copies * self._alive(name)
        spared = sum(spared_accesses(self.machine, self.step, self.users[name], name))
        return spared / held, -self.words[name], -self.ranges[name].first

    def _alive(self, name: str) -> float:
        """Cycles of a step during which the tensor exists, at full utilisation."""
        return self.elapsed[self.ranges[name].last + 1] - self.elapsed[self.ranges[name].first]

    def _refresh_J(self, level: Storage, name: str) -> float:
        """Energy of the refresh in ``level`` that the tensor causes while it exists, if nothing else rests there."""
        cells = level.edram
        if cells is None:
            return 0.0
        age = self._alive(name) * self.machine.cycle_s / cells.retention_s
        rows = level.bits(self.words[name]) * self.ranges[name].copies / cells.row_bits
        occupied = np.array([0.0, min(rows, cells.rows)])
        empty, held = self.policy.standing(np.full(2, float(cells.rows)), occupied)
        return float(rows * self.policy.refreshes(np.array([age]))[0] + (held - empty) * age) * cells.row_energy_J

    def _elapsed(self) -> list[float]:
        """Cycles before each operation, all runs, at full utilisation."""
        macs, lanes = self.machine.units, self.machine.vector_unit.lanes
        durations = (
            max(1.0, op.macs / macs, op.vector_ops / lanes) * self.step.trips(op.name) for op in self.step.operations
        )
        return list(accumulate(durations, initial=0.0))

    def _home(self, name: str) -> tuple[Storage | None, str]:
        """Take rows for the tensor in the first storage that has them, or say why none does."""
        tensor, live = self.step.tensors[name], self.ranges[name]
        if not live.produced:
            return None, "comes from outside the step"
        reasons = []
        for level in self.holders.of(tensor.kind):
            need = self._need(level, name)
            if level.depth is not None and need > level.depth:
                copies = f"{live.copies} x " if live.copies > 1 else ""
                reasons.append(f"{copies}{self.words[name]} words, {level.name} has {level.capacity_words}")
                continue
            refresh_J, saved_J = self._refresh_J(level, name), spared_J(self.machine, self.step, self.users[name], name)
            if refresh_J > saved_J:
                reasons.append(f"refresh in {level.name} would cost {refresh_J:.2g} J, traffic saved {saved_J:.2g} J")
                continue
            full = self._full(name, level, need)
            if full is not None:
                reasons.append(f"no room in {level.name} during {self.step.operations[full].name}")
                continue
            found = self.rows[level.name].find(need, live, self._partners(name, level))
            if found is None:
                reasons.append(f"no {need} free rows in a row in {level.name}")
                continue
            self.rows[level.name].take(name, *found, need, live)
            self._settled(name)
            return level, ""
        return None, "; ".join(reasons) or f"no shared on-chip storage may hold {tensor.kind} tensors"

    def _need(self, level: Storage, name: str) -> int:
        """Rows of all copies of the tensor."""
        return level.rows(self.words[name]) * self.ranges[name].copies

    def _full(self, name: str, level: Storage, need: int) -> int | None:
        """First operation in the tensor's life that has not enough free rows, in whatever pieces."""
        if level.depth is None:
            return None
        live = self.ranges[name]
        staged = self.staged[level.name][live.first : live.last + 1].copy()
        used = self.rows[level.name].used[live.first : live.last + 1].copy()
        for index, count in self._operands(name, level):
            staged[index - live.first] -= count
        for other, moment in self._partners(name, level).items():
            used[moment - live.first] -= min(need, self._need(level, other))
        room = level.depth - math.ceil(level.depth * WORKING_SHARE) * (staged > 0)
        short = np.flatnonzero(used + need > room)
        return live.first + int(short[0]) if short.size else None

    def _partners(self, name: str, level: Storage) -> dict[str, int]:
        """Residents of ``level`` whose rows the tensor may share, in place, with the operation at which."""
        return {other: i for other, i in self.partners.get(name, ()) if self.homes.get(other) == level.name}

    def _operands(self, name: str, level: Storage) -> Iterator[tuple[int, int]]:
        """Operations that may stage the tensor through ``level``, with the number of dataspaces that it plays there."""
        for operation in self.users[name]:
            played = [space for space, operand in operation.roles.items() if operand == name]
            count = sum(space in self.keeps[level.name] for space in played)
            if count:
                yield self.step.index[operation.name], count

    def _settled(self, name: str) -> None:
        """A tensor with a home on chip is staged no longer."""
        for level in self.levels:
            for index, count in self._operands(name, level):
                self.staged[level.name][index] -= count

    def _result(self, reasons: Mapping[str, str]) -> Plan:
        homes = {}
        for name in self.ranges:
            if name in self.homes:
                block = self.rows[self.homes[name]].blocks[name]
                homes[name] = Resting(self.homes[name], block.start, block.stop)
        outside = {name: reasons[name] for name in self.ranges if name not in homes}
        return Plan(self.machine, self.step, homes, outside)
