"""Liveness of tensors over the ordered step: from the first write to the last use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from camel_plugin.errors import WorkloadError
from camel_plugin.workload.step import PERSISTENT_KINDS, Operation, Step, TensorKind


@dataclass(frozen=True)
class LiveRange:
    """Operations during which a tensor must exist, as indices into ``Step.operations``, both included.

    Attributes:
        first: first write (first use for a tensor that comes from outside the step).
        last: last use.
        produced: some operation of the step writes it, or it outlives the step.
        carried: its value passes from one micro-batch (or step) to the next.
    """

    first: int
    last: int
    produced: bool
    carried: bool

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.first <= index <= self.last


def groups(step: Step) -> tuple[range, ...]:
    """Runs of consecutive operations with the same ``repeats``: the micro-batch, then the updates.

    A group is run ``repeats`` times as a whole before the next one starts.
    """
    result, start = [], 0
    for _, members in groupby(step.operations, key=lambda operation: operation.repeats):
        stop = start + sum(1 for _ in members)
        result.append(range(start, stop))
        start = stop
    return tuple(result)


def users(step: Step) -> dict[str, list[Operation]]:
    """The operations that read or write each tensor, in execution order."""
    found: dict[str, list[Operation]] = {}
    for operation in step.operations:
        for name in dict.fromkeys(operation.reads + operation.writes):
            found.setdefault(name, []).append(operation)
    return found


def live_ranges(step: Step) -> dict[str, LiveRange]:
    """Live range of every tensor that some operation uses.

    Weights and optimizer state live through the whole step. A value carried over the repeats of a
    group (accumulated into from its first use on, or used by a later group) lives through the whole group.

    Raises:
        WorkloadError: an operation names an unknown tensor, or reads a value that nothing wrote.
    """
    uses: dict[str, list[int]] = {}
    for index, operation in enumerate(step.operations):
        for name in dict.fromkeys(operation.reads + operation.writes):
            _check_use(step, operation, name, first_use=name not in uses)
            uses.setdefault(name, []).append(index)

    group_of = {index: group for group in groups(step) for index in group}
    ranges = {}
    for name, indices in uses.items():
        first, last = indices[0], indices[-1]
        if step.tensors[name].kind in PERSISTENT_KINDS:
            ranges[name] = LiveRange(0, len(step.operations) - 1, produced=True, carried=True)
            continue
        produced = name in step.operations[first].writes
        accumulated = produced and name in step.operations[first].reads
        carried = accumulated or group_of[first] != group_of[last]
        if carried and step.operations[first].repeats > 1:
            first = group_of[first].start
        if carried and step.operations[last].repeats > 1:
            last = group_of[last].stop - 1
        ranges[name] = LiveRange(first, last, produced, carried)
    return ranges


def in_place(step: Step, ranges: Mapping[str, LiveRange]) -> dict[str, str]:
    """Output -> dying input whose words it may take over.

    A vector operation whose output has the shape of an input that dies there writes every word
    after reading it, so the two need room only once.
    """
    pairs: dict[str, str] = {}
    for index, operation in enumerate(step.operations):
        if operation.problem is not None:
            continue
        dying = [name for name in operation.reads if ranges[name].last == index and not ranges[name].carried]
        for output in operation.writes:
            if ranges[output].first != index or ranges[output].carried or output in operation.reads:
                continue
            for name in dying:
                if step.tensors[name].shape == step.tensors[output].shape:
                    pairs[output] = name
                    dying.remove(name)
                    break
    return pairs


def _check_use(step: Step, operation: Operation, name: str, *, first_use: bool) -> None:
    if name not in step.tensors:
        raise WorkloadError("operation uses a tensor that the step does not have", field=operation.name, value=name)
    outside = PERSISTENT_KINDS | {TensorKind.INPUT}
    if first_use and name not in operation.writes and step.tensors[name].kind not in outside:
        raise WorkloadError("operation reads a value before anything writes it", field=operation.name, value=name)
