"""Operators without a row of their own: torch's decompositions, shapes and formulas for them."""

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from camel_plugin.workload.capture.call import Call
from camel_plugin.workload.operators import CREATION, Operator

LARGEST = 1 << 24
"""Elements of all operands of an operator that is tried out."""

_KEPT_WHOLE = frozenset({"detach", "expand", "_to_copy", "lift_fresh"})


def decomposition_of(call: Call, operators: Mapping[str, Operator]) -> Callable[..., object] | None:
    """How torch takes an operator apart into smaller ones; None if it has a row, or torch does not either."""
    name, func = call.name, call.func
    if torch.Tag.inplace_view in func.tags or name in operators or name in CREATION or name in _KEPT_WHOLE:
        return None
    if torch._C._dispatch_has_kernel_for_dispatch_key(func._name, "CompositeImplicitAutograd"):
        return func.decompose
    functional = _functional(call)
    parts = _table().get(functional)
    if parts is None or functional is func:
        return parts

    def in_place(target: Tensor, *args: object, **kwargs: object) -> Tensor:
        return target.copy_(parts(target, *args, **kwargs))

    return in_place


def _functional(call: Call) -> object:
    """The operator that returns what this one writes into its first argument; itself if it does not."""
    if call.func.namespace != "aten" or not call.func._schema.name.endswith("_"):
        return call.func
    packet = getattr(torch.ops.aten, call.name, None)
    return getattr(packet, call.func._overloadname, call.func)


@cache
def _table() -> dict[object, Callable[..., Tensor]]:
    return dict(core_aten_decompositions())


def result_of(call: Call, value: Callable[[Tensor], Tensor | None], note: Callable[[str], None]) -> object:
    """What an operator returns, without data; where it cannot tell the shape, that on values, or on ones, is taken.

    Raises:
        RuntimeError: the operator fails.
    """
    try:
        return call.run()
    except (NotImplementedError, RuntimeError) as error:
        try:
            result = _tried_on_ones(call, value)
        except (NotImplementedError, RuntimeError):
            raise error from None
    note(f"shape of {call.name}, found by a run on ones")
    return tree_map_only(Tensor, lambda t: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype), result)


def _tried_on_ones(call: Call, value: Callable[[Tensor], Tensor | None]) -> object:
    if sum(tensor.numel() for tensor in call.operands) > LARGEST:
        raise RuntimeError(f"{call.func} cannot tell its shape, and its operands are too large to try it")

    def real(tensor: Tensor) -> Tensor:
        known = value(tensor)
        return torch.ones(tensor.shape, dtype=tensor.dtype) if known is None else known

    with _disable_current_modes():
        return call.on(real).run()


def macs_of(call: Call, result: object) -> int | None:
    """Multiply-accumulates of an operator by torch's own formula, 0 if it goes element by element, None if unknown."""
    formula = flop_registry.get(call.func.overloadpacket)
    if formula is not None:
        return int(formula(*call.args, **call.kwargs, out_val=result)) // 2
    return 0 if torch.Tag.pointwise in call.func.tags else None
