"""Tensors in what operators and modules take and return."""

from __future__ import annotations

from torch import Tensor
from torch.utils._pytree import tree_leaves

from camel_plugin.spec.graph import Shape


def tensors_in(tree: object) -> list[Tensor]:
    """The tensors in nested lists, tuples and mappings."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def flat(tensor: Tensor) -> Shape:
    """Extents as plain integers."""
    return tuple(int(extent) for extent in tensor.shape)
