"""Operators without a rule of their own: torch's decompositions, shapes and formulas for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch._ops import OpOverload
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import flop_registry

from camel_plugin.workload.capture.tensors import tensors_in
from camel_plugin.workload.operators import CREATION, OPERATORS, VIEWS

LARGEST = 1 << 24
"""Elements of all operands of an operator that is tried out."""

_DECOMPOSED_BY_RECORDER = ("detach", "expand", "copy")


def name_of(func: OpOverload[..., object]) -> str:
    """``aten::add_.Tensor`` -> ``add_``."""
    return func._schema.name.partition("::")[2]


def decomposition_of(func: OpOverload[..., object]) -> Callable[..., object] | None:
    """How torch takes an operator apart into smaller ones; None if it has a rule here, or torch does not either."""
    base = name_of(func)
    if base.rstrip("_") in OPERATORS or base in (*CREATION, *VIEWS, *_DECOMPOSED_BY_RECORDER):
        return None
    if torch._C._dispatch_has_kernel_for_dispatch_key(func._name, "CompositeImplicitAutograd"):
        return func.decompose
    functional = _functional(func)
    parts = _table().get(functional)
    if parts is None or functional is func:
        return parts

    def in_place(target: Tensor, *args: object, **kwargs: object) -> Tensor:
        return target.copy_(parts(target, *args, **kwargs))

    return in_place


def _functional(func: OpOverload[..., object]) -> object:
    """The operator that returns what ``func`` writes into its first argument; ``func`` itself if it does not."""
    name = name_of(func)
    if not name.endswith("_") or name.startswith("_"):
        return func
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    return getattr(packet, func._overloadname, func)


@cache
def _table() -> dict[object, Callable[..., Tensor]]:
    return dict(core_aten_decompositions())


def tried_on_ones(
    func: OpOverload[..., object],
    args: Sequence[object],
    kwargs: Mapping[str, object],
    value: Callable[[Tensor], Tensor | None],
) -> object:
    """The result on the meta device of an operator that does not run there: it is run on values, or on ones.

    Raises:
        RuntimeError: the operands are too large, or it fails on them.
    """
    if sum(tensor.numel() for tensor in tensors_in((args, kwargs))) > LARGEST:
        raise RuntimeError(f"{func} has no meta kernel, and operands too large to try it")

    def real(tensor: Tensor) -> Tensor:
        known = value(tensor)
        return torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu") if known is None else known

    real_args, real_kwargs = tree_map_only(Tensor, real, (args, kwargs))
    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), func(*real_args, **real_kwargs))


def macs_of(
    func: OpOverload[..., object], args: Sequence[object], kwargs: Mapping[str, object], result: object
) -> int | None:
    """Multiply-accumulates of an operator by torch's own formula, 0 if it goes element by element, None if unknown."""
    formula = flop_registry.get(func.overloadpacket)
    if func._schema.name == "aten::_grouped_mm":  # each row meets the matrix of one group
        rows, matrices = tensors_in(args)[:2]
        return rows.numel() * matrices.shape[-1]
    if formula is not None:
        return int(formula(*args, **kwargs, out_val=result)) // 2
    return 0 if torch.Tag.pointwise in func.tags else None
