"""What an engine says of a mapping. Counts are per instance; energies are sums over the utilized instances."""

from collections.abc import Mapping as MappingType
from dataclasses import dataclass, field

from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.objective import Objective


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
class TileStay:
    """How long data of one dataspace stay in one level that keeps it. Times are fractions of the operation's duration.

    Attributes:
        level: that keeps it.
        dataspace: what is kept.
        words: values in the tile's bounding box, one instance.
        instances: of the level that the mapping uses.
        stays: longest time that a datum stays before the tile has moved on (halo included).
        unrestored: longest time without a write: ``stays`` for a read-only dataspace, one sweep over the tile for one
            that is accumulated into, where every visit writes.
    """

    level: str
    dataspace: str
    words: int
    instances: int
    stays: float
    unrestored: float


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
        tiles: a row for each level and dataspace that it keeps.
        refresh_J: beside ``energy_J``, what the duties of the task cost.
        stall_cycles: beside ``cycles``, those lost to refresh.
    """

    cycles: int
    computes: int
    utilization: float
    energy_J: float
    compute_J: float
    bound_by: str
    levels: MappingType[str, LevelStats]
    tiles: tuple[TileStay, ...] = ()
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
