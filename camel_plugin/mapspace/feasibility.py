"""Why no mapping exists: what the constraints, meshes and capacities ask for at least."""

import math
from collections.abc import Iterator

import numpy as np

from camel_plugin.errors import Shortfall
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.machine import Fanout, Storage

UNEXPLAINED = Shortfall(
    "combination of constraints", 1, 0, "mappings", "relax the factors, capacities or the minimum parallelism"
)
"""Where a space is empty, and nothing by itself asks for more than there is."""


def shortfalls(space: MapSpace) -> tuple[Shortfall, ...]:
    """Every reason found why ``space`` is empty, the tightest first; each proves it. None if it may hold mappings."""
    found = [*_factors(space), *_meshes(space), *_capacities(space), *_homes(space)]
    return tuple(sorted(found, key=lambda each: each.demanded / max(each.available, 1e-9)))


def _forced(space: MapSpace, level: int) -> list[int]:
    """Least factor of every dimension at a node, 1 where the constraints leave none."""
    return [
        int(divisors[mask].min(initial=divisors[-1])) if mask.any() else 1
        for divisors, mask in zip(space.divisors, space.allowed[level], strict=True)
    ]


def _factors(space: MapSpace) -> list[Shortfall]:
    """Dimensions whose allowed factors cannot multiply up to their bound."""
    found = []
    for d, (dim, bound) in enumerate(zip(space.problem.dimensions, space.problem.bounds, strict=True)):
        reached = {1}
        for allowed in space.allowed:
            factors = space.divisors[d][allowed[d]].tolist()
            reached = {a * f for a in reached for f in factors if bound % (a * f) == 0}
        if bound not in reached:
            most = max(reached, default=0)
            found.append(Shortfall(f"loops over {dim}", bound, most, "iterations", _wider(space, dim)))
    return found


def _wider(space: MapSpace, dim: str) -> str:
    """What to change, by the constraints that bound the factors of a dimension."""
    bounds = [
        f"{dim}{bound.relation}{bound.value} at {node.name}"
        for node in space.nodes
        if (bound := (node.temporal if isinstance(node, Storage) else node.spatial).factors.get(dim)) is not None
    ]
    return f"allow more factors of {dim} at some node" + (f"; constraints: {', '.join(bounds)}" if bounds else "")


def _meshes(space: MapSpace) -> list[Shortfall]:
    """Containers whose forced loops do not fit, or that cannot be used as much as demanded."""
    found = []
    for level, node in enumerate(space.nodes):
        if not isinstance(node, Fanout) or len(space.spatial(level).factors):
            continue
        least = math.prod(_forced(space, level))
        if least > node.size:
            found.append(
                Shortfall(
                    f"fanout of {node.name}", least, node.size, "instances", "enlarge the mesh or free its factors"
                )
            )
        elif axes := list(_axes(space, level, node)):
            found += axes
        else:
            asked = max(node.spatial.min_parallelism * node.size, least)
            found.append(
                Shortfall(
                    f"use of the mesh {node.mesh_x} x {node.mesh_y} of {node.name}",
                    asked,
                    0,
                    "instances",
                    "lower min_parallelism, or free the factors, the split or the permutation of its loops",
                )
            )
    return found


def _axes(space: MapSpace, level: int, node: Fanout) -> Iterator[Shortfall]:
    """Axes that are too short for the forced loops that permutation and split put there."""
    order, split = node.spatial.permutation, node.spatial.split
    least = dict(zip(space.problem.dimensions, _forced(space, level), strict=True))
    if split is None or any(factor > 1 and name not in order for name, factor in least.items()):
        return
    meshes = node.mesh_x, node.mesh_y

    def asked(split: int) -> tuple[int, int]:
        return math.prod(least[name] for name in order[:split]), math.prod(least[name] for name in order[split:])

    fits = [each for each in range(len(order) + 1) if all(a <= m for a, m in zip(asked(each), meshes, strict=True))]
    remedy = f"split: {' or '.join(map(str, fits))}" if fits else "free the factors or change the permutation"
    remedy += f"; the loops stand in the order {', '.join(order)}, innermost first"
    if any(least[name] == 1 for name in order):
        remedy += ", where those of factor 1 that permutation leaves out come before it"
    for axis, demanded, available in zip("XY", asked(split), meshes, strict=True):
        if demanded > available:
            what = f"fanout {axis} of {node.name} with split: {split}"
            yield Shortfall(what, demanded, available, "instances", remedy)


def _capacities(space: MapSpace) -> list[Shortfall]:
    """Storages that cannot hold even the least tile of what they must keep."""
    found = []
    names = space.problem.dimensions
    always = np.logical_and.reduce(space.keeps) if space.keeps else np.zeros((len(space.machine.storages), 0), bool)
    tile = dict.fromkeys(names, 1)
    for level in range(len(space.nodes) - 1, -1, -1):
        for dim, factor in zip(names, _forced(space, level), strict=True):
            tile[dim] *= factor
        node = space.nodes[level]
        if not isinstance(node, Storage) or node.depth is None:
            continue
        kept = always[[storage.name for storage in space.machine.storages].index(node.name)]
        homes = space.task.homes
        words = 0.0
        sizes = space.task.words_per_value(node.name)
        for dataspace, keeps, size in zip(space.problem.dataspaces, kept, sizes, strict=False):
            if keeps:
                whole = homes.get(dataspace.name) == node.name or level == 0
                values = space.problem.volume(dataspace.name) if whole else dataspace.volume(tile)
                words += values * size
        available = node.depth * node.block_words
        if words > available:
            found.append(
                Shortfall(
                    f"capacity of {node.name}",
                    words,
                    available,
                    "words",
                    f"give {node.name} {math.ceil(words / node.block_words)} rows or let it bypass a dataspace",
                )
            )
    return found


def _homes(space: MapSpace) -> list[Shortfall]:
    """Bypass patterns that keep some dataspace nowhere."""
    if space.keeps:
        return []
    return [
        Shortfall(
            "storage for every dataspace",
            len(space.problem.dataspaces),
            0,
            "kept",
            "let some level keep each dataspace",
        )
    ]
