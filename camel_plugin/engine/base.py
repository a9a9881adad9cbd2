"""The Engine protocol and what every engine returns.

Counts are per instance; energies are sums over the utilized instances.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field
from typing import Protocol

from camel_plugin.errors import InputError
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem


@dataclass(frozen=True)
class TensorStats:
    """Accesses of one dataspace at one storage level, words per instance (scalar accesses).

    Attributes:
        utilized_capacity: words of the tile.
        reads: words read.
        fills: words written by the parent level.
        updates: words written by children (partial or final sums).
        temporal_reductions: partial sums read back to be added to.
        energy_J: dynamic energy of all utilized instances.
    """

    utilized_capacity: int
    reads: int
    fills: int
    updates: int
    temporal_reductions: int
    energy_J: float


@dataclass(frozen=True)
class LevelStats:
    """One storage level.

    Attributes:
        instances: physical instances.
        utilized_instances: those that the mapping uses.
        cycles: cycles this level alone would need.
        energy_J: dynamic energy of all tensors.
        leakage_J: of the utilized instances over the whole operation.
        tensors: dataspaces kept here.
    """

    instances: int
    utilized_instances: int
    cycles: int
    energy_J: float
    leakage_J: float
    tensors: MappingType[str, TensorStats]


@dataclass(frozen=True)
class Evaluation:
    """Cost of one mapping.

    Attributes:
        cycles: of the operation, the slowest level decides.
        computes: multiply-accumulates.
        utilization: computes / (cycles * compute instances).
        energy_J: compute + dynamic + leakage.
        compute_J: of the multiply-accumulates.
        bound_by: ``compute`` or the name of the slowest level.
        levels: by name, outermost first.
        refresh_J: beside ``energy_J``, what ``machine.duties`` costs.
        stall_cycles: beside ``cycles``, those lost to refresh.
    """

    cycles: int
    computes: int
    utilization: float
    energy_J: float
    compute_J: float
    bound_by: str
    levels: MappingType[str, LevelStats]
    refresh_J: float = 0.0
    stall_cycles: int = 0


@dataclass(frozen=True)
class MapResult:
    """What a mapper found.

    Attributes:
        mapping: the best one.
        evaluation: its cost.
        objective: what was minimised.
        value: objective value (J s, J or s), refresh included.
        lower_bound: no mapping of the map space is below it; equal to ``value`` when proven optimal.
        evaluated: mappings looked at.
        wall_s: seconds spent.
        padded: dimension -> bound that was mapped, where that is not the problem's own.
    """

    mapping: Mapping
    evaluation: Evaluation
    objective: Objective
    value: float
    lower_bound: float
    evaluated: int
    wall_s: float
    padded: MappingType[str, int] = field(default_factory=dict)

    @property
    def optimality_gap(self) -> float:
        """(value - lower_bound) / value; 0 when proven optimal."""
        return 0.0 if self.value <= 0 else max(0.0, 1.0 - self.lower_bound / self.value)


def refuse_formats(engine: str, machine: Machine) -> None:
    """For engines whose levels have one size of word for all dataspaces.

    Raises:
        InputError: a recipe has given the values of some dataspace another size.
    """
    for storage in machine.storages:
        if any(size != 1 for size in storage.words_per_value.values()):
            raise InputError(
                f"{engine} has one size of word in {storage.name} for all tensors", field="training.precision",
                value=dict(storage.words_per_value), suggestion="use engine native, or leave precision to the machine",
            )  # fmt: skip


class Engine(Protocol):
    """Maps one problem on one machine.

    Attributes:
        name: as the user writes it.
        weighs_refresh: its mapper heeds ``machine.duties``; the other mappers see a machine without refresh.
    """

    name: str
    weighs_refresh: bool

    def version(self) -> str:
        """Version of the tool behind the engine, part of the cache key."""
        ...

    def map(self, machine: Machine, problem: Problem, objective: Objective, budget_s: float) -> MapResult:
        """The best mapping found within ``budget_s`` seconds.

        Raises:
            InfeasibleError: no valid mapping exists.
            EngineError: the engine failed.
        """
        ...
