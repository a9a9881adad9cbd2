"""Does the inverse of a reversible module give its input back? Computed once in float64, on noise."""

import copy
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_leaves, tree_map_only

from camel_plugin.errors import WorkloadError

T = TypeVar("T")

TOLERANCE = 1e-6
"""Largest difference, relative to the largest value. Rounding in float64 leaves about 1e-13 of a healthy block."""

_SMALL = 8
"""Rows and columns of the images that are tried first."""


def verify_inverse(module: nn.Module, arguments: Sequence[object], path: str) -> None:
    """Check ``inverse(forward(x, *side), *side) == x`` on a copy of ``module``.

    Weights get some noise, lest branches that start at zero hide a wrong inverse; modules on the meta device get noise
    alone. Dropout is switched off: a real step keeps its masks or their seed.

    Of the arguments that ``forward`` was called with only shapes and types count. Where the module also takes smaller
    images, these are used.

    Raises:
        WorkloadError: the inverse fails or returns something else.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        twin = _noisy(module)
        try:
            x, side, y = _forward(twin, _smaller(arguments))
        except Exception:  # sizes are built in
            x, side, y = _forward(twin, arguments)
        try:
            back = inverse_of(twin)(_copies(y), *_copies(side))
        except Exception as error:
            raise WorkloadError(f"the inverse of {path} fails: {error}", field=path) from error
    pairs = list(zip(tree_leaves(x), tree_leaves(back), strict=False))
    same = len(tree_leaves(back)) == len(pairs) and all(a.shape == b.shape for a, b in pairs)
    scale = max(float(t.abs().max()) for t in tree_leaves((x, y)))
    worst = max(float((a - b).abs().max()) for a, b in pairs) if same else float("inf")
    if not worst <= TOLERANCE * max(1.0, scale):
        raise WorkloadError(
            f"inverse(forward(x)) is not x in {path} ({type(module).__name__})",
            field=path,
            value=f"largest difference {worst:.3g}",
            suggestion="mend inverse, or leave it out: the module is then an ordinary one",
        )


def inverse_of(module: nn.Module) -> Callable[..., object]:
    """The inverse of a module that has one."""
    inverse: object = module.inverse
    assert callable(inverse)
    return inverse


def _noisy(module: nn.Module) -> nn.Module:
    twin = copy.deepcopy(module)
    if any(tensor.is_meta for tensor in (*twin.parameters(), *twin.buffers())):
        twin = twin.to_empty(device="cpu")
        for tensor in (*twin.parameters(), *twin.buffers()):
            tensor.zero_()
        for child in twin.modules():
            variance = getattr(child, "running_var", None)
            if isinstance(variance, Tensor):
                variance.fill_(1)
    twin = twin.double().cpu()
    for parameter in twin.parameters():
        parameter.add_(torch.empty_like(parameter).uniform_(-0.2, 0.2))
    for child in twin.modules():
        if isinstance(child, _DropoutNd):
            child.eval()
    return twin


def _forward(twin: nn.Module, arguments: Sequence[object]) -> tuple[object, list[object], object]:
    x, *side = tree_map_only(Tensor, _noise, list(arguments))
    return x, side, twin(*_copies([x, *side]))


def _copies(tree: T) -> T:
    """A module may free what it is given."""
    copies: T = tree_map_only(Tensor, Tensor.clone, tree)
    return copies


def _noise(like: Tensor) -> Tensor:
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    return torch.randn(like.shape, dtype=torch.float64)


def _smaller(arguments: Sequence[object]) -> list[object]:
    def cut(tensor: Tensor) -> Tensor:
        shape = (2, tensor.shape[1], *(min(extent, _SMALL) for extent in tensor.shape[2:]))
        return torch.empty(shape, dtype=tensor.dtype, device="meta") if tensor.dim() == 4 else tensor

    smaller: list[object] = tree_map_only(Tensor, cut, list(arguments))
    return smaller
