"""The search: best-first through partial mappings, in rounds of growing width, with a proven bound.

A round keeps the best partial mappings of every node and drops the others; the least score it dropped bounds all that
it did not look at. Rounds end when that bound meets the best mapping found. What a mapping costs is for the model to
say: scores only choose and bound.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from camel_plugin.engine.native.batch_result import BatchResult
from camel_plugin.engine.native.bounds import Tables
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.search_polish import join, neighbours, rows, variants
from camel_plugin.engine.native.search_state import States
from camel_plugin.engine.native.search_tree import Tree
from camel_plugin.engine.native.task_refresh import refreshed
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.mapspace.containers import Containers
from camel_plugin.mapspace.lattice import Bools, Floats, Ints, Lattice
from camel_plugin.mapspace.space import MapSpace
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

FIRST_WIDTH, FIRST_PATTERNS = 64, 2
"""Partial mappings kept per node, and bypass patterns tried, in the first round; it always runs to its end."""

WIDTHS = (512, 2048, 8192)
"""Partial mappings kept per node in each of the other rounds."""

AHEAD = 12
"""How many times more are kept while a container is still open: until then scores tell little."""

CANDIDATES = 256
"""Complete mappings that the model costs per round and bypass pattern."""

VARIANTS = 40_000
"""Mappings that the model may cost to close the gap that scores leave."""

SMALL_GAP, LEAST_SHARE = 1e-3, 40
"""Below this gap less is spent on closing it: in proportion to the gap, down to one in so many."""

CHUNK = 2048
"""Of these, costed together."""

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
        self.best = Best()
        self.bound = 0.0
        self.lattice = Lattice(space.problem, space.divisors)

    def run(self) -> None:
        """Search, leaving the result in ``best`` and the proven bound in ``bound`` (inf: there is no mapping)."""
        tables: Tables = {}
        containers = Containers(self.space, self.lattice)
        if not self.space.keeps or not all(len(each.factors) for each in containers.choices.values()):
            self.bound = np.inf
            return
        patterns = sorted(self.space.keeps, key=lambda keep: -int(keep.sum()))
        trees = [Tree(self.space, self.lattice, containers, keep, self.objective, tables) for keep in patterns]
        deadline, self.deadline = self.deadline, np.inf
        self._round(trees[:FIRST_PATTERNS], FIRST_WIDTH)
        self.deadline = deadline
        self._polish()
        self._proved(min(float(tree.root().score[0]) for tree in trees))
        for width in WIDTHS:
            if self.bound >= self._limit() or self._late():
                break
            left, scored = self._round(trees, width)
            self._polish()
            self._proved(min(left, scored))
            if left >= self._limit() > self.bound:
                gap = 1 - self.bound / self.best.value
                share = round(min(max(1.0, SMALL_GAP / gap), LEAST_SHARE))
                self._proved(self._closed(trees, WIDTHS[-1] // share, VARIANTS // share))
                break

    def _proved(self, bound: float) -> None:
        """No mapping is below ``bound``, or below the best one if that is less."""
        self.bound = max(self.bound, min(bound, self.best.value))
        if self.bound >= self._limit():
            self.bound = self.best.value
        if self.progress:
            self.progress(self.best.value, self.bound)

    def _limit(self) -> float:
        """Scores from here on cannot improve the best mapping."""
        return self.best.value * (1 - EXACT)

    def _late(self) -> bool:
        return time.perf_counter() > self.deadline

    # -- rounds ------------------------------------------------------------------------------------------------

    def _round(self, trees: list[Tree], width: int) -> tuple[float, float]:
        """One pass over all nodes; returns the least score that it left out, and that of complete mappings."""
        beam, left = self._descended(trees, width)
        scored = np.inf
        for tree, states in beam.items():
            best, _ = states.best(CANDIDATES)
            scored = min(scored, float(best.score[0]))
            self._judge(self._candidates(tree, best))
        return left, scored

    def _closed(self, trees: list[Tree], width: int, room: int) -> float:
        """Cost ``room`` mappings that their score does not rule out, best first; returns the least score left."""
        beam, left = self._descended(trees, width, undominated=False)
        found: list[tuple[float, Tree, Ints]] = []
        for tree, states in beam.items():
            states, _ = states.best(len(states))
            factors = self._loops(tree, states)[0]
            _, first = np.unique(factors.reshape(len(factors), -1), axis=0, return_index=True)
            found += [(float(states.score[row]), tree, factors[row]) for row in np.sort(first)]
        found.sort(key=lambda each: each[0])
        done = 0
        while done < len(found) and found[done][0] < self._limit():
            alike: list[MappingBatch] = []
            while done < len(found) and sum(len(each) for each in alike) < CHUNK:
                _, tree, factors = found[done]
                some = None if self._late() else variants(self.space, factors, tree.keep, room)
                if some is None:
                    break
                room -= len(some)
                alike.append(some)
                done += 1
            if not alike:
                return min(left, found[done][0])
            self._judge(join(alike))
        return left

    def _descended(self, trees: list[Tree], width: int, undominated: bool = True) -> tuple[dict[Tree, States], float]:
        """Complete mappings by tree, and the least score left out."""
        roots = {tree: tree.root() for tree in trees}
        beam = {tree: root for tree, root in roots.items() if root.score[0] < self._limit()}
        lost = np.inf
        for tree in trees:
            tree.left = np.inf
        for level in range(len(self.space.nodes) - 1, -1, -1):
            keep = width * (AHEAD if trees[0].containers.most[level] > 1 else 1)
            grown: dict[Tree, list[Iterable[States]]] = {}
            waiting: dict[Tree, list[Iterable[States]]] = {}
            for tree, states in beam.items():
                tree.room = 2 * keep
                if level in tree.containers.choices:
                    grown[tree] = [tree.placed(states, level, self._limit())]
                else:
                    grown[tree] = [[]]
                    waiting[tree] = [_split(tree.reused(states, level, self._limit()), grown[tree][0])]
            most = trees[0].containers.most
            narrow = width if most[level + 1] > 1 or level == len(self.space.nodes) - 1 else max(64, width // 16)
            pending, left = self._cut(waiting, beam, narrow, undominated)
            lost = min(lost, left)
            for tree, states in pending.items():
                grown[tree].append(tree.completed(states, level, self._limit()))
            beam, left = self._cut(grown, beam, keep, undominated)
            lost = min(lost, left)
        return beam, min([lost, *(tree.left for tree in trees)])

    def _cut(
        self, portions: dict[Tree, list[Iterable[States]]], parents: dict[Tree, States], width: int, undominated: bool
    ) -> tuple[dict[Tree, States], float]:
        """The ``width`` best over all trees, each given its fair share, and the least score left out."""
        kept, left = {}, np.inf
        for tree, parts in portions.items():
            states, cut = self._gathered(itertools.chain.from_iterable(parts), parents[tree], width, undominated)
            left = min(left, cut)
            if states is not None:
                kept[tree] = states
        if not kept:
            return {}, left
        scores = np.sort(np.concatenate([states.score for states in kept.values()]))
        threshold = scores[min(width, len(scores)) - 1]
        share = max(1, width // (4 * len(kept)))
        for tree, states in kept.items():
            kept[tree], cut = states.best(max(share, int((states.score <= threshold).sum())))
            left = min(left, cut)
        return kept, left

    def _gathered(
        self, portions: Iterator[States], parents: States, width: int, undominated: bool
    ) -> tuple[States | None, float]:
        """The ``width`` best of all portions (None if there are none), and the least score left out."""
        kept: list[States] = []
        size, left = 0, np.inf
        for portion in portions:
            if len(portion):
                kept.append(portion)
                size += len(portion)
            if size > 8 * width + 4096:
                merged, cut = _merged(kept, width, undominated)
                kept, size, left = [merged], len(merged), min(left, cut)
            if self._late():
                left = min(left, float(parents.score.min()))
                break
        if not kept:
            return None, left
        merged, cut = _merged(kept, width, undominated)
        return merged, min(left, cut)

    # -- complete mappings -------------------------------------------------------------------------------------

    def _candidates(self, tree: Tree, states: States) -> MappingBatch:
        """Complete partial mappings as mappings."""
        factors, order, along_x = self._loops(tree, states)
        orders = np.empty(factors.shape, np.int8)
        for row, level in itertools.product(range(len(states)), range(tree.levels)):
            innermost = tree.order_classes[order[row, level]].loops if order[row, level] >= 0 else ()
            orders[row, level] = self.space.order(level, innermost, along_x[row, level])
        keep = np.broadcast_to(tree.keep, (len(states), *tree.keep.shape))
        return MappingBatch(self.space.machine, self.space.problem, factors, orders, along_x, keep)

    def _loops(self, tree: Tree, states: States) -> tuple[Ints, Ints, Bools]:
        """Factors [n, L, D], order classes [n, L] and placements [n, L, D] of complete partial mappings."""
        picks, order, along_x = tree.trail.loops(states.trail, tree.levels)
        factors = np.stack([each[picks[:, :, d]] for d, each in enumerate(self.lattice.divisors)], axis=2)
        return factors, order, along_x

    def _polish(self) -> None:
        """Take the best neighbour of the best mapping while there is a better one."""
        while self.best.batch is not None and not self._late():
            before = self.best.value
            self._judge(neighbours(self.space, self.best.batch, 0))
            if self.best.value >= before:
                break

    def _judge(self, batch: MappingBatch) -> None:
        """Cost the mappings by the model and remember the best one."""
        values = objective_values(self.space.task, self.model.evaluate(batch), self.objective)
        self.best.evaluated += len(batch)
        if len(values) and values.min() < self.best.value:
            one = [int(values.argmin())]
            self.best.value = float(values.min())
            self.best.batch = rows(batch, one)


def _split(portions: Iterator[tuple[States, States]], settled: Iterable[States]) -> Iterator[States]:
    """The states that wait for more loops; the others are appended to ``settled``."""
    assert isinstance(settled, list)
    for done, waiting in portions:
        settled.append(done)
        yield waiting


def _merged(parts: list[States], width: int, undominated: bool) -> tuple[States, float]:
    states = States.join(parts)
    return (states.undominated() if undominated else states).best(width)


def objective_values(task: Task, result: BatchResult, objective: Objective) -> Floats:
    """The objective of every mapping, refresh included, inf where it does not fit."""
    cost = refreshed(task, result)
    seconds = cost.cycles * task.machine.cycle_s
    values = {
        Objective.EDP: cost.energy_J * seconds,
        Objective.ENERGY: np.where(np.isfinite(seconds), cost.energy_J, np.inf),
        Objective.LATENCY: seconds,
    }[objective]
    return np.where(result.fits, values, np.inf)
