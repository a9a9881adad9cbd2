"""Many mappings of one problem on one machine, as arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from camel_plugin.errors import InputError, nearest
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Problem


@dataclass(frozen=True)
class MappingBatch:
    """B mappings; L loop nodes and S storages outermost first, D dimensions and T dataspaces in problem order.

    Attributes:
        machine: the machine.
        problem: the problem.
        factors: [B, L, D] loop factors; over the nodes they multiply up to the problem's bounds.
        order: [B, L, D] dimension indices, outermost first; dimensions of factor 1 may stand anywhere.
        along_x: [B, L, D] at spatial nodes: the dimension runs along X, else along Y.
        keep: [B, S, T] the storage keeps the dataspace, else bypasses it.
    """

    machine: Machine
    problem: Problem
    factors: NDArray[np.int64]
    order: NDArray[np.int8]
    along_x: NDArray[np.bool_]
    keep: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.factors)

    @classmethod
    def from_mappings(cls, machine: Machine, problem: Problem, mappings: Sequence[Mapping]) -> MappingBatch:
        """The batch of these mappings.

        Raises:
            InputError: a mapping does not have the machine's nodes, names an unknown dimension or dataspace,
                or its factors do not multiply up to the problem's bounds.
        """
        nodes = machine.loop_nodes
        shape = (len(mappings), len(nodes), len(problem.dimensions))
        factors = np.ones(shape, np.int64)
        order = np.zeros(shape, np.int8)
        along_x = np.zeros(shape, np.bool_)
        keep = np.zeros((len(mappings), len(machine.storages), len(problem.dataspaces)), np.bool_)
        for index, mapping in enumerate(mappings):
            check(machine, problem, mapping)
            storage = 0
            for level, (node, loops) in enumerate(zip(nodes, mapping.nodes, strict=True)):
                trivial = [dim for dim in problem.dimensions if dim not in loops.permutation]
                for place, dim in enumerate([*loops.permutation, *trivial]):
                    order[index, level, place] = problem.dimensions.index(dim)
                for place, dim in enumerate(problem.dimensions):
                    factors[index, level, place] = loops.factor(dim)
                    along_x[index, level, place] = dim in loops.x_dims
                if isinstance(node, Storage):
                    keep[index, storage] = [dataspace.name in loops.keep for dataspace in problem.dataspaces]
                    storage += 1
        return cls(machine, problem, factors, order, along_x, keep)

    def mapping(self, index: int) -> Mapping:
        """Mapping number ``index`` of the batch."""
        result = []
        storage = 0
        dims = self.problem.dimensions
        for level, node in enumerate(self.machine.loop_nodes):
            factors = {dim: int(f) for dim, f in zip(dims, self.factors[index, level], strict=True) if f > 1}
            kept: frozenset[str] = frozenset()
            x_dims: frozenset[str] = frozenset()
            if isinstance(node, Storage):
                pairs = zip(self.problem.dataspaces, self.keep[index, storage], strict=True)
                kept = frozenset(dataspace.name for dataspace, is_kept in pairs if is_kept)
                storage += 1
            else:
                x_dims = frozenset(dim for dim, x in zip(dims, self.along_x[index, level], strict=True) if x) & set(
                    factors
                )
            permutation = tuple(dims[d] for d in self.order[index, level] if dims[d] in factors)
            result.append(NodeMapping(node.name, factors, permutation, x_dims, kept))
        return Mapping(tuple(result))


def check(machine: Machine, problem: Problem, mapping: Mapping) -> None:
    """Raise InputError unless ``mapping`` lays all loops of ``problem`` over the nodes of ``machine``."""
    names = [node.name for node in machine.loop_nodes]
    targets = [node.target for node in mapping.nodes]
    if targets != names:
        raise InputError(
            "a mapping lists every storage and container of the machine, outermost first",
            field="mapping",
            value=targets,
            suggestion=f"the machine has {names}",
        )
    dataspaces = {dataspace.name for dataspace in problem.dataspaces}
    for node in mapping.nodes:
        where = f"mapping.{node.target}"
        for dim in (*node.factors, *node.permutation, *node.x_dims):
            if dim not in problem.dimensions:
                raise InputError(
                    "unknown dimension", field=where, value=dim, suggestion=nearest(dim, problem.dimensions)
                )
        for name in node.keep - dataspaces:
            raise InputError(
                "unknown dataspace", field=f"{where}.keep", value=name, suggestion=nearest(name, sorted(dataspaces))
            )
        if len(set(node.permutation)) != len(node.permutation):
            raise InputError("a dimension stands twice", field=f"{where}.permutation", value=node.permutation)
        for dim, factor in node.factors.items():
            if factor < 1:
                raise InputError("a factor is at least 1", field=f"{where}.factors.{dim}", value=factor)
            if factor > 1 and dim not in node.permutation:
                raise InputError(
                    "a dimension with a loop is missing",
                    field=f"{where}.permutation",
                    value=node.permutation,
                    suggestion=f"add {dim}",
                )
    for dim, bound in problem.size.items():
        product = math.prod(node.factor(dim) for node in mapping.nodes)
        if product != bound:
            raise InputError(
                f"the factors of {dim} multiply up to {product}", field="mapping", suggestion=f"the problem has {bound}"
            )
