"""Multiply-accumulates of single calls, straight from their operands: what a lowered step is held against."""

from collections.abc import Callable
from math import prod

from torch import Tensor

from camel_plugin.workload.capture.call import Call, flat, tensors_in


def multiply_accumulates(call: Call, result: object) -> int:
    """Of one call; 0 of an operator that has none."""
    formula = _FORMULAS.get(call.name)
    return formula(call, tensors_in(result)) if formula else 0


def _matrices(one: str, other: str) -> Callable[[Call, list[Tensor]], int]:
    def count(call: Call, results: list[Tensor]) -> int:
        a, b = call.arguments[one], call.arguments[other]
        assert isinstance(a, Tensor) and isinstance(b, Tensor)
        return a.numel() * (int(b.shape[-1]) if b.dim() > 1 else 1)

    return count


def _convolution(call: Call, results: list[Tensor]) -> int:
    x, weight = call.arguments["input"], call.arguments["weight"]
    assert isinstance(x, Tensor) and isinstance(weight, Tensor)
    return _taps(call, x, results[0], weight)


def _convolution_backward(call: Call, results: list[Tensor]) -> int:
    dy, x, weight = (call.arguments[name] for name in ("grad_output", "input", "weight"))
    assert isinstance(dy, Tensor) and isinstance(x, Tensor) and isinstance(weight, Tensor)
    mask = call.arguments["output_mask"]
    assert isinstance(mask, list | tuple)
    return sum(map(bool, mask[:2])) * _taps(call, x, dy, weight)


def _taps(call: Call, x: Tensor, y: Tensor, weight: Tensor) -> int:
    """Each element of the smaller image meets each tap of its group's kernel."""
    image = x if call.arguments["transposed"] else y
    return prod(flat(image)) * prod(flat(weight)[1:])


_FORMULAS: dict[str, Callable[[Call, list[Tensor]], int]] = {
    "mm": _matrices("self", "mat2"),
    "addmm": _matrices("mat1", "mat2"),
    "bmm": _matrices("self", "mat2"),
    "baddbmm": _matrices("batch1", "batch2"),
    "_grouped_mm": _matrices("self", "mat2"),
    "mv": _matrices("self", "vec"),
    "addmv": _matrices("mat", "vec"),
    "dot": _matrices("self", "tensor"),
    "convolution": _convolution,
    "convolution_backward": _convolution_backward,
}
