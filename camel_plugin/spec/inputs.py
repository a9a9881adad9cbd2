"""What a network is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

DTYPES = ("float", "int64", "int32", "bool")
"""``float`` stands for the type of the network's own parameters."""


@dataclass(frozen=True)
class InputTensor:
    """One input.

    Attributes:
        shape: extents, of one sample or with the batch in front as the user of this class says.
        dtype: one of ``DTYPES``.
    """

    shape: tuple[int, ...]
    dtype: str = "float"

    def batched(self, samples: int) -> InputTensor:
        """So many samples of it."""
        return replace(self, shape=(samples, *self.shape))
