"""Multicast: how many different tiles the children of a spatial container ask for.

Children with the same origin take one word together; overlap of neighbours that are not equal is not shared. Along
dimensions that move different ranks, or that move one rank without coinciding, every combination is another tile.
Where positions coincide (P and R of a sliding window, say) the children of a mapping are enumerated, once for
every distinct arrangement.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from camel_plugin.engine.native.batch_result import Floats, Ints
from camel_plugin.engine.native.grouping import distinct_columns
from camel_plugin.engine.native.nest import Nest

SpatialLoops = tuple[tuple[int, int], ...]
"""Motion of the child (a key) and factor of each spatial loop, outermost first."""

Multicast = tuple[tuple[int, int], ...]
"""(children that share a tile, tiles shared by that many), ascending."""


@dataclass(frozen=True)
class Children:
    """Children of a container and one dataspace.

    Attributes:
        tiles: [B] different tiles, U.
        irregular: rows where tiles are shared by different numbers of children.
        multicasts: the sharing in these rows.
    """

    tiles: Ints
    irregular: Ints
    multicasts: list[Multicast]


def children(nest: Nest, dataspace: int, level: int) -> Children:
    """Tiles that the children of container ``level`` ask for."""
    shape = nest.layout.shapes[dataspace]
    factors = nest.factors[level]
    tiles = factors[shape.relevant].prod(axis=0)
    suspect = np.zeros(nest.rows, np.bool_)
    for d, e in shape.colliding:
        suspect |= (factors[d] > 1) & (factors[e] > 1)
    rows = np.flatnonzero(suspect)
    if not rows.size:
        return Children(tiles, rows, [])
    spans = factors[:, rows]
    motions = child_motions(nest, dataspace, level, rows)
    group, first = distinct_columns(np.concatenate([np.where(spans > 1, motions, 0), spans]))
    found = [multicast(spatial_loops(motions[:, row], spans[:, row])) for row in first]
    tiles[rows] = np.array([sum(count for _, count in sharing) for sharing in found])[group]
    uneven = np.array([len(sharing) > 1 for sharing in found])[group]
    return Children(tiles, rows[uneven], [found[place] for place in group[uneven]])


def child_motions(nest: Nest, dataspace: int, level: int, rows: Ints) -> Ints:
    """Motion [D, N] from a child to the next one along each spatial loop, as keys.

    A dimension that has its ranks to itself only ever tells children apart, so its steps are taken for 1:
    that leaves fewer arrangements to look at.
    """
    shape = nest.layout.shapes[dataspace]
    steps = np.where(shape.alone[:, None], 1, nest.tiles[level + 1][:, rows])
    motions: Ints = steps * shape.keys[:, None]
    return motions


def spatial_loops(motions: Ints, factors: Ints) -> SpatialLoops:
    """The loops of one mapping, those without effect left out."""
    return tuple((step, factor) for step, factor in zip(motions.tolist(), factors.tolist(), strict=True) if factor > 1)


def origins(loops: SpatialLoops) -> Ints:
    """Origin of every child as a key, in the order of the children."""
    places = np.zeros(1, np.int64)
    for motion, factor in loops:
        places = (places[:, None] + motion * np.arange(factor)).ravel()
    return places


@lru_cache(maxsize=2**16)
def multicast(loops: SpatialLoops) -> Multicast:
    """How children share tiles."""
    return sharing_of(origins(loops))


def sharing_of(places: Ints) -> Multicast:
    """How children at these places share tiles."""
    sharing, counts = np.unique(np.unique(places, return_counts=True)[1], return_counts=True)
    return tuple(zip(sharing.tolist(), counts.tolist(), strict=True))


def child_share(accesses: Ints, sharing: list[Multicast], fanout: Ints) -> Floats:
    """Parent accesses that Timeloop charges to one child: a sum of quotients, in its order of rounding.

    The sum equals ``accesses`` but for rounding, and the fills of a read-only dataspace are its whole part.
    """
    share = np.zeros(len(sharing))
    for row, pairs in enumerate(sharing):
        words, size = int(accesses[row]), int(fanout[row])
        for sharers, count in pairs:
            share[row] += (words * count * sharers) / size
    return share
