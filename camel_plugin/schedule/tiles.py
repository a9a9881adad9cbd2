"""Time inside an operation: how long the loops of a mapping leave a tile, or a partial sum, in a storage level."""

from __future__ import annotations

import math
from dataclasses import dataclass

from camel_plugin.arch.machine import Fanout, Machine
from camel_plugin.engine.mapping import Mapping
from camel_plugin.workload.problem import Dataspace, Problem


@dataclass(frozen=True)
class TileTime:
    """A tile of one dataspace in one storage level. Times are fractions of the operation's duration.

    Attributes:
        words: bounding box of the tile, one instance.
        instances: instances of the level that the mapping uses.
        residency: longest time that a datum stays before the tile has moved on (halo included).
        unrestored: longest time without a write: ``residency`` for a read-only dataspace, one sweep over
            the tile for one that is accumulated into, where every visit writes.
    """

    words: int
    instances: int
    residency: float
    unrestored: float


@dataclass(frozen=True)
class _Loop:
    node: int
    dimension: str
    factor: int
    spatial: bool


def tile_time(machine: Machine, problem: Problem, mapping: Mapping, level: str, dataspace: str) -> TileTime:
    """Times of the tile that ``level`` keeps of ``dataspace``.

    The tile changes with the loops outside the level; the innermost of them that moves it ends its stay, and where
    the tile slides (a convolution's input) a datum stays for as many steps as the tile is wide in that direction. A
    datum that is accumulated into is visited once for every iteration of a reduction loop that has a relevant loop
    inside it (otherwise the level below, if it keeps the dataspace, does the accumulation); between two visits, and
    after the last one, it waits at most for one sweep over the tile.
    """
    space = problem.dataspace(dataspace)
    loops = _loops(machine, mapping)
    position = next(index for index, node in enumerate(mapping.nodes) if node.target == level)
    time = _times(loops)
    tile = _extents(loops, [loop for loop in loops if loop.node >= position])

    moving = [i for i, loop in enumerate(loops) if _moves(loop, space) and loop.node < position]
    innermost = moving[-1] if moving else -1
    residency = 1.0
    if moving:
        residency = _stay(space, loops, time, moving, tile)
    unrestored = residency
    if space.read_write:
        unrestored -= sum(
            (loop.factor - 1) * time[i]
            for i, loop in enumerate(loops)
            if i > innermost and _revisits(i, space, loops, _child(machine, mapping, position, dataspace))
        )
    return TileTime(
        words=space.volume(tile),
        instances=math.prod(loop.factor for loop in loops if loop.spatial and loop.node < position),
        residency=residency,
        unrestored=unrestored,
    )


def _loops(machine: Machine, mapping: Mapping) -> list[_Loop]:
    """All loops, outermost first."""
    return [
        _Loop(index, dimension, node.factor(dimension), isinstance(machine.node(node.target), Fanout))
        for index, node in enumerate(mapping.nodes)
        for dimension in node.permutation
    ]


def _times(loops: list[_Loop]) -> list[float]:
    """Duration of one iteration of each loop; spatial loops take no time."""
    times, iterations = [], 1
    for loop in loops:
        iterations *= 1 if loop.spatial else loop.factor
        times.append(1 / iterations)
    return times


def _extents(loops: list[_Loop], inside: list[_Loop]) -> dict[str, int]:
    extents = {loop.dimension: 1 for loop in loops}
    for loop in inside:
        extents[loop.dimension] *= loop.factor
    return extents


def _moves(loop: _Loop, space: Dataspace) -> bool:
    return not loop.spatial and loop.factor > 1 and loop.dimension in space.dimensions


def _stay(space: Dataspace, loops: list[_Loop], time: list[float], moving: list[int], tile: dict[str, int]) -> float:
    """Longest time that a datum stays in a tile which the loops ``moving`` (outermost first) carry away."""
    innermost = moving[-1]
    moved = loops[innermost].dimension
    ranks = [
        (extent, dict(rank))
        for rank, extent in zip(space.projection, space.box(tile), strict=True)
        if moved in dict(rank)
    ]
    together = [i for i in moving if any(loops[i].dimension in rank for _, rank in ranks)]
    if any(loops[i].dimension != moved for i in together):
        # Two dimensions move the tile along one rank and may cancel (an output column forward, a kernel column back):
        # a bound, the whole sweep of both.
        return time[together[0]] * loops[together[0]].factor
    stride = _extents(loops, loops[innermost + 1 :])[moved]
    steps = [math.ceil(extent / (stride * rank[moved])) for extent, rank in ranks]
    # Loops of several levels over the same dimension may go on in the same direction.
    return time[innermost] * min(math.prod(loops[i].factor for i in together), *steps)


def _child(machine: Machine, mapping: Mapping, position: int, dataspace: str) -> int | None:
    """Position of the next storage inside that keeps ``dataspace``, None if the compute unit is next."""
    for index in range(position + 1, len(mapping.nodes)):
        node = mapping.nodes[index]
        if not isinstance(machine.node(node.target), Fanout) and dataspace in node.keep:
            return index
    return None


def _revisits(index: int, space: Dataspace, loops: list[_Loop], child: int | None) -> bool:
    """Each iteration of this reduction loop writes every datum of the tile once more."""
    loop = loops[index]
    if loop.spatial or loop.dimension in space.dimensions:
        return False
    if child is None:
        return True
    return loop.node < child and any(_moves(inner, space) for inner in loops[index + 1 :] if inner.node < child)
