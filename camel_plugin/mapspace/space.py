"""The map space: which factors, loop orders, bypasses and mesh placements a machine allows for a problem.

It is Timeloop's own: perfect factors over storages and containers, permutations, one mesh axis per
spatial loop, bypass wherever the specification is silent. The outermost storage keeps everything that
has no home further in, and a dataspace rests in one branch of a parallel group only.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.machine import FactorBound, Fanout, LoopConstraints, Storage
from camel_plugin.spec.task import Task

Keep = NDArray[np.bool_]
"""[S, T] which storage keeps which dataspace."""


@dataclass(frozen=True)
class SpatialChoices:
    """The K distinct ways to use a container.

    Attributes:
        factors: [K, D] loop factors.
        along_x: [K, D] the loop runs along X.
    """

    factors: NDArray[np.int64]
    along_x: NDArray[np.bool_]


class MapSpace:
    """All mappings of a problem on a machine; L loop nodes and S storages outermost first, D dimensions, T dataspaces.

    Attributes:
        task: problem and machine.
        problem: the problem.
        nodes: the loop nodes.
        divisors: per dimension, ascending.
    """

    def __init__(self, task: Task) -> None:
        machine, problem = task.constrained, task.problem
        self.task = task
        self.machine = machine
        self.problem = problem
        self.nodes = machine.loop_nodes
        self.divisors = tuple(_divisors(bound) for bound in problem.bounds)

    @cached_property
    def allowed(self) -> tuple[tuple[NDArray[np.bool_], ...], ...]:
        """[L][D] for each divisor: it may be the loop factor of the dimension at the node."""
        return tuple(
            tuple(self._allowed(level, dim, self.divisors[d]) for d, dim in enumerate(self.problem.dimensions))
            for level in range(len(self.nodes))
        )

    def _allowed(self, level: int, dim: str, divisors: NDArray[np.int64]) -> NDArray[np.bool_]:
        node = self.nodes[level]
        constraints = _constraints(node)
        mask = np.ones(len(divisors), np.bool_)
        bound = constraints.factors.get(dim)
        if bound is not None:
            mask &= _within(divisors, bound)
        if isinstance(node, Fanout):
            mask &= divisors <= max(node.mesh_x, node.mesh_y)
        return mask

    @cached_property
    def keeps(self) -> tuple[Keep, ...]:
        """Every bypass pattern."""
        storages = self.machine.storages
        options: list[tuple[bool, ...]] = []
        for s, storage in enumerate(storages):
            for dataspace in self.problem.dataspaces:
                name = dataspace.name
                peers = [p for p in storages if storage.parallel is not None and p.parallel == storage.parallel]
                if name in storage.keep:
                    options.append((True,))
                elif name in storage.bypass or any(name in peer.keep for peer in peers):
                    options.append((False,))
                elif s == 0:
                    options.append((True,))
                else:
                    options.append((True, False))
        shape = (len(storages), len(self.problem.dataspaces))
        patterns = (np.array(bits, np.bool_).reshape(shape) for bits in itertools.product(*options))
        return tuple(pattern for pattern in patterns if self._one_branch(pattern))

    def _one_branch(self, keep: Keep) -> bool:
        """Each dataspace is kept at least once and in one branch of a parallel group at most."""
        groups = [storage.parallel for storage in self.machine.storages]
        for group in set(groups) - {None}:
            if (keep[[g == group for g in groups]].sum(axis=0) > 1).any():
                return False
        return bool(keep.any(axis=0).all())

    def spatial(self, level: int) -> SpatialChoices:
        """The distinct factors that fit the mesh of the container at ``level``, each with one placement."""
        node = self.nodes[level]
        assert isinstance(node, Fanout)
        along = [self._vectors(level, limit) for limit in (node.mesh_x, node.mesh_y)]
        x, y = (np.repeat(along[0], len(along[1]), axis=0), np.tile(along[1], (len(along[0]), 1)))
        fits = ~((x > 1) & (y > 1)).any(axis=1) & self._splits(node.spatial, x > 1, y > 1)
        fits &= x.prod(axis=1) * y.prod(axis=1) >= node.spatial.min_parallelism * node.size
        x, y = x[fits], y[fits]
        factors, first = np.unique(x * y, axis=0, return_index=True)
        for d, mask in enumerate(self.allowed[level]):
            legal = np.isin(factors[:, d], self.divisors[d][mask])
            factors, first = factors[legal], first[legal]
        return SpatialChoices(factors, x[first] > 1)

    def _vectors(self, level: int, limit: int) -> NDArray[np.int64]:
        """Factor vectors along one axis: product within ``limit``; 1 is always among the factors of a dimension."""
        vectors: list[tuple[int, ...]] = [()]
        for d, mask in enumerate(self.allowed[level]):
            factors = sorted({1, *self.divisors[d][mask].tolist()})
            vectors = [(*v, f) for v in vectors for f in factors if math.prod(v) * f <= limit]
        return np.array(vectors, np.int64)

    def _splits(self, constraints: LoopConstraints, x: NDArray[np.bool_], y: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Some permutation that begins with the constrained one puts the loops ``x`` before those of ``y``."""
        dims = self.problem.dimensions
        prefix = [dims.index(dim) for dim in constraints.permutation if dim in dims]
        free = [d for d in range(len(dims)) if d not in prefix]
        splits = range(len(dims) + 1) if constraints.split is None else (min(constraints.split, len(dims)),)
        fits = np.zeros(len(x), np.bool_)
        for split in splits:
            inner, outer = prefix[:split], prefix[split:]
            room = max(0, split - len(prefix))
            fits |= (
                ~y[:, inner].any(axis=1)
                & ~x[:, outer].any(axis=1)
                & (x[:, free].sum(axis=1) <= room)
                & (y[:, free].sum(axis=1) <= len(free) - room)
            )
        return fits

    def order(self, level: int, innermost: tuple[int, ...], along_x: NDArray[np.bool_]) -> list[int]:
        """A legal order of all dimensions, outermost first, that puts ``innermost`` as far in as allowed.

        Args:
            level: the node.
            innermost: dimensions, innermost first.
            along_x: [D] of a container: its X loops stand inside its Y loops.
        """
        dims = self.problem.dimensions
        node = self.nodes[level]
        wanted = list(dict.fromkeys([*self._fixed(level), *innermost, *range(len(dims))]))
        if isinstance(node, Fanout):
            wanted.sort(key=lambda d: not along_x[d])
        return wanted[::-1]

    def legal(self, batch: MappingBatch) -> NDArray[np.bool_]:
        """[B] the mappings, of divisors all, respect the constraints; the model checks capacities and meshes."""
        good = np.ones(len(batch), np.bool_)
        for level, node in enumerate(self.nodes):
            factors, order = batch.factors[:, level], batch.order[:, level].astype(np.int64)
            for d, mask in enumerate(self.allowed[level]):
                if not mask.all():
                    good &= np.isin(factors[:, d], self.divisors[d][mask])
            real = np.take_along_axis(factors > 1, order, axis=1)
            fixed = self._fixed(level)
            rank = np.array([fixed.index(d) if d in fixed else len(fixed) for d in range(factors.shape[1])])
            good &= _ascending(np.where(real, rank[order], -1)[:, ::-1])
            if isinstance(node, Fanout):
                x = batch.along_x[:, level] & (factors > 1)
                good &= self._splits(node.spatial, x, ~x & (factors > 1))
                good &= factors.prod(axis=1) >= node.spatial.min_parallelism * node.size
        return good

    def _fixed(self, level: int) -> list[int]:
        """Dimensions whose order the node fixes, innermost first."""
        dims = self.problem.dimensions
        return [dims.index(dim) for dim in _constraints(self.nodes[level]).permutation if dim in dims]


def _ascending(ranks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Rows whose entries never fall, those of -1 left out."""
    rising = (ranks >= np.maximum.accumulate(ranks, axis=1)) | (ranks < 0)
    return np.asarray(rising.all(axis=1))


def _constraints(node: Storage | Fanout) -> LoopConstraints:
    return node.temporal if isinstance(node, Storage) else node.spatial


def _divisors(number: int) -> NDArray[np.int64]:
    candidates = np.arange(1, number + 1, dtype=np.int64)
    return np.compress(number % candidates == 0, candidates)


def _within(factors: NDArray[np.int64], bound: FactorBound) -> NDArray[np.bool_]:
    """Factors that respect the bound."""
    if bound.relation == "<=":
        return factors <= bound.value
    if bound.relation == ">=":
        return factors >= bound.value
    return np.asarray(factors == bound.value)
