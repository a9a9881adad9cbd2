"""The loops of a batch, laid out with the batch as the contiguous axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camel_plugin.arch.machine import Fanout, Machine, Storage
from camel_plugin.engine.native.batch import MappingBatch, loop_nodes
from camel_plugin.engine.native.result import Bools, Ints
from camel_plugin.engine.native.rules import Rules
from camel_plugin.engine.native.tiles import TileShape
from camel_plugin.workload.problem import Problem


class Layout:
    """What machine, problem and rules fix for all mappings.

    Attributes:
        nodes: loop nodes, outermost first.
        storages: indices of the storages among the nodes.
        shapes: one per dataspace.
    """

    def __init__(self, machine: Machine, problem: Problem, rules: Rules) -> None:
        self.machine = machine
        self.problem = problem
        self.rules = rules
        self.nodes: tuple[Storage | Fanout, ...] = loop_nodes(machine)
        self.storages = [place for place, node in enumerate(self.nodes) if isinstance(node, Storage)]
        self.shapes = [TileShape(problem, dataspace, rules.count_gaps) for dataspace in problem.dataspaces]


@dataclass(frozen=True)
class Loop:
    """One temporal loop of every mapping (a different dimension in each, perhaps).

    Attributes:
        dim: [B] dimension.
        bound: [B] iterations; 1 where this mapping has no loop here.
        stride: [B] iterations of the dimension that one step skips.
        outer: [B] product of the bounds of all temporal loops outside this one.
        weight: [B] steps of this loop in the whole nest, (bound - 1) * outer.
        motions: per dataspace [B], motion of the tile in one step as a key; 0 where bound is 1.
    """

    dim: Ints
    bound: Ints
    stride: Ints
    outer: Ints
    weight: Ints
    motions: list[Ints]


class Nest:
    """Loops of a chunk of mappings.

    Attributes:
        rows: number of mappings, B.
        factors: [L, D, B].
        tiles: L + 1 arrays [D, B]: iterations of each dimension at node l and inside it; the last is all ones.
        loops: per storage, its temporal loops, innermost first.
        steps: [B] iterations of all temporal loops.
        keep: [S, T, B].
        order: [L, D, B].
        along_x: [L, D, B].
        used: [L, B] instances of the node that the mapping uses; for a container, of its parent.
    """

    def __init__(self, layout: Layout, batch: MappingBatch, first: int, last: int) -> None:
        self.layout = layout
        self.factors: Ints = np.ascontiguousarray(batch.factors[first:last].transpose(1, 2, 0), np.int64)
        self.order: Ints = np.ascontiguousarray(batch.order[first:last].transpose(1, 2, 0), np.intp)
        self.along_x: Bools = np.ascontiguousarray(batch.along_x[first:last].transpose(1, 2, 0), np.bool_)
        self.keep: Bools = np.ascontiguousarray(batch.keep[first:last].transpose(1, 2, 0), np.bool_)
        levels, dims, self.rows = self.factors.shape
        self.columns = np.arange(self.rows)
        self.tiles: list[Ints] = [np.ones((dims, self.rows), np.int64)]
        for level in range(levels - 1, -1, -1):
            self.tiles.insert(0, self.tiles[0] * self.factors[level])
        self.used: Ints = np.ones((levels, self.rows), np.int64)
        count = np.ones(self.rows, np.int64)
        for level, node in enumerate(layout.nodes):
            self.used[level] = count
            if isinstance(node, Fanout):
                count = count * self.factors[level].prod(axis=0)
        self.used_compute: Ints = count
        self.steps: Ints = np.ones(self.rows, np.int64)
        self.loops: list[list[Loop]] = [self._loops(level) for level in layout.storages]

    def _loops(self, level: int) -> list[Loop]:
        """Temporal loops of a storage, innermost first; ``steps`` grows by them (called outermost first)."""
        factors, tiles = self.factors[level], self.tiles[level + 1]
        moving = factors > 1
        motions = [np.where(moving, tiles * shape.keys[:, None], 0) for shape in self.layout.shapes]
        loops: list[Loop] = []
        for dim in self.order[level]:
            bound = self._pick(factors, dim)
            if not (bound > 1).any():
                continue
            loops.append(
                Loop(
                    dim=dim,
                    bound=bound,
                    stride=self._pick(tiles, dim),
                    outer=self.steps,
                    weight=(bound - 1) * self.steps,
                    motions=[self._pick(motion, dim) for motion in motions],
                )
            )
            self.steps = self.steps * bound
        loops.reverse()
        return loops

    def _pick(self, values: Ints, dim: Ints) -> Ints:
        """Entry ``dim[b]`` of each column b of [D, B]."""
        picked: Ints = values.ravel()[dim * self.rows + self.columns]
        return picked

    def outside(self, level: int) -> list[Loop]:
        """Temporal loops of all storages outside node ``level``, innermost first."""
        result: list[Loop] = []
        for place, storage in enumerate(self.layout.storages):
            if storage < level:
                result = self.loops[place] + result
        return result
