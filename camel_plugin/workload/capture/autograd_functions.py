"""Functions with a backward pass of their own (``torch.autograd.Function``) in a trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.utils.checkpoint import CheckpointFunction


class _Context(FunctionCtx):
    """What a forward pass leaves for the backward pass that it will not have."""

    needs_input_grad: tuple[bool, ...]


@contextmanager
def traced_as_plain_code(note: Callable[[str], None]) -> Iterator[None]:
    """Run their forward passes as if they stood in the network, for their gradients cannot be seen from outside.

    A reentrant ``torch.utils.checkpoint`` is such a function, too; what it keeps is for the schedule to say. ``note``
    is told what stands in for the gradients that the function would have computed.
    """

    def apply(cls: type[Function], /, *args: object, **kwargs: object) -> object:
        if cls is CheckpointFunction:
            run, _, *given = args
            assert callable(run)
            return run(*given)
        if cls.__module__ != "torch._library.autograd":  # that of a custom operator, which speaks for itself
            note(f"own backward pass of {cls.__name__}, taken to be that of its forward pass")
        context = _Context()
        context.needs_input_grad = tuple(isinstance(arg, torch.Tensor) and arg.requires_grad for arg in args)
        if cls.setup_context is Function.setup_context:
            return cls.forward(context, *args, **kwargs)
        outputs = cls.forward(*args, **kwargs)
        cls.setup_context(context, args, outputs)
        return outputs

    original = Function.__dict__["apply"]
    Function.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        Function.apply = original  # type: ignore[method-assign]
