"""When each operation runs: every group of operations runs as often as it should before the next one starts."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from camel_plugin.spec.liveness import groups
from camel_plugin.spec.step import Step


@dataclass(frozen=True)
class Slot:
    """One operation on the timeline; its run ``k`` occupies ``start + k * period`` to ``end + k * period``.

    Attributes:
        name: of the operation.
        start: of its first run, in cycles from the start of the step.
        end: of its first run.
        period: cycles from one run to the next (the duration of its group).
        repeats: runs.
        group: number of the group, in order.
    """

    name: str
    start: int
    end: int
    period: int
    repeats: int
    group: int = 0

    @property
    def cycles(self) -> int:
        """Duration of one run."""
        return self.end - self.start

    @property
    def last_end(self) -> int:
        """End of the last run."""
        return self.end + (self.repeats - 1) * self.period


@dataclass(frozen=True)
class Timeline:
    """All operations of a step in time.

    Attributes:
        slots: by operation, in execution order.
        groups: the slots of each group.
        cycles: duration of the step.
    """

    slots: Mapping[str, Slot]
    groups: tuple[tuple[Slot, ...], ...]
    cycles: int

    def runs(self, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        """Runs that overlap the cycles ``start`` to ``end``, as (operation, start, end) of the run."""
        after = bisect_left(self.groups, end, key=lambda group: group[0].start)
        before = bisect_right(self.groups, start, key=lambda group: group[0].start) - 1
        for group in self.groups[max(0, before) : after]:
            origin, period, repeats = group[0].start, group[0].period, group[0].repeats
            starts, ends = [slot.start for slot in group], [slot.end for slot in group]
            first = max(0, (start - origin) // max(1, period))
            last = min(repeats - 1, (end - origin) // max(1, period))
            for run in range(first, last + 1):
                shift = run * period
                for slot in group[bisect_right(ends, start - shift) : bisect_left(starts, end - shift)]:
                    yield slot.name, slot.start + shift, slot.end + shift


def make_timeline(step: Step, cycles: Mapping[str, int]) -> Timeline:
    """The timeline of ``step`` with ``cycles`` for one run of each operation."""
    slots: dict[str, Slot] = {}
    made, origin = [], 0
    for number, group in enumerate(groups(step)):
        operations = [step.operations[index] for index in group.span]
        period, start = sum(cycles[operation.name] for operation in operations), origin
        for operation in operations:
            end = start + cycles[operation.name]
            slots[operation.name] = Slot(operation.name, start, end, period, group.trips, number)
            start = end
        made.append(tuple(slots[operation.name] for operation in operations))
        origin += period * group.trips
    return Timeline(slots, tuple(made), origin)
