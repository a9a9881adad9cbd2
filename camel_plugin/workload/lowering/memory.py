"""How much a training step has to remember, machine aside. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from camel_plugin.spec.step import Operation, Pass, Step, TensorKind

_KEPT = frozenset({TensorKind.INPUT, TensorKind.ACTIVATION})
_TRANSIENT = _KEPT | {TensorKind.GRADIENT}
_RUNS_FORWARD = frozenset({Pass.FORWARD, Pass.RECONSTRUCT})


def stored_bytes(step: Step, bytes_per_value: float | None = None) -> float:
    """Bytes of one micro-batch that wait, when the backward pass begins, to be read by it.

    Input and activations; neither weights nor what the backward pass itself makes.

    Args:
        step: the step.
        bytes_per_value: of every tensor; by default what the step says of each kind, or else 4 (FP32).
    """
    begin = next(i for i, operation in enumerate(step.operations) if operation.pass_ is not Pass.FORWARD)
    return _waiting_bytes(step, begin, bytes_per_value)


def peak_stored_bytes(step: Step, bytes_per_value: float | None = None) -> float:
    """As :func:`stored_bytes`, but the most at any time: when it begins, or when a part of it has been run again."""
    passes = [operation.pass_ for operation in step.operations]
    begins = [i for i in range(1, len(passes)) if passes[i - 1] in _RUNS_FORWARD and passes[i] not in _RUNS_FORWARD]
    return max(_waiting_bytes(step, begin, bytes_per_value) for begin in begins)


def peak_bytes(step: Step, bytes_per_value: float | None = None) -> float:
    """Most bytes of inputs, activations and their gradients alive during one operation of a micro-batch.

    A tensor lives from the first operation that touches it to the last; an operation holds all that it reads and
    writes, and nothing is computed in place. Arguments as for :func:`stored_bytes`.
    """
    changes = [0.0] * (len(step.operations) + 1)
    for name, (first, last) in _spans(step.operations).items():
        size = _bytes(step, name, bytes_per_value)
        changes[first] += size
        changes[last + 1] -= size
    return max(accumulate(changes))


def _waiting_bytes(step: Step, index: int, bytes_per_value: float | None) -> float:
    """Input and activations touched before an operation and read by it or later."""
    made = {name for operation in step.operations[:index] for name in (*operation.reads, *operation.writes)}
    read = {name for operation in step.operations[index:] for name in operation.reads}
    kept = (name for name in made & read if step.tensors[name].kind in _KEPT)
    return sum(_bytes(step, name, bytes_per_value) for name in kept)


def _bytes(step: Step, name: str, bytes_per_value: float | None) -> float:
    tensor = step.tensors[name]
    if tensor.kind not in _TRANSIENT:
        return 0.0
    return tensor.elements * (step.bits.get(tensor.kind, 32.0) / 8 if bytes_per_value is None else bytes_per_value)


def _spans(operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """First and last operation that touches each tensor."""
    spans: dict[str, tuple[int, int]] = {}
    for index, operation in enumerate(operations):
        for name in (*operation.reads, *operation.writes):
            spans[name] = (spans.get(name, (index, index))[0], index)
    return spans
