"""Copies on chip: a tensor that rests in the outermost level may stay on chip for a part of the step.

Weights are fetched once before a loop over the micro-batches and serve all of its runs. A value that must wait for
longer than there is room stays on chip while a block uses it: it is stored once behind the operation that makes it,
and fetched once before the first operation that reads it again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from camel_plugin.spec.liveness import groups
from camel_plugin.spec.step import LOAD, MOVES, STORE, Loop, Operation, Step, over_samples


@dataclass(frozen=True, order=True)
class Stay:
    """A stretch of operations that find a copy of a tensor on chip.

    Attributes:
        tensor: its name.
        start: first operation, an index.
        stop: operation after the last one.
        each_run: fetched in every run; else once, before the first run of the loop that begins at ``start``.
    """

    tensor: str
    start: int
    stop: int
    each_run: bool

    @property
    def copy(self) -> str:
        """Name of the copy."""
        return f"{self.tensor}@{self.start}"


def with_copies(step: Step, stays: Iterable[Stay]) -> Step:
    """The step with copies, and the operations that fetch and store them."""
    copies: dict[int, dict[str, Stay]] = {}
    heads: dict[int, list[Stay]] = {}
    for stay in stays:
        if not stay.each_run:
            heads.setdefault(stay.start, []).append(stay)
        for index in range(stay.start, stay.stop):
            copies.setdefault(index, {})[stay.tensor] = stay
    tensors = dict(step.tensors)
    body: list[Loop | Operation] = []
    there: set[Stay] = set()
    for group in groups(step):
        operations: list[Operation] = []
        if stays_here := heads.get(group.span.start):
            there.update(stays_here)
            body.append(_move(LOAD, step.operations[group.span.start], stays_here))
        for index in group.span:
            operation, here = step.operations[index], copies.get(index, {})
            read = [stay for name, stay in here.items() if name in operation.reads]
            written = [stay for name, stay in here.items() if name in operation.writes]
            operations += [_move(LOAD, operation, [stay]) for stay in read if stay not in there]
            operations.append(_renamed(operation, {stay.tensor: stay.copy for stay in (*read, *written)}))
            operations += [_move(STORE, operation, [stay]) for stay in written]
            there.update(read, written)
        body += over_samples(group.trips, operations)
    tensors.update({stay.copy: replace(tensors[stay.tensor], name=stay.copy) for stay in there})
    return replace(step, body=tuple(body), tensors=tensors)


def without_copies(step: Step) -> Step:
    """The step as it was before any order was chosen: no copies, one loop, what runs once behind it."""
    moves = [operation for operation in step.operations if operation.kind in MOVES]
    original: dict[str, str] = {}
    for move in moves:
        copies, outside = (move.writes, move.reads) if move.kind == LOAD else (move.reads, move.writes)
        original.update(zip(copies, outside, strict=True))
    bare = [_renamed(operation, original) for operation in step.operations if operation.kind not in MOVES]
    tensors = {name: tensor for name, tensor in step.tensors.items() if name not in original}
    looped = [operation for operation in bare if step.trips(operation.name) > 1]
    once = [operation for operation in bare if step.trips(operation.name) == 1]
    trips = max((group.trips for group in groups(step)), default=1)
    return replace(step, body=(*over_samples(trips, looped), *once), tensors=tensors)


def _move(kind: str, beside: Operation, stays: Sequence[Stay]) -> Operation:
    """Fetch before, or store behind, the operation ``beside``."""
    outside, copies = tuple(stay.tensor for stay in stays), tuple(stay.copy for stay in stays)
    name = f"{stays[0].copy if len(stays) == 1 else beside.name}:{kind}"
    source, target = (outside, copies) if kind == LOAD else (copies, outside)
    return Operation(name, beside.pass_, kind, source, target, partner=beside.partner or beside.name)


def _renamed(operation: Operation, names: dict[str, str]) -> Operation:
    if not names:
        return operation
    return replace(
        operation,
        reads=tuple(names.get(name, name) for name in operation.reads),
        writes=tuple(names.get(name, name) for name in operation.writes),
        roles={space: names.get(name, name) for space, name in operation.roles.items()},
        touched={names.get(name, name): words for name, words in operation.touched.items()},
    )
