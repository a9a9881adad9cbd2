"""The native model: what a mapping costs, for many mappings at once.

Counts follow Timeloop's legacy analysis for perfect factors and dense tensors (docs/model.md). What a storage is asked
for is built from the inside out: the words that one child asks for, times the different tiles that the children of
each container in between ask for. What it asks of its own parent comes from the walk of the loops outside it.
"""

import numpy as np

from camel_plugin.engine.native.access_cost import accesses_energy_J, in_words, level_cycles
from camel_plugin.engine.native.batch_result import BatchResult, Bools
from camel_plugin.engine.native.counts import count
from camel_plugin.engine.native.model_rules import TIMELOOP, ModelRules
from camel_plugin.engine.native.nest import Layout, Nest
from camel_plugin.engine.native.task_refresh import refreshed
from camel_plugin.engine.native.tile_times import tile_stays
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.spec.evaluation import Evaluation, LevelStats, TensorStats
from camel_plugin.spec.machine import Fanout, Storage
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.task import Task

CHUNK = 2048
"""Mappings evaluated together: the arrays of a chunk stay in the second-level cache."""


class Model:
    """Evaluates mappings of one problem on one machine.

    Args:
        task: problem and machine.
        rules: Timeloop's rules, or some of them switched off.

    Raises:
        InputError: the problem has a negative coefficient, or a tensor beyond 2^60 words or so.
    """

    def __init__(self, task: Task, rules: ModelRules = TIMELOOP) -> None:
        self.task = task
        self.machine = task.constrained
        self.problem = task.problem
        self.rules = rules
        self._layout = Layout(task, rules)

    def evaluate(self, batch: MappingBatch) -> BatchResult:
        """Costs of every mapping of ``batch``, which must be of this machine and problem."""
        result = BatchResult.empty(batch, self.problem.macs * self.machine.compute.energy_J)
        for first in range(0, len(batch), CHUNK):
            last = min(first + CHUNK, len(batch))
            self._evaluate(Nest(self._layout, batch, first, last), result, slice(first, last))
        return result

    def _evaluate(self, nest: Nest, result: BatchResult, rows: slice) -> None:
        counts = [count(nest, dataspace) for dataspace in range(len(self.problem.dataspaces))]
        cycles = nest.steps
        fits = self._meshes_fit(nest) & nest.keep.any(axis=0).all(axis=0)
        energy = np.full(nest.rows, result.compute_J)
        for place, level in enumerate(self._layout.storages):
            storage = self._layout.nodes[level]
            assert isinstance(storage, Storage)
            capacity, reads, fills, updates, reductions = (
                np.stack([getattr(one, name)[place] for one in counts])
                for name in ("capacity", "reads", "fills", "updates", "temporal_reductions")
            )
            for t, dataspace in enumerate(self.problem.dataspaces):
                if dataspace.name in self.task.resident(storage.name):
                    capacity[t] = dataspace.volume(self.problem.size)
            used = nest.used[level]
            if storage.depth is not None:
                held = in_words(self.task, storage.name, capacity)
                fits &= held.sum(axis=0) <= storage.depth * storage.block_words
            moved = [in_words(self.task, storage.name, values) for values in (reads, fills, updates)]
            dynamic = accesses_energy_J(storage, self.machine.instances(storage.name), used, *moved)
            alone = level_cycles(storage, nest.steps, moved[0], moved[1] + moved[2])
            cycles = np.maximum(cycles, alone)
            result.level_cycles[rows, place] = alone
            result.level_energy_J[rows, place] = dynamic.sum(axis=0)
            result.utilized_instances[rows, place] = used
            result.utilized_capacity[rows, place] = capacity.T
            result.reads[rows, place] = reads.T
            result.fills[rows, place] = fills.T
            result.updates[rows, place] = updates.T
            result.temporal_reductions[rows, place] = reductions.T
            result.tensor_energy_J[rows, place] = dynamic.T
            energy += dynamic.sum(axis=0)
        for place, level in enumerate(self._layout.storages):
            storage = self._layout.nodes[level]
            assert isinstance(storage, Storage)
            leakage = storage.energy.leakage_J_per_cycle * cycles * nest.used[level]
            result.leakage_J[rows, place] = leakage
            energy += leakage
        result.fits[rows] = fits
        result.cycles[rows] = cycles
        result.compute_cycles[rows] = nest.steps
        result.energy_J[rows] = energy

    def _meshes_fit(self, nest: Nest) -> Bools:
        fits = np.ones(nest.rows, np.bool_)
        for level, node in enumerate(self._layout.nodes):
            if isinstance(node, Fanout):
                along_x = nest.along_x[level]
                fits &= np.where(along_x, nest.factors[level], 1).prod(axis=0) <= node.mesh_x
                fits &= np.where(along_x, 1, nest.factors[level]).prod(axis=0) <= node.mesh_y
        return fits

    def report(self, result: BatchResult, index: int) -> Evaluation:
        """Mapping number ``index`` of ``result`` in the form that every engine returns."""
        levels = {}
        for place, storage in enumerate(self.machine.storages):
            tensors = {
                dataspace.name: TensorStats(
                    utilized_capacity=int(result.utilized_capacity[index, place, t]),
                    reads=int(result.reads[index, place, t]),
                    fills=int(result.fills[index, place, t]),
                    updates=int(result.updates[index, place, t]),
                    temporal_reductions=int(result.temporal_reductions[index, place, t]),
                    energy_J=float(result.tensor_energy_J[index, place, t]),
                )
                for t, dataspace in enumerate(self.problem.dataspaces)
                if result.batch.keep[index, place, t]
            }
            levels[storage.name] = LevelStats(
                instances=self.machine.instances(storage.name),
                utilized_instances=int(result.utilized_instances[index, place]),
                cycles=int(result.level_cycles[index, place]),
                energy_J=float(result.level_energy_J[index, place]),
                leakage_J=float(result.leakage_J[index, place]),
                tensors=tensors,
            )
        cycles = int(result.cycles[index])
        slowest = max(levels, key=lambda name: levels[name].cycles)
        bound_by = "compute" if cycles == int(result.compute_cycles[index]) else slowest
        units = self.machine.units
        kept = refreshed(self.task, result)
        return Evaluation(
            cycles=cycles,
            computes=self.problem.macs,
            utilization=self.problem.macs / (cycles * units),
            energy_J=float(result.energy_J[index]),
            compute_J=result.compute_J,
            bound_by=bound_by,
            levels=levels,
            tiles=tile_stays(self.machine, self.problem, result.batch.mapping(index)),
            refresh_J=float(kept.refresh_J[index]),
            stall_cycles=int(kept.cycles[index] - cycles) if np.isfinite(kept.cycles[index]) else 0,
        )


def evaluate(task: Task, mapping: Mapping, rules: ModelRules = TIMELOOP) -> Evaluation:
    """Cost of one mapping.

    Raises:
        InputError: the mapping does not fit the machine's nodes or the problem's bounds.
    """
    model = Model(task, rules)
    return model.report(model.evaluate(MappingBatch.from_mappings(task.constrained, task.problem, [mapping])), 0)
