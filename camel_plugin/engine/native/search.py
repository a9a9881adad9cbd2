"""The search: best-first through partial mappings, in rounds of growing width, with a proven bound.

A round keeps the best partial mappings of every node and drops the others; the least score it dropped bounds all that
it did not look at. Rounds end when that bound meets the best mapping found. What a mapping costs is for the model to
say: scores only choose and bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.base import Objective
from camel_plugin.engine.native.batch import MappingBatch
from camel_plugin.engine.native.lattice import Floats, Lattice
from camel_plugin.engine.native.mapspace import MapSpace
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.result import BatchResult
from camel_plugin.engine.native.search_state import States
from camel_plugin.engine.native.search_tree import Tree

WIDTHS = (96, 1536, 12288)
"""Partial mappings kept per node in each round."""

EXACT = 1e-9
"""Relative difference below which value and bound count as equal: rounding of sums."""


@dataclass
class Best:
    """The best mapping so far.

    Attributes:
        value: of the objective.
        batch: a batch of this one mapping, None before the first.
        evaluated: mappings that the model has costed.
    """

    value: float = np.inf
    batch: MappingBatch | None = None
    evaluated: int = 0


class Search:
    """Searches the map space of a problem on a machine.

    Args:
        space: the map space.
        model: says what a mapping costs.
        objective: what is minimised.
        budget_s: wall-clock seconds.
        progress: called with the best value and the bound after every round.
    """

    def __init__(
        self,
        space: MapSpace,
        model: Model,
        objective: Objective,
        budget_s: float,
        progress: Callable[[float, float], None] | None = None,
    ) -> None:
        self.space = space
        self.model = model
        self.objective = objective
        self.deadline = time.perf_counter() + budget_s
        self.progress = progress
        self.cut_off = False
        self.best = Best()
        self.lattice = Lattice(space.problem, space.divisors)

    def run(self) -> float:
        """Search, leaving the result in ``best``; returns the lower bound."""
        trees = [Tree(self.space, self.lattice, keep, self.objective) for keep in self.space.keeps]
        roots = [tree.root() for tree in trees]
        ranked = sorted(range(len(trees)), key=lambda index: (roots[index].score[0], index))
        proven = 0.0
        for width in WIDTHS:
            bound = np.inf
            for index in ranked:
                if roots[index].score[0] >= self._limit():
                    continue
                bound = min(bound, self._descend(trees[index], roots[index], width))
            proven = max(proven, min(bound, self.best.value))
            if self.progress:
                self.progress(self.best.value, proven)
            if proven >= self._limit() or self._late():
                break
        return proven if proven < self._limit() else self.best.value

    def _limit(self) -> float:
        """Scores from here on cannot improve the best mapping."""
        return self.best.value * (1 - EXACT)

    def _late(self) -> bool:
        self.cut_off |= time.perf_counter() > self.deadline
        return self.cut_off

    def _descend(self, tree: Tree, states: States, width: int) -> float:
        """One round through one tree; returns the least score of all that it left out or completed."""
        bound = np.inf
        for level in range(tree.levels - 1, -1, -1):
            narrow = width if tree.parallel[level + 1] > 1 or level == tree.levels - 1 else max(64, width // 16)
            if level in tree.spatial:
                states, left = self._keep(tree.placed(states, level, self._limit()), states, width)
                bound = min(bound, left)
            else:
                only: list[States] = []

                def ended(level: int = level, states: States = states, only: list[States] = only) -> Iterator[States]:
                    for done, open_ in tree.reused(states, level, self._limit()):
                        only.append(done)
                        yield open_

                waiting, left = self._keep(ended(), states, narrow)
                bound = min(bound, left)
                parts = iter([*only])
                grown, left = self._keep(
                    self._chain(parts, tree.completed(waiting, level, self._limit())), states, width
                )
                bound = min(bound, left)
                states = grown
            if not len(states):
                return bound
        return min(bound, self._judge(tree, states))

    @staticmethod
    def _chain(first: Iterator[States], second: Iterator[States]) -> Iterator[States]:
        yield from first
        yield from second

    def _keep(self, portions: Iterator[States], parents: States, width: int) -> tuple[States, float]:
        """The ``width`` best of all portions, and the least score left out."""
        kept: list[States] = []
        size, left = 0, np.inf
        for portion in portions:
            if len(portion):
                kept.append(portion)
                size += len(portion)
            if size > 8 * width + 4096:
                merged, cut = States.join(kept).undominated().best(width)
                kept, size, left = [merged], len(merged), min(left, cut)
            if self._late():
                left = min(left, float(parents.score.min(initial=np.inf)))
                break
        if not kept:
            return parents.take(np.zeros(0, np.int64)), left
        merged, cut = States.join(kept).undominated().best(width)
        return merged, min(left, cut)

    def _judge(self, tree: Tree, states: States) -> float:
        """Cost complete mappings by the model; returns their least score."""
        states, _ = states.best(len(states))
        picks, order, along_x = tree.trail.loops(states.trail, tree.levels)
        factors = np.stack([each[picks[:, :, d]] for d, each in enumerate(self.lattice.divisors)], axis=2)
        orders = np.empty(factors.shape, np.int8)
        for row in range(len(states)):
            for level in range(tree.levels):
                number = order[row, level]
                innermost = tree.order_classes[number].loops if number >= 0 else ()
                orders[row, level] = self.space.order(level, innermost, along_x[row, level])
        keep = np.broadcast_to(tree.keep, (len(states), *tree.keep.shape))
        self.judge(MappingBatch(self.space.machine, self.space.problem, factors, orders, along_x, keep))
        return float(states.score.min())

    def judge(self, batch: MappingBatch) -> Floats:
        """Objective of every mapping (inf for those that do not fit); the best one is remembered."""
        result = self.model.evaluate(batch)
        values = objective_values(result, self.objective, self.space.machine.cycle_s)
        self.best.evaluated += len(batch)
        if len(values) and values.min() < self.best.value:
            index = int(values.argmin())
            one = slice(index, index + 1)
            self.best.value = float(values[index])
            self.best.batch = MappingBatch(
                batch.machine, batch.problem, batch.factors[one], batch.order[one], batch.along_x[one], batch.keep[one]
            )
        return values


def objective_values(result: BatchResult, objective: Objective, cycle_s: float) -> Floats:
    """The objective of every mapping, inf where it does not fit."""
    seconds = result.cycles * cycle_s
    values = {
        Objective.EDP: result.energy_J * seconds,
        Objective.ENERGY: result.energy_J,
        Objective.LATENCY: seconds,
    }[objective]
    return np.where(result.fits, values, np.inf)
