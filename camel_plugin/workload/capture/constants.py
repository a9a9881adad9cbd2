"""Real values of the small constants of a trace, so that code which asks for one (``mask.all().item()``) goes on.

Only what follows from buffers, created tensors and integer inputs has a value. Integer inputs are taken to be ones: a
mask that hides nothing, some word of the vocabulary. Random numbers are taken at their mean: a layer that is dropped
now and then is there.
"""

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from camel_plugin.errors import WorkloadError
from camel_plugin.workload.capture.call import Call, tensors_in

LARGEST = 1 << 20
"""Elements of the largest constant whose value is kept."""

_MEANS = {"rand": 0.5, "randn": 0.0}


class Constants:
    """Values beside the meta tensors of a trace; views and writes in place act on them as on the tensors themselves."""

    def __init__(self) -> None:
        self._values: dict[int, Tensor] = {}

    def ones(self, tensor: Tensor) -> None:
        """Take an integer input to be ones."""
        if tensor.numel() <= LARGEST:
            self._values[id(tensor)] = torch.ones(tensor.shape, dtype=tensor.dtype, device="cpu")

    def follow(self, call: Call, result: object) -> None:
        """Run an operator on values, too, if it has them for all its operands."""
        operands, results = tensors_in((call.args, call.kwargs)), tensors_in(result)
        small = all(tensor.numel() <= LARGEST for tensor in (*operands, *results))
        known = small and all(self.value(tensor) is not None for tensor in operands)
        if known and call.name in _MEANS:
            (made,) = results
            self._values[id(made)] = torch.full(made.shape, _MEANS[call.name], dtype=made.dtype, device="cpu")
            return
        if not known or torch.Tag.nondeterministic_seeded in call.func.tags:
            self._forget(results)
            return
        try:
            values = call.on(self.value, "cpu").run()
        except (RuntimeError, NotImplementedError, IndexError, ValueError):
            self._forget(results)
            return
        for tensor, value in zip(results, tree_leaves(values), strict=False):
            self._values[id(tensor)] = value

    def value(self, tensor: Tensor) -> Tensor | None:
        """The value of a tensor, None if it has none."""
        if tensor.device.type != "meta" and id(tensor) not in self._values:
            self._values[id(tensor)] = tensor.detach().cpu().clone()  # the network's own is never written to
        return self._values.get(id(tensor))

    def scalar(self, tensor: Tensor) -> bool | int | float | complex:
        """The value of a tensor of one element.

        Raises:
            WorkloadError: it follows from the network's data.
        """
        value = self.value(tensor)
        if value is None:
            raise WorkloadError("control flow depends on values that only a run with data has")
        return value.item()

    def _forget(self, tensors: list[Tensor]) -> None:
        for tensor in tensors:
            self._values.pop(id(tensor), None)
