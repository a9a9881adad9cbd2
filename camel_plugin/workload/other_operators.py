"""Operators without a rule of their own: torch's decompositions, shapes and formulas for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._decomp import core_aten_decompositions
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from camel_plugin.workload.operators import CREATION, OPERATORS, VIEWS

LARGEST = 1 << 24
"""Elements of all operands of an operator that is tried out."""

_DECOMPOSED_BY_RECORDER = ("detach", "expand", "copy")


def decomposition_of(func: Any) -> Callable[..., Any] | None:
    """How torch takes an operator apart into smaller ones; None if it has a rule here, or torch does not either."""
    base = func._schema.name.partition("::")[2]
    if base.rstrip("_") in OPERATORS or base in (*CREATION, *VIEWS, *_DECOMPOSED_BY_RECORDER):
        return None
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        return func.decompose  # type: ignore[no-any-return]
    functional = _functional(func)
    parts = _table().get(functional)
    if parts is None or functional is func:
        return parts

    def in_place(target: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return target.copy_(parts(target, *args, **kwargs))

    return in_place


def _functional(func: Any) -> Any:
    """The operator that returns what ``func`` writes into its first argument; ``func`` itself if it does not."""
    name = func._schema.name.partition("::")[2]
    if not name.endswith("_") or name.startswith("_"):
        return func
    packet = getattr(torch.ops.aten, name.rstrip("_"), None)
    return getattr(packet, func._overloadname, func)


@cache
def _table() -> dict[Any, Callable[..., Any]]:
    return dict(core_aten_decompositions())


def tried_on_ones(func: Any, args: Any, kwargs: dict[str, Any], value: Callable[[Tensor], Tensor | None]) -> Any:
    """The result on the meta device of an operator that runs there not: it is run on values, or on ones.

    Args:
        func: the operator.
        args: its arguments.
        kwargs: its arguments by name.
        value: of a tensor, None if it has none.

    Raises:
        RuntimeError: the operands are too large, or it fails on them.
    """
    operands = [tensor for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)]
    if sum(tensor.numel() for tensor in operands) > LARGEST:
        raise RuntimeError(f"{func} has no meta kernel, and operands too large to try it")

    def real(tensor: Tensor) -> Tensor:
        known = value(tensor)
        return torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu") if known is None else known

    real_args, real_kwargs = tree_map_only(Tensor, real, (args, kwargs))
    return tree_map_only(Tensor, lambda tensor: tensor.to("meta"), func(*real_args, **real_kwargs))


def macs_of(func: Any, args: Any, kwargs: dict[str, Any], result: Any) -> int | None:
    """Multiply-accumulates of an operator by torch's own formula, 0 if it goes element by element, None if unknown."""
    formula = flop_registry.get(func.overloadpacket)
    if func._schema.name == "aten::_grouped_mm":  # each row meets the matrix of one group
        return int(args[0].numel() * args[1].shape[-1])
    if formula is not None:
        return int(formula(*args, **kwargs, out_val=result)) // 2
    return 0 if torch.Tag.pointwise in func.tags else None
