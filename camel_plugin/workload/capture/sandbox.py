"""Runs a module on tensors without data, and leaves it as it was.

Parameters and buffers are replaced for the run by stand-ins that say they are on the CPU and have shapes, types and
strides only (torch's ``FakeTensorMode``): nothing is computed or allocated, whatever the size, and code that asks for
devices, converts types or reads a constant goes on as it does with data.
"""

import gc
import random
import sys
from collections.abc import Collection, Generator, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from hashlib import sha256
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import _disable_current_modes

from camel_plugin.errors import WorkloadError

LARGEST_NOISE = 1 << 28
"""Elements of all tensors of a trace on random numbers."""

SMALL = 1 << 24
"""Elements of parameters, buffers and inputs of a module that is tried on random numbers."""


class Sandbox:
    """Stand-ins for the tensors of a module.

    Attributes:
        parameters: path -> stand-in.
        buffers: path -> stand-in.
        noise: stand-ins are copies and random numbers instead, for modules whose path depends on what they compute.
    """

    def __init__(self, module: nn.Module, *, noise: bool = False) -> None:
        self.noise = noise
        self.fake: FakeTensorMode | nullcontext[None] = (
            nullcontext() if noise else FakeTensorMode(allow_non_fake_inputs=True)
        )
        self._left = LARGEST_NOISE
        self.passed_through = False
        self._of: dict[int, Tensor] = {}
        self._real: list[Tensor] = []
        with self.fake:
            self.parameters: dict[str, Tensor] = {
                path: nn.Parameter(self._like(parameter.detach()), parameter.requires_grad)
                for path, parameter in module.named_parameters()
            }
            self.buffers: dict[str, Tensor] = {path: self._like(buffer) for path, buffer in module.named_buffers()}
        named = (*module.named_parameters(), *module.named_buffers())
        for path, tensor in named:
            self._remember(tensor, (self.parameters | self.buffers)[path])

    def _remember(self, real: Tensor, stand_in: Tensor) -> Tensor:
        self._real.append(real)
        self._of[id(real)] = stand_in
        return stand_in

    def _like(self, tensor: Tensor) -> Tensor:
        if not self.noise:
            return torch.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=tensor.dtype)
        self.count(tensor)
        return tensor.cpu().clone() if not tensor.is_meta else self.empty(tuple(tensor.shape), tensor.dtype)

    def count(self, tensor: Tensor) -> None:
        """Memory that is taken by data.

        Raises:
            WorkloadError: it is more than a trace on noise may take.
        """
        self._left -= tensor.numel()
        if self._left < 0:
            raise WorkloadError("its path depends on what it computes, and it is too large to be run on noise")

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor without data, or of random numbers (integers: ones)."""
        with self.fake:
            if not self.noise:
                return torch.empty(shape, dtype=dtype)
            return torch.randn(shape, dtype=dtype) if dtype.is_floating_point else torch.ones(shape, dtype=dtype)

    def stand_in(self, tensor: Tensor) -> Tensor:
        """The tensor itself, or for one of the module's own with data what stands in for it."""
        if isinstance(tensor, FakeTensor):
            return tensor
        if id(tensor) not in self._of:
            copy = tensor.detach().clone() if isinstance(self.fake, nullcontext) else self.fake.from_tensor(tensor)
            return self._remember(tensor, copy)
        return self._of[id(tensor)]

    @staticmethod
    def draw() -> str:
        """The state of torch's generator, which moves on; who restores it draws the same again."""
        with _disable_current_modes():
            state = torch.get_rng_state()
            torch.rand(1)
            return sha256(bytes(state.tolist())).hexdigest()

    def _reentrant(self, run: Any, _: object, *given: object) -> object:
        """A reentrant checkpoint that keeps everything; as in torch, it has no gradient if nothing given to it has."""
        self.passed_through = True
        differentiable = any(isinstance(each, Tensor) and each.requires_grad for each in given)
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            return run(*given)

    def _nothing_kept(self, *_: object, **__: object) -> Generator[None, None, None]:
        self.passed_through = True
        yield

    @contextmanager
    def running(self, module: nn.Module, evaluating: Collection[str]) -> Iterator[None]:
        """The module runs in training mode inside, on stand-ins, with attention taken apart and nothing recomputed.

        ``torch.utils.checkpoint`` is passed through: what is kept is for the schedule to say.
        """
        checkpointing = torch.utils.checkpoint
        patches = (
            patch.object(checkpointing, "CheckpointFunction", SimpleNamespace(apply=self._reentrant)),
            patch.object(checkpointing, "_checkpoint_without_reentrant_generator", self._nothing_kept),
            # A shape needs no statistics: one value a channel is as good as many.
            patch.object(nn.functional, "_verify_batch_size", lambda *_: None),
            patch.object(nn.functional, "_verify_spatial_size", lambda *_: None),
            # A module that moves its parameters or changes their type would replace the stand-ins.
            patch.object(nn.Module, "_apply", lambda module, *_, **__: module),
        )
        eager = getattr(torch.compiler, "set_stance", lambda _: nullcontext())("force_eager")
        modes = (sdpa_kernel(SDPBackend.MATH), _without_mkldnn(), torch.enable_grad(), eager)
        with ExitStack() as stack:
            for guard in (
                _caches_cleared(module),
                _generators_restored(),
                _state_restored(module),
                *patches,
                *modes,
                self.fake,
            ):
                stack.enter_context(guard)
            stack.enter_context(_gradients_restored(module))
            module.train()
            for path in evaluating:
                module.get_submodule(path).eval()
            yield


@contextmanager
def _without_mkldnn() -> Iterator[None]:
    """Recurrent layers are taken apart into steps, not handed to one kernel."""
    before = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)
    try:
        yield
    finally:
        torch._C._set_mkldnn_enabled(before)


@contextmanager
def _generators_restored() -> Iterator[None]:
    """Draws inside are always the same, and leave no trace."""
    state, numpy = random.getstate(), sys.modules.get("numpy")
    drawn = numpy.random.get_state() if numpy else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        if numpy:
            numpy.random.seed(0)
        try:
            yield
        finally:
            random.setstate(state)
            if numpy:
                numpy.random.set_state(drawn)


@contextmanager
def _state_restored(module: nn.Module) -> Iterator[None]:
    """What a forward pass leaves in attributes, lists and records of its modules is taken back."""
    saved: dict[int, tuple[object, object]] = {}
    for child in module.modules():
        _save(child, saved)
    try:
        yield
    finally:
        for holder, content in saved.values():
            _restore(holder, content)


@contextmanager
def _caches_cleared(module: nn.Module) -> Iterator[None]:
    """No tensor goes in or out by a cache of a function of the packages that the modules come from."""
    packages = {type(child).__module__.partition(".")[0] for child in module.modules()} - _OWN_PACKAGES
    try:
        _clear(packages)
        yield
    finally:
        _clear(packages)


_OWN_PACKAGES = {"torch", "camel_plugin"}
_CACHED = type(cache(len))


def _clear(packages: Collection[str]) -> None:
    for each in gc.get_objects() if packages else ():
        if type(each) is _CACHED and (each.__module__ or "").partition(".")[0] in packages:
            each.cache_clear()


@contextmanager
def _gradients_restored(module: nn.Module) -> Iterator[None]:
    """What reaches a parameter past the module (in a list or a closure) puts its gradient there."""
    before = [(parameter, parameter.grad) for parameter in module.parameters()]
    for parameter, _ in before:
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, gradient in before:
            parameter.grad = gradient


_OPAQUE = (Tensor, str, bytes, int, float, complex, bool, type(None), type, FunctionType, MethodType, ModuleType)


def _save(holder: object, saved: dict[int, tuple[object, object]]) -> None:
    if isinstance(holder, _OPAQUE) or id(holder) in saved:
        return
    content: object
    if isinstance(holder, dict | list | set):
        content = holder.copy()
        inside = list(dict.values(holder)) if isinstance(holder, dict) else list(holder)
    elif isinstance(holder, tuple):
        content, inside = None, list(tuple.__iter__(holder))
    elif isinstance(getattr(holder, "__dict__", None), dict):
        content, inside = dict(vars(holder)), list(vars(holder).values())
    else:
        return
    saved[id(holder)] = (holder, content)
    for part in inside:
        _save(part, saved)


def _restore(holder: Any, content: Any) -> None:
    """Take back what has changed; what has not may refuse to be written to."""
    if isinstance(holder, dict):
        if list(holder) != list(content) or any(holder[key] is not content[key] for key in content):
            holder.clear()
            holder.update(content)
    elif isinstance(holder, list):
        if len(holder) != len(content) or any(a is not b for a, b in zip(holder, content, strict=True)):
            holder[:] = content
    elif isinstance(holder, set):
        if holder != content:
            holder.clear()
            holder.update(content)
    elif not isinstance(holder, tuple):
        _restore(vars(holder), content)
