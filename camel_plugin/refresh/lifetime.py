"""Lifetime of data: from the write to the last read, or to the next write, which restores it.

A 3T read does not restore. Across operations the timeline tells the times, inside an operation the
mapping does. Every value is that of the longest-living datum of a tensor; where the order of the loops does
not tell it, a bound is taken that is never too short, and ``rule`` names it.

With CAMEL's schedule a forward value and its reconstruction are two tensors, each with its own
lifetime, so that the longest of them is CAMEL's T_data = max(T_forward, T_backward).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from camel_plugin.schedule.timeline import Timeline, make_timeline
from camel_plugin.spec.evaluation import TileStay
from camel_plugin.spec.liveness import LiveRange, live_ranges, persistent, users
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Operation, Step


class Rule(StrEnum):
    """How a lifetime was found."""

    STEP = "outlives the step: rewritten at most once a step"
    COPIES = "one a micro-batch: written in one loop, read in another"
    MICRO_BATCH = "carried over: rewritten once a micro-batch"
    SWEEP = "last sweep of the producer's loops .. end of the last reader"
    PRODUCER = "start of the producer .. end of the last reader"
    OUTSIDE = "start of the first reader .. end of the last one"
    TILE = "residency of the tile"
    PARTIAL_SUM = "one sweep over the tile of partial sums"


@dataclass(frozen=True)
class Span:
    """A stretch without a write. Times in cycles.

    Attributes:
        written: when it begins, the first time that it occurs in the step.
        cycles: until the last read.
        times: how often it occurs in the step.
    """

    written: int
    cycles: int
    times: int


@dataclass(frozen=True)
class Lifetime:
    """Data of one tensor in one storage level.

    Attributes:
        tensor: its name.
        level: where the data are.
        operation: that stages the tile, or that uses a resident tensor last.
        staged: a tile on its way to or from the tensor's home, not the resident tensor itself.
        words: of one copy in one instance.
        instances: that hold such data at the same time.
        spans: all stretches between writes, of the longest-living datum.
        rule: how they were found.
        copies: of these words, one a micro-batch; ``spans`` are those of all copies.
    """

    tensor: str
    level: str
    operation: str
    staged: bool
    words: int
    instances: int
    spans: tuple[Span, ...]
    rule: Rule
    copies: int = 1

    @property
    def cycles(self) -> int:
        """The longest stretch."""
        return max((span.cycles for span in self.spans), default=0)


def lifetimes(plan: Plan, timeline: Timeline, tiles: Mapping[str, tuple[TileStay, ...]]) -> tuple[Lifetime, ...]:
    """Lifetimes of every tensor at its home, and of every tile that an eDRAM level stages.

    What an operation without tiles writes counts from its start, and it stages nothing.

    Args:
        plan: the placed step.
        timeline: of its operations.
        tiles: operation -> how long its tiles stay.
    """
    uses = users(plan.step)
    written = _written(plan, timeline, tiles)
    resident = [
        _resident(plan.step, home, plan.words[name], plan.ranges[name], timeline, name, uses[name], written)
        for name, home in plan.home_levels.items()
    ]
    refreshed = {level.name for level in plan.machine.storages if level.edram is not None}
    staged = (
        _staged(plan, timeline, operation, tile)
        for operation in plan.step.operations
        for tile in tiles.get(operation.name, ())
        if tile.level in refreshed and plan.home_levels[operation.roles[tile.dataspace]] != tile.level
    )
    return (*resident, *staged)


def resting_cycles(step: Step, cycles: Mapping[str, int]) -> dict[str, int]:
    """Tensor -> longest lifetime if it rested somewhere all the time, final from the start of its producer on.

    Args:
        step: in any order.
        cycles: of one run of each operation.
    """
    timeline, uses, ranges = make_timeline(step, cycles), users(step), live_ranges(step)
    written = {
        (operation.name, name): timeline.slots[operation.name].start
        for operation in step.operations
        for name in operation.writes
    }
    found = (_resident(step, "", 0, live, timeline, name, uses[name], written) for name, live in ranges.items())
    return {lifetime.tensor: lifetime.cycles for lifetime in found}


def _written(plan: Plan, timeline: Timeline, tiles: Mapping[str, tuple[TileStay, ...]]) -> dict[tuple[str, str], int]:
    """(operation, tensor) -> cycle of its first run from which on final values may stand in the tensor's home.

    While a reduction loop sweeps over the tensor again and again, every value is rewritten by the last sweep.
    """
    times = {}
    for operation in plan.step.operations:
        slot = timeline.slots[operation.name]
        for name in operation.writes:
            times[operation.name, name] = slot.start
        homes = plan.operand_homes(operation)
        for tile in tiles.get(operation.name, ()):
            if homes.get(tile.dataspace) == tile.level and _accumulated(operation, tile.dataspace):
                written = slot.start + int((1 - tile.unrestored) * slot.cycles)
                times[operation.name, operation.roles[tile.dataspace]] = written
    return times


def _resident(
    step: Step,
    home: str,
    words: int,
    live: LiveRange,
    timeline: Timeline,
    name: str,
    uses: list[Operation],
    written: Mapping[tuple[str, str], int],
) -> Lifetime:
    first, last = uses[0], uses[-1]
    last_end = timeline.slots[last.name].end
    spans: tuple[Span, ...]
    if persistent(step, name, first):
        rule, spans = Rule.STEP, (Span(0, timeline.cycles, 1),)
    elif not live.produced:
        begin = timeline.slots[first.name].start
        rule, spans = Rule.OUTSIDE, (Span(begin, last_end - begin, timeline.slots[first.name].repeats),)
    elif live.copies > 1:
        rule, spans = Rule.COPIES, _copies(timeline, name, uses, written, live.copies)
    elif live.carried and timeline.slots[first.name].repeats > 1:
        rule, spans = Rule.MICRO_BATCH, _carried(timeline, name, uses, written)
    else:
        producer = min((op for op in uses if name in op.writes), key=lambda op: timeline.slots[op.name].start)
        rule = Rule.PRODUCER if producer.problem is None else Rule.SWEEP
        spans = _between_writes(timeline, name, uses, written)
    return Lifetime(name, home, last.name, False, words, 1, spans, rule, live.copies)


def _between_writes(
    timeline: Timeline, name: str, uses: list[Operation], written: Mapping[tuple[str, str], int]
) -> tuple[Span, ...]:
    """Stretches from each write to the last read before the next one."""
    spans: list[Span] = []
    writer: Operation | None = None
    for operation in uses:
        if name in operation.reads and writer is not None:
            begin, slot = written[writer.name, name], timeline.slots[operation.name]
            # Written once, read in every run of another loop: the last of them counts.
            end = slot.end if slot.group == timeline.slots[writer.name].group else slot.last_end
            spans[-1] = Span(begin, end - begin, timeline.slots[writer.name].repeats)
        if name in operation.writes:
            writer = operation
            spans.append(Span(written[operation.name, name], 0, timeline.slots[operation.name].repeats))
    return tuple(spans)


def _copies(
    timeline: Timeline, name: str, uses: list[Operation], written: Mapping[tuple[str, str], int], copies: int
) -> tuple[Span, ...]:
    """One stretch a micro-batch, from its run of the loop that writes to its run of the last loop that reads."""
    writer = next(operation for operation in uses if name in operation.writes)
    begin, source, last = written[writer.name, name], timeline.slots[writer.name], timeline.slots[uses[-1].name]
    later = last.period - source.period
    return tuple(Span(begin + k * source.period, last.end - begin + k * later, 1) for k in range(copies))


def _carried(
    timeline: Timeline, name: str, uses: list[Operation], written: Mapping[tuple[str, str], int]
) -> tuple[Span, ...]:
    """Accumulated: from one micro-batch to the next, and from the last one to the operations after them."""
    spans: list[Span] = []
    by_loop = groupby(uses, key=lambda operation: timeline.slots[operation.name].group)
    loops = [list(members) for _, members in by_loop]
    for number, members in enumerate(loops):
        writers = [operation for operation in members if name in operation.writes]
        if not writers:
            continue
        slot, begin = timeline.slots[writers[-1].name], written[writers[-1].name, name]
        spans.append(Span(begin, slot.period, slot.repeats - 1))
        last_write = begin + (slot.repeats - 1) * slot.period
        end = timeline.slots[members[-1].name].last_end
        for following in loops[number + 1 :]:
            again = next((operation for operation in following if name in operation.writes), None)
            end = timeline.slots[again.name].end if again else timeline.slots[following[-1].name].last_end
            if again:
                break
        spans.append(Span(last_write, end - last_write, 1))
    return tuple(span for span in spans if span.times and span.cycles > 0)


def _staged(plan: Plan, timeline: Timeline, operation: Operation, tile: TileStay) -> Lifetime:
    """Tiles that pass through a level; one after the other they fill the operation."""
    slot, name = timeline.slots[operation.name], operation.roles[tile.dataspace]
    cycles = max(1, round(tile.unrestored * slot.cycles))
    span = Span(slot.start, cycles, slot.repeats * max(1, slot.cycles // cycles))
    rule = Rule.PARTIAL_SUM if _accumulated(operation, tile.dataspace) else Rule.TILE
    words = math.ceil(tile.words * plan.step.tensors[name].words_per_value)
    return Lifetime(name, tile.level, operation.name, True, words, tile.instances, (span,), rule)


def _accumulated(operation: Operation, dataspace: str) -> bool:
    return operation.problem is not None and operation.problem.dataspace(dataspace).read_write
