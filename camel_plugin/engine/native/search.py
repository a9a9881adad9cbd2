"""The search: best-first through partial mappings, in rounds of growing width, with a proven bound.

A round keeps the best partial mappings of every node and drops the others; the least score it dropped bounds all that
it did not look at. Rounds end when that bound meets the best mapping found. What a mapping costs is for the model to
say: scores only choose and bound.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.base import Objective
from camel_plugin.engine.native.batch import MappingBatch
from camel_plugin.engine.native.bounds import Tables
from camel_plugin.engine.native.containers import Containers
from camel_plugin.engine.native.lattice import Floats, Lattice
from camel_plugin.engine.native.mapspace import MapSpace
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.result import BatchResult
from camel_plugin.engine.native.search_polish import neighbours
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
        tables: Tables = {}
        containers = Containers(self.space, self.lattice)
        trees = [Tree(self.space, self.lattice, containers, keep, self.objective, tables) for keep in self.space.keeps]
        proven = 0.0
        for width in WIDTHS:
            proven = max(proven, min(self._round(trees, width), self.best.value))
            self._polish()
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

    def _round(self, trees: list[Tree], width: int) -> float:
        """One pass over all nodes; returns the least score of all that it left out or completed."""
        beam = {tree: tree.root() for tree in trees}
        bound = np.inf
        for tree in trees:
            tree.room, tree.left = 4 * width, np.inf
        for level in range(trees[0].levels - 1 if trees else -1, -1, -1):
            parallel = trees[0].containers.most
            if level in trees[0].containers.choices:
                grown = {tree: [tree.placed(states, level, self._limit())] for tree, states in beam.items()}
            else:
                waiting: dict[Tree, list[Iterator[States]]] = {}
                grown = {}
                for tree, states in beam.items():
                    settled: list[States] = []
                    waiting[tree] = [self._split(tree.reused(states, level, self._limit()), settled)]
                    grown[tree] = [iter(settled)]
                narrow = width if parallel[level + 1] > 1 or level == trees[0].levels - 1 else max(64, width // 16)
                open_, left = self._cut(waiting, beam, narrow)
                bound = min(bound, left)
                for tree, states in open_.items():
                    grown[tree].append(tree.completed(states, level, self._limit()))
            beam, left = self._cut(grown, beam, width * (6 if parallel[level] > 1 else 1))
            bound = min(bound, left)
        for tree, states in beam.items():
            bound = min(bound, self._judge(tree, states))
        return min([bound, *(tree.left for tree in trees)])

    @staticmethod
    def _split(portions: Iterator[tuple[States, States]], settled: list[States]) -> Iterator[States]:
        """The states that wait for more loops; the others go to ``settled``."""
        for done, waiting in portions:
            settled.append(done)
            yield waiting

    def _cut(
        self, portions: dict[Tree, list[Iterator[States]]], parents: dict[Tree, States], width: int
    ) -> tuple[dict[Tree, States], float]:
        """The ``width`` best over all trees, each given its fair share, and the least score left out."""
        kept, left = {}, np.inf
        for tree, parts in portions.items():
            kept[tree], cut = self._keep(itertools.chain.from_iterable(parts), parents[tree], width)
            left = min(left, cut)
        scores = np.sort(np.concatenate([states.score for states in kept.values()] or [np.zeros(0)]))
        threshold = scores[min(width, len(scores)) - 1] if len(scores) else np.inf
        share = width // (4 * max(1, len(portions)))
        for tree, states in kept.items():
            kept[tree], cut = states.best(max(share, int((states.score <= threshold).sum())))
            left = min(left, cut)
        return {tree: states for tree, states in kept.items() if len(states)}, left

    def _polish(self) -> None:
        """Take the best neighbour of the best mapping while there is a better one."""
        while self.best.batch is not None and not self._late():
            before = self.best.value
            self.judge(neighbours(self.space, self.best.batch, 0))
            if self.best.value >= before:
                break

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
