"""Tiles of a dataspace: extents, words, overlaps, and positions folded into one integer."""

from functools import lru_cache
from itertools import product

import numpy as np

from camel_plugin.engine.native.batch_result import Ints
from camel_plugin.engine.native.grouping import distinct_columns
from camel_plugin.errors import InputError
from camel_plugin.spec.problem import Dataspace, Problem

_KEY_LIMIT = 2**62


class TileShape:
    """How the iteration space projects on one dataspace.

    Attributes:
        ranks: per rank of the tensor, (dimension index, coefficient) of the dimensions that move it, by coefficient.
        keys: [D] a unit step along the dimension as one integer. Positions and motions are folded over the
            ranks with multipliers so large that two of them are equal exactly when their integers are.
        rank_of: [D] the one rank that a dimension moves; -1 if it moves none or several.
        coefficients: [D] words that a unit step moves along that rank.
        relevant: [D] the dimension indexes the tensor.
        alone: [D] no other dimension moves a rank that this one moves.
        colliding: pairs of dimensions that move the same rank: steps along them may lead to one place.
        entangled: some rank is moved by several dimensions, or some dimension moves several ranks.
        count_gaps: words are counted by bounding box.
    """

    def __init__(self, problem: Problem, dataspace: Dataspace, count_gaps: bool) -> None:
        index = {dim: place for place, dim in enumerate(problem.dimensions)}
        self.count_gaps = count_gaps
        self.ranks: list[list[tuple[int, int]]] = []
        self.keys = np.zeros(len(index), np.int64)
        self.coefficients = np.zeros(len(index), np.int64)
        self.rank_of = np.full(len(index), -1, np.int64)
        self._radices: list[int] = []
        multiplier = 1
        ranks_moved = np.zeros(len(index), np.int64)
        for place, rank in enumerate(dataspace.projection):
            terms: dict[int, int] = {}
            for dim, coefficient in rank:
                terms[index[dim]] = terms.get(index[dim], 0) + coefficient
            self.ranks.append(sorted(((d, c) for d, c in terms.items() if c != 0), key=lambda term: term[1]))
            reach = sum(c * (problem.bounds[d] - 1) for d, c in terms.items())
            for d, c in self.ranks[-1]:
                if c < 0:
                    raise InputError(
                        "negative coefficients are not supported", field=f"{dataspace.name}.projection", value=c
                    )
                self.keys[d] += multiplier * c
                self.coefficients[d] = c
                self.rank_of[d] = place
                ranks_moved[d] += 1
            # Motions stay within +-reach and two of them are compared: their difference within +-2 reach.
            self._radices.append(4 * reach + 1)
            multiplier *= 4 * reach + 1
            if multiplier > _KEY_LIMIT:
                raise InputError("too large for the model", field=f"{problem.name}.{dataspace.name}")
        self.rank_of[ranks_moved != 1] = -1
        self.relevant = ranks_moved > 0
        self.alone = np.array(
            [all(len(rank) == 1 for rank in self.ranks if d in dict(rank)) for d in range(len(index))], np.bool_
        )
        self.entangled = bool((ranks_moved > 1).any()) or any(len(rank) > 1 for rank in self.ranks)
        self.colliding = sorted(
            {(min(d, e), max(d, e)) for rank in self.ranks for (d, _), (e, _) in product(rank, rank) if d != e}
        )

    def extents(self, tile: Ints) -> list[Ints]:
        """Words along each rank of tiles of [D, B] iterations: R arrays [B]."""
        return [self._extent(rank, tile) for rank in self.ranks]

    def _extent(self, rank: list[tuple[int, int]], tile: Ints) -> Ints:
        extent = np.ones(tile.shape[1], np.int64)
        for d, coefficient in rank:
            extent += coefficient * (tile[d] - 1)
        rows = self._rows_with_gaps(rank, tile)
        extent[rows] = _common_words(rank, tile[:, rows], np.zeros(len(rows), np.int64))
        return extent

    def _rows_with_gaps(self, rank: list[tuple[int, int]], tile: Ints) -> Ints:
        """Tiles whose words along a rank are fewer than its box: a step is longer than what lies inside it."""
        if self.count_gaps:
            return np.zeros(0, np.int64)
        extent = np.ones(tile.shape[1], np.int64)
        gapped = np.zeros(tile.shape[1], np.bool_)
        for d, coefficient in rank:
            gapped |= (coefficient > extent) & (tile[d] > 1)
            extent += coefficient * (tile[d] - 1)
        return np.flatnonzero(gapped)

    def spans(self, steps: Ints, tile: Ints) -> list[Ints]:
        """Words along each rank that ``steps`` [D, N] steps of tiles [D, N] lead away: R arrays [N]."""
        return [
            sum((c * steps[d] * tile[d] for d, c in rank), np.zeros(tile.shape[1], np.int64)) for rank in self.ranks
        ]

    def along_ranks(self, motion: Ints) -> list[Ints]:
        """The motion [N] along each rank that a key stands for: R arrays [N]."""
        result = []
        for radix in self._radices:
            part = (motion + radix // 2) % radix - radix // 2
            result.append(part)
            motion = (motion - part) // radix
        return result

    def overlap(self, rank: int, tile: Ints, extent: Ints, motion: Ints) -> Ints:
        """Words [B] along one rank that tiles of [D, B] iterations share with their copies ``motion`` words away."""
        shared: Ints = np.maximum(extent - np.abs(motion), 0)
        rows = self._rows_with_gaps(self.ranks[rank], tile)
        shared[rows] = _common_words(self.ranks[rank], tile[:, rows], np.abs(motion[rows]))
        return shared


def volume(extents: list[Ints], batch: int) -> Ints:
    """Words [B] of tiles with these extents."""
    total = np.ones(batch, np.int64)
    for extent in extents:
        total *= extent
    return total


def _common_words(rank: list[tuple[int, int]], tile: Ints, motion: Ints) -> Ints:
    """Words [N] that tiles have in common with their copies ``motion`` words away."""
    if not len(motion):
        return motion
    columns = np.stack([*(tile[d] for d, _ in rank), motion])
    group, first = distinct_columns(columns)
    coefficients = tuple(c for _, c in rank)
    table = [_common(coefficients, tuple(sizes), away) for *sizes, away in columns[:, first].T.tolist()]
    return np.array(table, np.int64)[group]


@lru_cache(maxsize=2**16)
def _common(coefficients: tuple[int, ...], sizes: tuple[int, ...], motion: int) -> int:
    """Words of {sum of coefficient * i, i < size} that the same set ``motion`` words away has too."""
    words = np.zeros(1, np.int64)
    for coefficient, size in zip(coefficients, sizes, strict=True):
        words = np.unique(words[:, None] + coefficient * np.arange(size))
    return int(np.isin(words + motion, words).sum())
