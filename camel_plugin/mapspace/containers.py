"""The spatial containers of a machine: how each can be used, and how much parallelism is left outside a tile."""

from functools import cached_property

import numpy as np

from camel_plugin.mapspace.lattice import Floats, Ints, Lattice
from camel_plugin.mapspace.space import MapSpace, SpatialChoices
from camel_plugin.spec.machine import Fanout


class Containers:
    """Choices at every container.

    Attributes:
        choices: node -> ways to use the container.
        picks: node -> [K, D] the same as divisor indices.
    """

    def __init__(self, space: MapSpace, lattice: Lattice) -> None:
        self._space = space
        self._lattice = lattice
        self.choices: dict[int, SpatialChoices] = {
            level: space.spatial(level) for level, node in enumerate(space.nodes) if isinstance(node, Fanout)
        }
        self.picks: dict[int, Ints] = {
            level: np.stack([np.searchsorted(each, c.factors[:, d]) for d, each in enumerate(lattice.divisors)], axis=1)
            for level, c in self.choices.items()
        }

    @cached_property
    def reach(self) -> tuple[Floats, ...]:
        """For 0 .. L nodes still open: [N] the most instances that the open containers can use outside each tile."""
        lattice = self._lattice
        usable = np.zeros(1, np.int64)
        reach = [np.ones(lattice.size)]
        for level in range(len(self._space.nodes)):
            if level not in self.choices:
                reach.append(reach[-1])
                continue
            usable = self._combined(usable, lattice.numbers(self.picks[level]))
            # Tile n is as far from the whole as its mirror image, number N - 1 - n, is from 1.
            instances = np.full(lattice.size, -1.0)
            instances[lattice.size - 1 - usable] = lattice.volume[usable]
            anything = [np.ones(n, np.bool_) for n in lattice.shape]
            reach.append(np.maximum(1.0, -lattice.best_outside(-instances, anything)))
        return tuple(reach)

    def _combined(self, outer: Ints, inner: Ints) -> Ints:
        """Tile numbers of all products of two sets of tiles."""
        lattice = self._lattice
        a, b = (np.stack(np.unravel_index(tiles, lattice.shape), axis=1) for tiles in (outer, inner))
        products = np.stack([table[a[:, None, d], b[None, :, d]] for d, table in enumerate(lattice.products)], axis=2)
        products = products.reshape(-1, len(lattice.shape))
        return np.unique(lattice.numbers(products[(products >= 0).all(axis=1)]))

    @cached_property
    def most(self) -> tuple[float, ...]:
        """For 0 .. L nodes still open: the most instances that the open containers can use at all."""
        return tuple(float(each[0]) for each in self.reach)
