"""Problems: affine loop nests over dataspaces, in Timeloop's sense. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Term = tuple[str, int]
"""One summand of a projection: (dimension, coefficient)."""


@dataclass(frozen=True)
class Dataspace:
    """A tensor as the loop nest sees it.

    Attributes:
        name: ``Weights``, ``Inputs``, ``Outputs`` or any other.
        projection: one entry per rank of the tensor, each a sum of (dimension, coefficient).
        read_write: True for the tensor that is accumulated into.
    """

    name: str
    projection: tuple[tuple[Term, ...], ...]
    read_write: bool = False

    @property
    def dimensions(self) -> frozenset[str]:
        """The dimensions that index this tensor (the relevant ones)."""
        return frozenset(dim for rank in self.projection for dim, _ in rank)

    def box(self, tile: Mapping[str, int]) -> tuple[int, ...]:
        """Extents of the bounding box that a tile of the iteration space touches, in words.

        Strides leave gaps inside the box; they count, as they do in Timeloop.
        """
        return tuple(1 + sum(coef * (tile.get(dim, 1) - 1) for dim, coef in rank) for rank in self.projection)

    def volume(self, tile: Mapping[str, int]) -> int:
        """Words in :meth:`box`."""
        return math.prod(self.box(tile))


@dataclass(frozen=True)
class Problem:
    """A perfectly nested affine loop nest whose body is one multiply-accumulate.

    Two problems are equal when their loops and dataspaces are, whatever their names.

    Attributes:
        dimensions: the loops, in the order of the shape.
        bounds: iterations of each loop, same order.
        dataspaces: the tensors; exactly one is read-write in the problems this project makes.
        shape: name of the shape, ``conv`` say. A label.
        name: name of this instance. A label.
    """

    dimensions: tuple[str, ...]
    bounds: tuple[int, ...]
    dataspaces: tuple[Dataspace, ...]
    shape: str = field(default="problem", compare=False)
    name: str = field(default="problem", compare=False)

    @property
    def size(self) -> dict[str, int]:
        """Bound of every dimension."""
        return dict(zip(self.dimensions, self.bounds, strict=True))

    @property
    def macs(self) -> int:
        """Multiply-accumulates: the product of all bounds."""
        return math.prod(self.bounds)

    def with_bounds(self, bounds: Mapping[str, int]) -> Problem:
        """This problem with some bounds (dimension -> bound) replaced."""
        return replace(self, bounds=tuple(bounds.get(dim, bound) for dim, bound in self.size.items()))

    def dataspace(self, name: str) -> Dataspace:
        """The dataspace called ``name`` (KeyError if there is none)."""
        for dataspace in self.dataspaces:
            if dataspace.name == name:
                return dataspace
        raise KeyError(name)

    def volume(self, name: str) -> int:
        """Words of a whole tensor (its bounding box)."""
        return self.dataspace(name).volume(self.size)
