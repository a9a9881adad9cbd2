"""Mappings: how the loops of a problem are laid over the nodes of a machine."""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field


@dataclass(frozen=True)
class NodeMapping:
    """The loops at one node.

    Attributes:
        target: name of the storage level or of the spatial container.
        factors: dimension -> factor; an absent dimension has factor 1.
        permutation: all dimensions with a factor above 1, OUTERMOST first (v0.4 files list them
            innermost first; the reader and the writer turn them round).
        x_dims: spatial nodes only: dimensions that run along X; the others run along Y.
        keep: storage nodes only: dataspaces that this level keeps; it bypasses the others.
    """

    target: str
    factors: MappingType[str, int] = field(default_factory=dict)
    permutation: tuple[str, ...] = ()
    x_dims: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()

    def factor(self, dimension: str) -> int:
        """Factor of ``dimension`` here, 1 if it has no loop."""
        return self.factors.get(dimension, 1)


@dataclass(frozen=True)
class Mapping:
    """One entry per storage level and spatial container, outermost first, as in the machine."""

    nodes: tuple[NodeMapping, ...]

    def at(self, target: str) -> NodeMapping:
        """The loops at ``target`` (KeyError if there are none)."""
        for node in self.nodes:
            if node.target == target:
                return node
        raise KeyError(target)
