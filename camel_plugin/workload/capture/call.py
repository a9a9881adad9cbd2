"""One call of an operator, and the tensors in what it takes and returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

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

    @cached_property
    def name(self) -> str:
        """``add`` of ``aten::add_.Tensor``; operators of other libraries keep theirs, ``mine::scale``."""
        library, _, name = self.func._schema.name.partition("::")
        return name.rstrip("_") if library == "aten" else f"{library}::{name}"

    @cached_property
    def arguments(self) -> Kwargs:
        """All of them by name."""
        by_position = zip(self.func._schema.arguments, self.args, strict=False)
        return {argument.name: value for argument, value in by_position} | self.kwargs

    @cached_property
    def operands(self) -> list[Tensor]:
        """All tensors that it is given."""
        return tensors_in((self.args, self.kwargs))

    @cached_property
    def written(self) -> list[Tensor]:
        """The operands that it writes into, as its schema declares."""
        if not self.func._schema.is_mutable:
            return []
        declared = [a.name for a in self.func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        return [tensor for name in declared for tensor in tensors_in(self.arguments.get(name))]

    def on(self, other: Callable[[Tensor], Tensor | None]) -> Call:
        """The call on other tensors."""
        args, kwargs = tree_map_only(Tensor, other, (self.args, self.kwargs))
        return Call(self.func, args, kwargs)

    def run(self) -> object:
        """What the operator returns."""
        return self.func(*self.args, **self.kwargs)


def tensors_in(tree: object) -> list[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def flat(tensor: Tensor) -> Shape:
    """Extents as plain integers."""
    return tuple(map(int, tensor.shape))


Signature = tuple[object, ...]
"""What two calls have in common that do the same with their operands."""


def signature_of(call: Call, draw: str | None = None) -> Signature:
    """That of a call; ``draw`` is the state of the generator of one that draws random numbers."""
    return (call.name, draw, str(tree_map_only(Tensor, _layout, (call.args, call.kwargs))))


def _layout(tensor: Tensor) -> tuple[object, ...]:
    """Shape, and which dimension is inside of which; not how far apart rows lie."""
    steps = [
        (-int(step), dim) for dim, (step, n) in enumerate(zip(tensor.stride(), tensor.shape, strict=True)) if n > 1
    ]
    return tuple(tensor.shape), tuple(dim for _, dim in sorted(steps)), tuple(step == 0 for step, _ in steps)
