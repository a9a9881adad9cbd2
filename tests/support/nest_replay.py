"""Two slow oracles for the native model, written loop by loop and word by word.

``timeloop_counts`` follows Timeloop's analysis literally: boxes, remembered motions, the walk with indices 0 and 1,
every child of every container, link transfers, then the collapse of bypassed levels in floating point.
``physical_counts`` runs all iterations and keeps sets of words.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from camel_plugin.spec.machine import Fanout, Machine, Storage
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.problem import Dataspace, Problem

Box = tuple[tuple[int, int], ...]
Counts = dict[str, int]


def size(box: Box | None) -> int:
    return 0 if box is None else math.prod(high - low for low, high in box)


def shifted(box: Box | None, by: tuple[int, ...]) -> Box | None:
    return box and tuple((low + step, high + step) for (low, high), step in zip(box, by, strict=True))


def minus(new: Box, old: Box | None) -> Box | None:
    """New without old if that is a box; otherwise the whole new one."""
    if old is None:
        return new
    if new == old:
        return None
    differing = [rank for rank, (a, b) in enumerate(zip(new, old, strict=True)) if a != b]
    if len(differing) > 1:
        return new
    rank = differing[0]
    (low, high), (old_low, old_high) = new[rank], old[rank]
    if old_high <= low or old_low >= high:
        return new
    part = (old_high, high) if old_low < low else (low, old_low)
    return (*new[:rank], part, *new[rank + 1 :])


@dataclass
class History:
    box: Box | None = None
    motion: tuple[int, ...] | None = None

    def delta(self, box: Box) -> Box | None:
        motion = None
        if self.box is not None:
            motion = tuple(new[0] - old[0] for new, old in zip(box, self.box, strict=True))
        still = motion is None or not any(motion)
        if still or self.motion is None or self.motion == motion:
            delta = minus(box, self.box)
            if not still:
                self.motion = motion
        else:
            delta = box
            self.motion = None
        self.box = box
        return delta


@dataclass
class Level:
    stats: Counter[tuple[int, int]] = field(default_factory=Counter)
    links: int = 0
    previous: dict[int, Box | None] = field(default_factory=dict)


class TimeloopWalk:
    def __init__(self, machine: Machine, problem: Problem, mapping: Mapping, space: Dataspace) -> None:
        self.nodes = machine.nodes[:-1]
        self.problem, self.mapping, self.space = problem, mapping, space
        self.levels = [Level() for _ in self.nodes]
        self.history = [History() for _ in self.nodes]
        self.visit(0, dict.fromkeys(problem.dimensions, 0), 1)

    def tile(self, level: int) -> dict[str, int]:
        return {
            dim: math.prod(node.factor(dim) for node in self.mapping.nodes[level:]) for dim in self.problem.dimensions
        }

    def project(self, point: dict[str, int]) -> tuple[int, ...]:
        return tuple(sum(coefficient * point[dim] for dim, coefficient in rank) for rank in self.space.projection)

    def box(self, level: int, origin: dict[str, int]) -> Box:
        low = self.project(origin)
        last = self.project({dim: origin[dim] + extent - 1 for dim, extent in self.tile(level).items()})
        return tuple((a, b + 1) for a, b in zip(low, last, strict=True))

    def visit(self, level: int, origin: dict[str, int], epochs: int) -> Box | None:
        if level == len(self.nodes):
            return tuple((place, place + 1) for place in self.project(origin))
        node, loops, strides = self.nodes[level], self.mapping.nodes[level], self.tile(level + 1)
        if isinstance(node, Fanout):
            self.spread(level, node, self.visit(level + 1, origin, epochs), epochs)
        else:
            dims = loops.permutation
            for indices in itertools.product((0, 1), repeat=len(dims)):
                weight = math.prod(loops.factor(dim) - 1 for dim, index in zip(dims, indices, strict=True) if index)
                inside = dict(origin)
                for dim, index in zip(dims, indices, strict=True):
                    inside[dim] += index * strides[dim]
                delta = self.visit(level + 1, inside, epochs * weight)
                self.levels[level].stats[1, 1] += size(delta) * epochs * weight
        return self.history[level].delta(self.box(level, origin))

    def spread(self, level: int, node: Fanout, delta: Box | None, epochs: int) -> None:
        """Give every child its copy of child 0's delta; count multicasts and link transfers."""
        loops, strides, here = self.mapping.nodes[level], self.tile(level + 1), self.levels[level]
        dims = [dim for dim in loops.permutation if dim not in loops.x_dims]
        dims += [dim for dim in loops.permutation if dim in loops.x_dims]
        if not dims:
            here.stats[1, 1] += size(delta) * epochs
            return
        children: dict[int, Box | None] = {}
        for number, indices in enumerate(itertools.product(*(range(loops.factor(dim)) for dim in dims))):
            offset = dict.fromkeys(self.problem.dimensions, 0)
            for dim, index in zip(dims, indices, strict=True):
                offset[dim] = index * strides[dim]
            children[number] = shifted(delta, self.project(offset))
        used_x = math.prod(loops.factor(dim) for dim in dims if dim in loops.x_dims)
        used_y = math.prod(loops.factor(dim) for dim in dims if dim not in loops.x_dims)
        width, height = max(node.mesh_x, used_x), max(node.mesh_y, used_y)
        served = set()
        for y, x in itertools.product(range(height), range(width)):
            for to_y, to_x in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                child, other = y * width + x, to_y * width + to_x
                on_grid = 0 <= to_y < height and 0 <= to_x < width
                if (
                    on_grid
                    and child in children
                    and size(children[child])
                    and children[child] == here.previous.get(other)
                ):
                    served.add(child)
        here.previous = children
        everyone = self.multicast(list(children.values()))
        others = self.multicast([box for child, box in children.items() if child not in served])
        words = size(delta) * epochs
        if sum(others.values()) < sum(everyone.values()) and words:
            here.links += words * len(served)
            everyone = others
        for sharers, count in everyone.items():
            here.stats[sharers, count] += words * count

    @staticmethod
    def multicast(boxes: list[Box | None]) -> Counter[int]:
        return Counter(Counter(boxes).values())


def half_up(value: float) -> int:
    return math.floor(value + 0.5)


def timeloop_counts(machine: Machine, problem: Problem, mapping: Mapping, space: Dataspace) -> dict[str, Counts] | None:
    """Counts of one dataspace at the storages that keep it; None where Timeloop aborts or underflows."""
    walk = TimeloopWalk(machine, problem, mapping, space)
    nodes, levels = walk.nodes, walk.levels
    fanouts = [
        math.prod(loops.factors.values()) if isinstance(node, Fanout) else 1
        for node, loops in zip(nodes, mapping.nodes, strict=True)
    ]
    kept = [
        isinstance(node, Storage) and space.name in loops.keep for node, loops in zip(nodes, mapping.nodes, strict=True)
    ]
    volumes = [size(walk.box(level, dict.fromkeys(problem.dimensions, 0))) for level in range(len(nodes))]
    volumes.append(1)
    partitions, partition = [], volumes[0]
    for level, fanout in enumerate(fanouts):
        partitions.append(partition)
        if fanout > 1:
            partition = partition * volumes[level + 1] // volumes[level]
    shares = [0.0]
    for level, outside in enumerate(levels[:-1]):
        shares.append(sum(words * sharers / fanouts[level] for (sharers, _), words in sorted(outside.stats.items())))
    content = [float(sum(level.stats.values())) for level in levels]
    links = [level.links for level in levels]
    for level in range(len(nodes) - 1, 0, -1):
        if not kept[level]:
            outside = levels[level - 1].stats
            weighted = sum(float(words * sharers) for (sharers, _), words in sorted(outside.items()))
            scale = content[level] * fanouts[level - 1] / weighted
            content[level - 1] = sum(words * scale for _, words in sorted(outside.items()))
            links[level - 1] = 0
    outermost = kept.index(True)
    result = {}
    for level, node in enumerate(nodes):
        if not kept[level]:
            continue
        peers = 0.0
        share = shares[level]
        if level == outermost:
            share = 0.0
        elif links[level - 1]:
            peers = links[level - 1] / math.prod(fanouts[:level])
        first = partitions[level]
        if space.read_write and content[level] + peers < first:
            return None
        reads = half_up(content[level] + peers - (first if space.read_write else 0))
        if not space.read_write:
            fills = int(share + peers)
        else:
            fills = 0 if level == outermost else half_up(share + peers - first)
        if fills < 0:
            return None
        result[node.name] = {
            "utilized_capacity": volumes[level],
            "reads": reads,
            "fills": fills,
            "updates": half_up(content[level]) if space.read_write else 0,
            "temporal_reductions": reads if space.read_write else 0,
        }
    return result


def physical_counts(
    machine: Machine, problem: Problem, mapping: Mapping, space: Dataspace, boxes: bool
) -> dict[str, Counts]:
    """Counts of one dataspace from running every iteration, for instance 0 of each storage that keeps it.

    Args:
        machine: the machine.
        problem: the loop nest.
        mapping: its mapping.
        space: the dataspace; each dimension moves at most one of its ranks.
        boxes: a tile holds its bounding box, else the words that it touches.
    """
    walk = TimeloopWalk.__new__(TimeloopWalk)
    walk.nodes, walk.problem, walk.mapping, walk.space = machine.nodes[:-1], problem, mapping, space
    temporal = [isinstance(node, Storage) for node in walk.nodes]

    def words(level: int, origin: dict[str, int]) -> frozenset[tuple[int, ...]]:
        if boxes:
            return frozenset(itertools.product(*(range(low, high) for low, high in walk.box(level, origin))))
        points = itertools.product(*(range(origin[dim], origin[dim] + size) for dim, size in walk.tile(level).items()))
        return frozenset(walk.project(dict(zip(problem.dimensions, point, strict=True))) for point in points)

    def origins(levels: list[int]) -> list[dict[str, int]]:
        """Where the loops of these nodes lead, in the order of time."""
        loops = [
            (dim, mapping.nodes[at].factor(dim), walk.tile(at + 1)[dim])
            for at in levels
            for dim in mapping.nodes[at].permutation
        ]
        result = []
        for indices in itertools.product(*(range(factor) for _, factor, _ in loops)):
            origin = dict.fromkeys(problem.dimensions, 0)
            for (dim, _, stride), index in zip(loops, indices, strict=True):
                origin[dim] += index * stride
            result.append(origin)
        return result

    def asked(level: int) -> tuple[int, int]:
        """Words that the tile of a node loads, and different ones among them."""
        loaded, ever = 0, set()
        held: frozenset[tuple[int, ...]] = frozenset()
        for origin in origins([at for at in range(level) if temporal[at]]):
            tile = words(level, origin)
            loaded += len(tile - held)
            ever |= tile
            held = tile
        return loaded, len(ever)

    content = len(origins([at for at in range(len(walk.nodes)) if temporal[at]]))
    result = {}
    for level in range(len(walk.nodes) - 1, -1, -1):
        node = walk.nodes[level]
        if not temporal[level]:
            content *= len({words(level + 1, origin) for origin in origins([level])})
        elif space.name in mapping.nodes[level].keep:
            loaded, ever = asked(level)
            outermost = not any(space.name in outer.keep for outer in mapping.nodes[:level])
            again = content - ever if space.read_write else content
            fills = loaded - ever if space.read_write else loaded
            result[node.name] = {
                "utilized_capacity": len(words(level, dict.fromkeys(problem.dimensions, 0))),
                "reads": again,
                "fills": 0 if outermost else fills,
                "updates": content if space.read_write else 0,
                "temporal_reductions": again if space.read_write else 0,
            }
            content = loaded
    return result
