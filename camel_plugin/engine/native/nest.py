"""The loops of a batch, laid out with the batch as the contiguous axis."""

import numpy as np

from camel_plugin.engine.native.batch_result import Bools, Ints
from camel_plugin.engine.native.model_rules import ModelRules
from camel_plugin.engine.native.tiles import TileShape
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.machine import Fanout, Storage
from camel_plugin.spec.task import Task


class Layout:
    """What task and rules fix for all mappings.

    Attributes:
        nodes: loop nodes, outermost first.
        storages: indices of the storages among the nodes.
        shapes: one per dataspace.
    """

    def __init__(self, task: Task, rules: ModelRules) -> None:
        machine, problem = task.constrained, task.problem
        self.machine = machine
        self.problem = problem
        self.rules = rules
        self.nodes: tuple[Storage | Fanout, ...] = machine.loop_nodes
        self.storages = [place for place, node in enumerate(self.nodes) if isinstance(node, Storage)]
        self.shapes = [TileShape(problem, dataspace, rules.count_gaps) for dataspace in problem.dataspaces]


class Nest:
    """Loops of a chunk of B mappings.

    The temporal loops of all storages form one stack of J rows, innermost first. A row is another dimension in every
    mapping, perhaps, and in some of them no loop at all: its bound is 1 there.

    Attributes:
        factors: [L, D, B].
        order: [L, D, B].
        along_x: [L, D, B].
        keep: [S, T, B].
        tiles: L + 1 arrays [D, B]: iterations of each dimension at node l and inside it; the last is all ones.
        fanouts: [L, B] children that a container uses; 1 for storages.
        used: [L, B] instances of the node that the mapping uses; for a container, of its parent.
        dims: [J, B] dimension of each temporal loop.
        leaps: [J, B] its bound - 1.
        strides: [J, B] iterations of the dimension that one step skips.
        weights: [J, B] steps of the loop in the whole nest: (bound - 1) * product of the bounds outside it.
        motions: per dataspace [J, B], motion of its tile in one step, as a key; 0 where there is no loop.
        inner: per dataspace [J, B], t_1 + ... + t_j of the motions t.
        turns: per dataspace [J, B], motion when all loops inside go back from 1 to 0: t_j - (t_1 + ... + t_{j-1}).
        steps: [B] iterations of all temporal loops.
    """

    def __init__(self, layout: Layout, batch: MappingBatch, first: int, last: int) -> None:
        self.layout = layout
        self.factors: Ints = np.ascontiguousarray(batch.factors[first:last].transpose(1, 2, 0), np.int64)
        self.order: Ints = np.ascontiguousarray(batch.order[first:last].transpose(1, 2, 0), np.intp)
        self.along_x: Bools = np.ascontiguousarray(batch.along_x[first:last].transpose(1, 2, 0), np.bool_)
        self.keep: Bools = np.ascontiguousarray(batch.keep[first:last].transpose(1, 2, 0), np.bool_)
        levels, dims, self.rows = self.factors.shape
        self.tiles: list[Ints] = [np.ones((dims, self.rows), np.int64)]
        for level in range(levels - 1, -1, -1):
            self.tiles.insert(0, self.tiles[0] * self.factors[level])
        self.fanouts: Ints = np.ones((levels, self.rows), np.int64)
        for level, node in enumerate(layout.nodes):
            if isinstance(node, Fanout):
                self.fanouts[level] = self.factors[level].prod(axis=0)
        self.used: Ints = np.ones((levels, self.rows), np.int64)
        np.cumprod(self.fanouts[:-1], axis=0, out=self.used[1:])
        self._stack_loops()

    def _stack_loops(self) -> None:
        columns = np.arange(self.rows)
        bounds, strides, dims, self._starts = [], [], [], []
        for level in reversed(self.layout.storages):
            order = self.order[level][::-1]
            bound = self.factors[level].ravel()[order * self.rows + columns]
            real = (bound > 1).any(axis=1)
            order = order[real]
            bounds.append(bound[real])
            strides.append(self.tiles[level + 1].ravel()[order * self.rows + columns])
            dims.append(order)
            self._starts.append(len(order))
        self.dims: Ints = np.concatenate(dims)
        self.strides: Ints = np.concatenate(strides)
        bound = np.concatenate(bounds)
        self.leaps: Ints = bound - 1
        self.weights: Ints = np.empty_like(bound)
        self.steps: Ints = np.ones(self.rows, np.int64)
        for index in range(len(bound) - 1, -1, -1):
            np.multiply(self.leaps[index], self.steps, out=self.weights[index])
            self.steps = self.steps * bound[index]
        skipped = np.where(bound > 1, self.strides, 0)
        self.motions: list[Ints] = [skipped * shape.keys[self.dims] for shape in self.layout.shapes]
        self.inner: list[Ints] = [_running_sum(motions) for motions in self.motions]
        self.turns: list[Ints] = [2 * own - inner for own, inner in zip(self.motions, self.inner, strict=True)]

    def outside(self, level: int) -> int:
        """Where in the stack the temporal loops outside node ``level`` begin; they go on to its end."""
        inside = sum(storage >= level for storage in self.layout.storages)
        return sum(self._starts[:inside])


def _running_sum(values: Ints) -> Ints:
    """Sums over the first axis; ``np.cumsum`` would go through the array column by column."""
    total = values.copy()
    for index in range(1, len(total)):
        total[index] += total[index - 1]
    return total
