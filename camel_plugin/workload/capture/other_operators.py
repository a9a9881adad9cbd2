"""Operators without a rule of their own: torch's decompositions, shapes and formulas for them."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from camel_plugin.workload.capture.call import Call, tensors_in
from camel_plugin.workload.capture.operators import CREATION, OPERATORS, VIEWS

LARGEST = 1 << 24
"""Elements of all operands of an operator that is tried out."""

_DECOMPOSED_BY_RECORDER = ("detach", "expand", "copy")


def decomposition_of(call: Call) -> Callable[..., object] | None:
    """How torch takes an operator apart into smaller ones; None if it has a rule here, or torch does not either."""
    base, func = call.name, call.func
    if base.rstrip("_") in OPERATORS or base in (*CREATION, *VIEWS, *_DECOMPOSED_BY_RECORDER):
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
    if not call.name.endswith("_") or call.name.startswith("_"):
        return call.func
    packet = getattr(torch.ops.aten, call.name.rstrip("_"), None)
    return getattr(packet, call.func._overloadname, call.func)


@cache
def _table() -> dict[object, Callable[..., Tensor]]:
    return dict(core_aten_decompositions())


def tried_on_ones(call: Call, value: Callable[[Tensor], Tensor | None]) -> object:
    """The result on the meta device of an operator that does not run there: it is run on values, or on ones.

    Raises:
        RuntimeError: the operands are too large, or it fails on them.
    """
    if sum(tensor.numel() for tensor in tensors_in((call.args, call.kwargs))) > LARGEST:
        raise RuntimeError(f"{call.func} has no meta kernel, and operands too large to try it")

    def real(tensor: Tensor) -> Tensor:
        known = value(tensor)
        return torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu") if known is None else known

    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), call.on(real, "meta").run())


def macs_of(call: Call, result: object) -> int | None:
    """Multiply-accumulates of an operator by torch's own formula, 0 if it goes element by element, None if unknown."""
    formula = flop_registry.get(call.func.overloadpacket)
    if call.func._schema.name == "aten::_grouped_mm":  # each row meets the matrix of one group
        rows, matrices = tensors_in(call.args)[:2]
        return rows.numel() * matrices.shape[-1]
    if formula is not None:
        return int(formula(*call.args, **call.kwargs, out_val=result)) // 2
    return 0 if torch.Tag.pointwise in call.func.tags else None
