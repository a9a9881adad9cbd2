"""What the model says about a batch of mappings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from camel_plugin.mapspace.batch import MappingBatch

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class BatchResult:
    """Costs of B mappings; counts are words per instance, energies sums over utilized instances.

    S storages outermost first, T dataspaces in problem order; entries of bypassed dataspaces are 0.

    Attributes:
        batch: what was evaluated.
        fits: [B] capacity and mesh are respected and every dataspace is kept somewhere.
        cycles: [B] of the operation; the slowest level decides.
        energy_J: [B] compute + dynamic + leakage.
        compute_cycles: [B] iterations of the temporal loops.
        compute_J: energy of all multiply-accumulates.
        level_cycles: [B, S] cycles that the level's bandwidth asks for.
        level_energy_J: [B, S] dynamic.
        leakage_J: [B, S] of the utilized instances.
        utilized_instances: [B, S].
        utilized_capacity: [B, S, T] words of the tile.
        reads: [B, S, T].
        fills: [B, S, T].
        updates: [B, S, T].
        temporal_reductions: [B, S, T].
        tensor_energy_J: [B, S, T] dynamic.
    """

    batch: MappingBatch
    fits: Bools
    cycles: Ints
    energy_J: Floats
    compute_cycles: Ints
    compute_J: float
    level_cycles: Ints
    level_energy_J: Floats
    leakage_J: Floats
    utilized_instances: Ints
    utilized_capacity: Ints
    reads: Ints
    fills: Ints
    updates: Ints
    temporal_reductions: Ints
    tensor_energy_J: Floats

    @classmethod
    def empty(cls, batch: MappingBatch, compute_J: float) -> BatchResult:
        """A result whose arrays are still to be filled in."""
        rows, storages, dataspaces = batch.keep.shape
        row, level, tensor = (rows,), (rows, storages), (rows, storages, dataspaces)
        return cls(
            batch=batch,
            fits=np.empty(row, np.bool_),
            cycles=np.empty(row, np.int64),
            energy_J=np.empty(row),
            compute_cycles=np.empty(row, np.int64),
            compute_J=compute_J,
            level_cycles=np.empty(level, np.int64),
            level_energy_J=np.empty(level),
            leakage_J=np.empty(level),
            utilized_instances=np.empty(level, np.int64),
            utilized_capacity=np.empty(tensor, np.int64),
            reads=np.empty(tensor, np.int64),
            fills=np.empty(tensor, np.int64),
            updates=np.empty(tensor, np.int64),
            temporal_reductions=np.empty(tensor, np.int64),
            tensor_energy_J=np.empty(tensor),
        )
