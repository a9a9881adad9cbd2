"""How much a training step has to remember, machine aside. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from camel_plugin.workload.step import Operation, Pass, Step, TensorKind

_TRANSIENT = frozenset({TensorKind.INPUT, TensorKind.ACTIVATION, TensorKind.GRADIENT})


def stored_bytes(step: Step, bytes_per_value: float = 4.0) -> float:
    """Bytes of one micro-batch that wait, when the backward pass begins, to be read by it.

    Input and activations; neither weights nor what the backward pass itself makes.
    """
    begin = next(i for i, operation in enumerate(step.operations) if operation.pass_ is not Pass.FORWARD)
    made = {name for operation in step.operations[:begin] for name in (*operation.reads, *operation.writes)}
    read = {name for operation in step.operations[begin:] for name in operation.reads}
    return bytes_per_value * _elements(step, made & read)


def peak_bytes(step: Step, bytes_per_value: float = 4.0) -> float:
    """Most bytes of inputs, activations and their gradients alive during one operation of a micro-batch.

    A tensor lives from the first operation that touches it to the last; an operation holds all that it reads and
    writes, and nothing is computed in place.
    """
    changes = [0] * (len(step.operations) + 1)
    for name, (first, last) in _spans(step.operations).items():
        elements = _elements(step, {name})
        changes[first] += elements
        changes[last + 1] -= elements
    return bytes_per_value * max(accumulate(changes))


def _elements(step: Step, names: set[str]) -> int:
    return sum(step.tensors[name].elements for name in names if step.tensors[name].kind in _TRANSIENT)


def _spans(operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """First and last operation that touches each tensor."""
    spans: dict[str, tuple[int, int]] = {}
    for index, operation in enumerate(operations):
        for name in (*operation.reads, *operation.writes):
            spans[name] = (spans.get(name, (index, index))[0], index)
    return spans
