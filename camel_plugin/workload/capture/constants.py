"""Real values of the small constants of a trace, so that code which asks for one (``mask.all().item()``) goes on.

Only what follows from buffers, created tensors and integer inputs has a value. Integer inputs are taken to be ones: a
mask that hides nothing, some word of the vocabulary. Random numbers are taken at their mean: a layer that is dropped
now and then is there. Choices (``topk``, ``argmax``, ``sort``) among what only a run with data has are balanced: row
after row takes the next candidates in turn, so that each expert of a mixture gets its expected share of the tokens.
"""

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves

from camel_plugin.errors import WorkloadError
from camel_plugin.workload.capture.call import Call, tensors_in

LARGEST = 1 << 20
"""Elements of the largest constant whose value is kept."""

_LITERAL = 64
"""Elements of the largest constant that is told from others by its content."""

_MEANS = {"rand": 0.5, "randn": 0.0, "rand_like": 0.5, "randn_like": 0.0, "uniform": 0.5, "normal": 0.0}


class Constants:
    """Values beside the tensors of a trace; views and writes in place act on them as on the tensors themselves."""

    def __init__(self) -> None:
        self.balanced = False
        self._values: dict[int, Tensor] = {}
        self._sharing: dict[int, set[int]] = defaultdict(set)
        self._alive: list[Tensor] = []  # an identity is given again once it is free

    def ones(self, tensor: Tensor) -> None:
        """Take an integer input to be ones."""
        if tensor.numel() <= LARGEST:
            with _disable_current_modes():
                self._keep(tensor, torch.ones(tuple(tensor.shape), dtype=tensor.dtype))

    def stands_for(self, tensor: Tensor, real: Tensor) -> None:
        """Let a tensor have the value of a real one, which is never written to."""
        if real.numel() <= LARGEST and not real.is_meta and not isinstance(real, FakeTensor):
            with _disable_current_modes():
                self._keep(tensor, real.detach().cpu().clone())

    def _keep(self, tensor: Tensor, value: Tensor) -> None:
        self._values[id(tensor)] = value
        self._alive.append(tensor)
        self._sharing[tensor.untyped_storage()._cdata].add(id(tensor))

    def follow(self, call: Call, result: object) -> None:
        """Run an operator on values, too, if it has them for all its operands."""
        results = tensors_in(result)
        known = all(id(tensor) in self._values for tensor in call.operands)
        if call.name in _MEANS and all(tensor.numel() <= LARGEST for tensor in results):
            self._compute(
                lambda: [torch.full(tuple(t.shape), _MEANS[call.name], dtype=t.dtype) for t in results], results
            )
        elif known and all(tensor.numel() <= LARGEST for tensor in results):
            if torch.Tag.nondeterministic_seeded in call.func.tags:
                self._forget(results)
            else:
                self._compute(call.on(self.value).run, results)
        elif call.name in _HEALTHY and all(tensor.numel() <= LARGEST for tensor in results):
            healthy = _HEALTHY[call.name]
            self._compute(lambda: [torch.full(tuple(t.shape), healthy, dtype=torch.bool) for t in results], results)
        elif call.name in _CHOICES and call.operands[0].numel() <= LARGEST:
            self._choose(call, results)
        elif self._values:
            self._forget([*results, *call.written])

    def value(self, tensor: Tensor) -> Tensor | None:
        """The value of a tensor, None if it has none."""
        return self._values.get(id(tensor))

    def literal(self, tensor: Tensor) -> str | None:
        """The content of a small constant."""
        value = self.value(tensor)
        if value is None or value.numel() > _LITERAL:
            return None
        with _disable_current_modes():
            return f"{value.dtype} {value.tolist()}"

    def permutes(self, call: Call) -> bool:
        """Whether an operator reads all rows of a tensor once, in an order that is always the same."""
        given = [tensor for tensor in call.operands if not tensor.is_floating_point()]
        values = [self.value(tensor) for tensor in given]
        if len(values) != 1 or values[0] is None or values[0].dim() != 1:
            return False
        with _disable_current_modes():
            order, (data, *_) = values[0].tolist(), [t for t in call.operands if t.is_floating_point()]
        return len(order) in data.shape and sorted(order) == list(range(len(order)))

    def scalar(self, tensor: Tensor) -> bool | int | float | complex:
        """The value of a tensor of one element.

        Raises:
            WorkloadError: it follows from the network's data.
        """
        value = self.value(tensor)
        if value is None:
            raise WorkloadError("control flow depends on values that only a run with data has")
        with _disable_current_modes():
            return value.item()

    def _compute(self, run: Callable[[], object], results: list[Tensor]) -> None:
        try:
            with _disable_current_modes():
                values = run()
        except (RuntimeError, NotImplementedError, IndexError, ValueError):
            self._forget(results)
            return
        for tensor, value in zip(results, tree_leaves(values), strict=False):
            self._keep(tensor, value)

    def _choose(self, call: Call, results: list[Tensor]) -> None:
        """The chosen indices, as if each row preferred the candidates that come after those of the row before."""
        scores, dim = call.operands[0], call.arguments.get("dim", -1)
        if not scores.dim() or dim is None:
            return
        assert isinstance(dim, int)
        rows = scores.numel() // int(scores.shape[dim])
        step = call.arguments.get("k", 1)
        assert isinstance(step, int)

        def run() -> list[Tensor]:
            count = int(scores.shape[dim])
            order = (torch.arange(count) - step * torch.arange(rows).unsqueeze(1)) % count
            ranks = -order.reshape(*(n for i, n in enumerate(scores.shape) if i != dim % scores.dim()), count)
            values = ranks.movedim(-1, dim).to(scores.dtype)
            found = call.on(lambda tensor: values if tensor is scores else self.value(tensor)).run()
            return tensors_in(found)

        chosen = [tensor for tensor in results if not tensor.is_floating_point()]
        kept = [i for i, tensor in enumerate(results) if not tensor.is_floating_point()]
        self._compute(lambda: [run()[i] for i in kept], chosen)
        self.balanced = True

    def _forget(self, tensors: list[Tensor]) -> None:
        """What is written has no value any more, whichever view of its memory shows it."""
        for tensor in tensors:
            for name in self._sharing.pop(tensor.untyped_storage()._cdata, set()):
                self._values.pop(name, None)


_HEALTHY = {"isnan": False, "isinf": False, "isfinite": True}
"""What a network that works computes is finite."""

_CHOICES = frozenset({"topk", "argmax", "argmin", "sort", "argsort"})
