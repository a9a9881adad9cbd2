"""How much a training step has to remember, machine aside. Free of torch."""

from collections.abc import Sequence
from itertools import accumulate

from camel_plugin.spec.step import Operation, Step, TensorKind

_TRANSIENT = frozenset({TensorKind.INPUT, TensorKind.ACTIVATION, TensorKind.GRADIENT})


def peak_bytes(step: Step, bytes_per_value: float | None = None) -> float:
    """Most bytes of inputs, activations and their gradients alive during one operation of a micro-batch.

    A tensor lives from the first operation that touches it to the last; an operation holds all that it reads and
    writes, and nothing is computed in place. A value has by default the bytes that the step says of its kind, or else
    4 (FP32).
    """
    changes = [0.0] * (len(step.operations) + 1)
    for name, (first, last) in _spans(step.operations).items():
        size = _bytes(step, name, bytes_per_value)
        changes[first] += size
        changes[last + 1] -= size
    return max(accumulate(changes))


def _bytes(step: Step, name: str, bytes_per_value: float | None) -> float:
    tensor = step.tensors[name]
    if tensor.kind not in _TRANSIENT:
        return 0.0
    if tensor.bits is not None and bytes_per_value is None:
        return tensor.elements * tensor.bits / 8
    return tensor.elements * (step.bits.get(tensor.kind, 32.0) / 8 if bytes_per_value is None else bytes_per_value)


def _spans(operations: Sequence[Operation]) -> dict[str, tuple[int, int]]:
    """First and last operation that touches each tensor."""
    spans: dict[str, tuple[int, int]] = {}
    for index, operation in enumerate(operations):
        for name in (*operation.reads, *operation.writes):
            spans[name] = (spans.get(name, (index, index))[0], index)
    return spans
