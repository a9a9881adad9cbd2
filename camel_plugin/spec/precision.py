"""Number formats: how many bits a value of each kind of tensor takes. Free of torch."""

from collections.abc import Mapping

from camel_plugin.errors import UnknownNameError
from camel_plugin.spec.step import TensorKind

FORMAT_BITS = {
    "bfp58": 58 / 9,  # nine 6-bit mantissas and a 4-bit shared exponent (Zhang et al., HPCA 2024)
    "fp32": 32.0,
    "fp16": 16.0,
    "bf16": 16.0,
    "fp8": 8.0,
    "int8": 8.0,
}
"""Bits of one value; other work on a tensor's format (conversions, overflow) is not modelled."""


def bits_by_kind(formats: Mapping[str, str]) -> dict[TensorKind, float]:
    """Kind of tensor, or ``default`` for all that are not named, -> bits of one value.

    Raises:
        UnknownNameError: no such kind or format.
    """
    kinds = [kind.value for kind in TensorKind]
    for kind, name in formats.items():
        if kind not in (*kinds, "default"):
            raise UnknownNameError("kind of tensor", kind, (*kinds, "default"), field="precision")
        if name not in FORMAT_BITS:
            raise UnknownNameError("format", name, FORMAT_BITS, field=f"precision.{kind}")
    named = {kind: formats.get(kind, formats.get("default")) for kind in kinds}
    return {TensorKind(kind): FORMAT_BITS[name] for kind, name in named.items() if name}
