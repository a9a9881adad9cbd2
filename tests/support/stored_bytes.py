"""What a training step keeps for its backward pass, beside autograd and MemCNN."""

from camel_plugin.spec.step import Pass, TensorKind

_KEPT = frozenset({TensorKind.INPUT, TensorKind.ACTIVATION})
_RUNS_FORWARD = frozenset({Pass.FORWARD, Pass.RECONSTRUCT})


def stored_bytes(step, bytes_per_value=None):
    """Bytes of one micro-batch that wait, when the backward pass begins, to be read by it.

    Input and activations; neither weights nor what the backward pass itself makes.

    Args:
        step: the step.
        bytes_per_value: of every tensor; by default what the step says of each kind, or else 4 (FP32).
    """
    begin = next(i for i, operation in enumerate(step.operations) if operation.pass_ is not Pass.FORWARD)
    return _waiting_bytes(step, begin, bytes_per_value)


def peak_stored_bytes(step, bytes_per_value=None):
    """As :func:`stored_bytes`, but the most at any time: when it begins, or when a part of it has been run again."""
    passes = [operation.pass_ for operation in step.operations]
    begins = [i for i in range(1, len(passes)) if passes[i - 1] in _RUNS_FORWARD and passes[i] not in _RUNS_FORWARD]
    return max(_waiting_bytes(step, begin, bytes_per_value) for begin in begins)


def _waiting_bytes(step, index, bytes_per_value):
    """Input and activations touched before an operation and read by it or later."""
    made = {name for operation in step.operations[:index] for name in (*operation.reads, *operation.writes)}
    read = {name for operation in step.operations[index:] for name in operation.reads}
    kept = (name for name in made & read if step.tensors[name].kind in _KEPT)
    return sum(
        step.tensors[name].elements
        * (step.bits.get(step.tensors[name].kind, 32.0) / 8 if bytes_per_value is None else bytes_per_value)
        for name in kept
    )
