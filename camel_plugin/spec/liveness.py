"""Liveness of tensors over the ordered step: from the first write to the last use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.step import PERSISTENT_KINDS, Group, Operation, Step, TensorKind


@dataclass(frozen=True)
class LiveRange:
    """Operations during which a tensor must exist, as indices into ``Step.operations``, both included.

    Attributes:
        first: first write (first use for a tensor that comes from outside the step).
        last: last use.
        produced: some operation of the step writes it, or it outlives the step.
        carried: its value passes from one micro-batch, loop or step to the next.
        copies: values that wait at the same time: one a micro-batch for what one loop makes and another one reads.
    """

    first: int
    last: int
    produced: bool
    carried: bool
    copies: int = 1

    def __contains__(self, index: object) -> bool:
        return isinstance(index, int) and self.first <= index <= self.last


def groups(step: Step) -> tuple[Group, ...]:
    """The groups of a step whose loops stand directly under its root.

    Raises:
        WorkloadError: a loop stands in another one.
    """
    if step.nested:
        raise WorkloadError(
            "loops inside loops are not evaluated yet",
            field="body",
            suggestion="put every loop directly under the root",
        )
    return step.groups


def users(step: Step) -> dict[str, list[Operation]]:
    """The operations that read or write each tensor, in execution order."""
    found: dict[str, list[Operation]] = {}
    for operation in step.operations:
        for name in dict.fromkeys(operation.reads + operation.writes):
            found.setdefault(name, []).append(operation)
    return found


def persistent(step: Step, name: str, first: Operation) -> bool:
    """The tensor exists before and after the step; a weight that the step itself makes, a copy on chip, does not."""
    made = name in first.writes and name not in first.reads
    return step.tensors[name].kind in PERSISTENT_KINDS and not made


def live_ranges(step: Step) -> dict[str, LiveRange]:
    """Live range of every tensor that some operation uses.

    Weights and optimizer state live through the whole step. A value carried over the repeats of a
    group (accumulated into from its first use on, or used by another group) lives through the whole group.

    Raises:
        WorkloadError: an operation names an unknown tensor, or reads a value that nothing wrote; loops inside loops.
    """
    group_of = {index: group for group in groups(step) for index in group.span}
    uses: dict[str, list[int]] = {}
    for index, operation in enumerate(step.operations):
        for name in dict.fromkeys(operation.reads + operation.writes):
            _check_use(step, operation, name, first_use=name not in uses)
            uses.setdefault(name, []).append(index)
    return {name: _range(step, name, indices, group_of) for name, indices in uses.items()}


def _range(step: Step, name: str, indices: Sequence[int], group_of: Mapping[int, Group]) -> LiveRange:
    first, last = indices[0], indices[-1]
    begin, begins, ends = step.operations[first], group_of[first], group_of[last]
    if persistent(step, name, begin):
        return LiveRange(0, len(step.operations) - 1, produced=True, carried=True)
    produced = name in begin.writes
    accumulated = produced and name in begin.reads
    across = begins != ends
    elsewhere = (group_of[index] for index in indices if group_of[index] != begins)
    each = not accumulated and any(group.trips == begins.trips for group in elsewhere)
    if (accumulated or across) and begins.trips > 1:
        first = begins.span.start
    if (accumulated or across) and ends.trips > 1:
        last = ends.span.stop - 1
    return LiveRange(first, last, produced, accumulated or across, begins.trips if each else 1)


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
