"""A step in a given order, placed on a machine: what stays on chip, for how long, and what streams."""

from collections.abc import Iterator

from camel_plugin.schedule.copies import Stay, with_copies
from camel_plugin.schedule.order import loops, parts
from camel_plugin.schedule.residency import place
from camel_plugin.spec.liveness import users
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.step import Step, TensorKind

VALUES = frozenset({TensorKind.INPUT, TensorKind.ACTIVATION, TensorKind.GRADIENT})


def plan(machine: Machine, step: Step, policy: RefreshPolicy | None = None) -> Plan:
    """Place a step whose order stands.

    Every weight competes for room as a copy for each loop that uses it, every value without room for all its life as a
    copy for each block. Copies that find none, or whose tensor is on chip after all, are given up, and the rest placed
    again. Arguments as for :func:`place`.
    """
    bare = place(machine, step, policy)
    stays = set(_stays(step, set(bare.reasons)))
    while stays:
        placed = place(machine, with_copies(step, sorted(stays)), policy)
        kept = {stay for stay in stays if stay.copy in placed.homes and stay.tensor not in placed.homes}
        if kept == stays:
            return placed
        stays = kept
    return bare


def _stays(step: Step, outside: set[str]) -> Iterator[Stay]:
    """Copies that would save traffic, were there room: of weights for a loop, of values ``outside`` for a block."""
    looped = loops(step)
    blocks = _blocks(step)
    for name, operations in users(step).items():
        kind = step.tensors[name].kind
        uses = [(step.index[op.name], op) for op in operations if step.trips(op.name) > 1]
        if any(name in op.touched for op in operations):
            continue  # fetching the whole for the sake of a part does not pay
        if kind is TensorKind.WEIGHT and len(looped) > 1:
            yield from (
                Stay(name, loop.start, loop.stop, each_run=False)
                for loop in looped
                if any(position in loop for position, _ in uses)
            )
        if kind in VALUES and name in outside:
            for block in dict.fromkeys(blocks[position] for position, _ in uses):
                inside = [op for position, op in uses if position in block]
                if len(inside) > 1:
                    yield Stay(name, block.start, block.stop, each_run=True)


def stay_of(step: Step, tensor: str, start: int) -> Stay | None:
    """The stay of a copy of ``tensor`` that begins at the operation ``start``; None if none can."""
    weight = step.tensors[tensor].kind is TensorKind.WEIGHT
    spans = loops(step) if weight else _blocks(step).values()
    found = next((span for span in spans if span.start == start), None)
    if found is None or step.tensors[tensor].kind not in VALUES | {TensorKind.WEIGHT}:
        return None
    used = any(tensor in operation.reads + operation.writes for operation in step.operations[start : found.stop])
    return Stay(tensor, start, found.stop, each_run=not weight) if used else None


def _blocks(step: Step) -> dict[int, range]:
    """Index of each operation that runs more than once -> the operations of its block in the same loop and pass."""
    numbers = iter(parts(step, "block"))
    label = {i: next(numbers) for loop in loops(step) for i in loop}
    found: dict[int, range] = {}
    for loop in loops(step):
        start = loop.start
        for i in loop:
            if i + 1 == loop.stop or label[i + 1] != label[i]:
                found.update(dict.fromkeys(range(start, i + 1), range(start, i + 1)))
                start = i + 1
    return found
