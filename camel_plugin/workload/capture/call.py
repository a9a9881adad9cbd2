"""One call of an operator, and the tensors in what it takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves, tree_map_only

from camel_plugin.spec.graph import Shape

Args = tuple[object, ...]
Kwargs = dict[str, object]


@dataclass(frozen=True)
class Call:
    """An operator with its arguments, by position and by name."""

    func: OpOverload[..., object]
    args: Args
    kwargs: Kwargs

    @property
    def name(self) -> str:
        """``add_`` of ``aten::add_.Tensor``."""
        return self.func._schema.name.partition("::")[2]

    @property
    def arguments(self) -> Kwargs:
        """All of them by name."""
        by_position = zip(self.func._schema.arguments, self.args, strict=False)
        return {argument.name: value for argument, value in by_position} | self.kwargs

    @property
    def written(self) -> Tensor | None:
        """The operand that an operator in place writes into."""
        first = self.args[0] if self.args else None
        return first if self.name.endswith("_") and isinstance(first, Tensor) else None

    def on(self, other: Callable[[Tensor], Tensor | None], device: str) -> Call:
        """The call on other tensors; what it creates is created on ``device``."""
        args, kwargs = tree_map_only(Tensor, other, (self.args, self.kwargs))
        return Call(self.func, args, kwargs | ({"device": torch.device(device)} if "device" in kwargs else {}))

    def run(self) -> object:
        """What the operator returns."""
        return self.func(*self.args, **self.kwargs)


def tensors_in(tree: object) -> list[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def flat(tensor: Tensor) -> Shape:
    """Extents as plain integers."""
    return tuple(int(extent) for extent in tensor.shape)
