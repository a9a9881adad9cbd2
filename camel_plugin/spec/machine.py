"""The resolved machine: a flat list of nodes, outermost first, with energies. Units are SI."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from camel_plugin.components.base import Refresh


@dataclass(frozen=True)
class FactorBound:
    """A constraint on one loop factor, ``C=4``, ``C<=4`` or ``C>=4``.

    Attributes:
        relation: ``=``, ``<=`` or ``>=``.
        value: the bound; ``=`` with 0 means "whatever remains" as in Timeloop.
    """

    relation: str
    value: int


@dataclass(frozen=True)
class LoopConstraints:
    """Constraints on the loops of one node.

    Attributes:
        factors: dimension -> bound.
        permutation: dimensions in Timeloop v0.4 order, INNERMOST first; the rest is free.
        split: for spatial loops, how many of the innermost dimensions run along X.
        min_parallelism: least utilized fraction of the fanout, 0 for none.
        no_temporal_reuse: dataspaces whose tile must not be reused over these loops.
        no_iteration_over: dataspaces none of whose dimensions may have a loop here (factor 1), whatever
            dimensions the problem has; Timeloop's ``no_iteration_over_dataspaces``.
    """

    factors: Mapping[str, FactorBound] = field(default_factory=dict)
    permutation: tuple[str, ...] = ()
    split: int | None = None
    min_parallelism: float = 0.0
    no_temporal_reuse: frozenset[str] = frozenset()
    no_iteration_over: frozenset[str] = frozenset()


@dataclass(frozen=True)
class StorageEnergy:
    """Energy of a storage level, per ``width``-wide access of one instance; leakage per cycle and instance."""

    read_J: float = 0.0
    write_J: float = 0.0
    update_J: float = 0.0
    leakage_J_per_cycle: float = 0.0


@dataclass(frozen=True)
class Storage:
    """A storage level.

    Attributes:
        name: unique in the machine.
        class_name: Timeloop class (``DRAM``, ``SRAM``, ``regfile``, ``storage`` ...).
        technology: ``dram``, ``sram``, ``regfile``, ``edram`` or ``other``; decides leakage columns and refresh.
        width_bits: bits of one access as Timeloop counts them.
        datawidth_bits: bits of one word.
        depth: accesses that the instance holds, None for unlimited.
        cluster_size: instances ganged into one access, Timeloop's ``cluster_size``.
        row_bits: physical bits of one access (58 for a BFP row described as 9 words of 6 bits).
        read_bandwidth: words per cycle and instance, None for unlimited.
        write_bandwidth: the same for fills and updates.
        keep: dataspaces that the specification forces into this level.
        bypass: dataspaces that it keeps out.
        temporal: constraints on the level's temporal loops.
        parallel: number of the !Parallel group it belongs to, None if in none.
        energy: per access.
        area_m2: one instance.
        refresh: eDRAM only.
        is_dram: True for off-chip memory.
        words_per_value: dataspace -> words that one of its values takes, where a recipe sets its precision; else 1.
    """

    name: str
    class_name: str
    technology: str
    width_bits: int
    datawidth_bits: int
    depth: int | None
    cluster_size: int = 1
    row_bits: float = 0.0
    read_bandwidth: float | None = None
    write_bandwidth: float | None = None
    keep: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()
    temporal: LoopConstraints = field(default_factory=LoopConstraints)
    parallel: int | None = None
    energy: StorageEnergy = field(default_factory=StorageEnergy)
    area_m2: float = 0.0
    refresh: Refresh | None = None
    is_dram: bool = False
    words_per_value: Mapping[str, float] = field(default_factory=dict)

    @property
    def block_words(self) -> float:
        """Words of one access, width / (datawidth * cluster_size)."""
        return self.width_bits / (self.datawidth_bits * self.cluster_size)

    @property
    def capacity_words(self) -> int | None:
        """Words that one instance holds, None for unlimited."""
        if self.depth is None:
            return None
        return self.depth * self.width_bits // (self.datawidth_bits * self.cluster_size)

    @property
    def word_bits(self) -> float:
        """Physical bits of one word."""
        return (self.row_bits or self.width_bits) * self.datawidth_bits / self.width_bits

    def bits(self, words: float) -> float:
        """Physical bits that ``words`` words occupy, whole rows."""
        row_words = self.width_bits / self.datawidth_bits
        return math.ceil(words / row_words) * (self.row_bits or self.width_bits)


@dataclass(frozen=True)
class Fanout:
    """A spatial container: mesh of children along X and Y.

    Attributes:
        name: of the container.
        mesh_x: instances along X.
        mesh_y: instances along Y.
        spatial: constraints on its spatial loops.
    """

    name: str
    mesh_x: int = 1
    mesh_y: int = 1
    spatial: LoopConstraints = field(default_factory=LoopConstraints)

    @property
    def size(self) -> int:
        """mesh_x * mesh_y."""
        return self.mesh_x * self.mesh_y


@dataclass(frozen=True)
class Compute:
    """The multiply-accumulate unit, always the innermost node.

    Attributes:
        name: of the unit.
        class_name: Timeloop class.
        energy_J: one multiply-accumulate.
        leakage_W: one instance; Timeloop ignores it, step totals do not.
        area_m2: one instance.
    """

    name: str
    class_name: str
    energy_J: float = 0.0
    leakage_W: float = 0.0
    area_m2: float = 0.0


Node = Storage | Fanout | Compute


class TileRefresh(StrEnum):
    """Whether a policy refreshes tiles that pass through an eDRAM, beyond what it refreshes anyway."""

    NEVER = "never"
    HELD = "held"
    """All the time, whole banks."""
    AGED = "aged"
    """Once for every retention time that a datum gets old."""


@dataclass(frozen=True)
class RefreshDuty:
    """What a refresh policy does to an eDRAM level while an operation runs.

    Attributes:
        rows: rows of one instance that are kept alive whatever the mapping.
        share: of the rows that accesses meet, those that are kept alive whatever the mapping; 0..1.
        tiles: what it does to the tiles of a mapping.
    """

    rows: float
    share: float
    tiles: TileRefresh


@dataclass(frozen=True)
class VectorUnit:
    """The unit that runs element-wise work (normalisation, pooling, additions, update).

    Attributes:
        lanes: element operations per cycle.
        energy_J: one element operation.
    """

    lanes: int
    energy_J: float


@dataclass(frozen=True)
class Machine:
    """A machine, ready to be mapped on.

    Attributes:
        name: of the machine.
        nodes: outermost first; the last one is the compute unit.
        cycle_s: seconds of one clock cycle.
        temperature_C: of the die.
        vector: unit for vector operations.
        homes: dataspace -> storage level where it rests whole; levels outside it never see it.
        duties: eDRAM level -> its refresh, for a mapper that weighs it; empty for one that does not.
        yaml: the Timeloop v0.4 text it was made from.
        published: what its authors report of it.
        unconfirmed: assumed or recalled constants behind its energies, in words for the report.
    """

    name: str
    nodes: tuple[Node, ...]
    cycle_s: float
    temperature_C: float = 25.0
    vector: VectorUnit | None = None
    homes: Mapping[str, str] = field(default_factory=dict)
    duties: Mapping[str, RefreshDuty] = field(default_factory=dict)
    yaml: str = field(default="", compare=False)
    published: str = field(default="", compare=False)
    unconfirmed: tuple[str, ...] = field(default=(), compare=False)

    @property
    def storages(self) -> tuple[Storage, ...]:
        """Storage levels, outermost first."""
        return tuple(node for node in self.nodes if isinstance(node, Storage))

    @property
    def compute(self) -> Compute:
        """The compute unit."""
        node = self.nodes[-1]
        assert isinstance(node, Compute)
        return node

    def node(self, name: str) -> Node:
        """The node called ``name`` (KeyError if there is none)."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def storage(self, name: str) -> Storage:
        """The storage level called ``name`` (KeyError if there is none)."""
        node = self.node(name)
        if not isinstance(node, Storage):
            raise KeyError(name)
        return node

    def instances(self, name: str) -> int:
        """Physical instances of the node: product of the fanouts around it (its own included)."""
        count = 1
        for node in self.nodes:
            if isinstance(node, Fanout):
                count *= node.size
            if node.name == name:
                return count
        raise KeyError(name)

    @property
    def area_m2(self) -> float:
        """Silicon area of all instances, off-chip memory left out."""
        return sum(
            node.area_m2 * self.instances(node.name)
            for node in self.nodes
            if isinstance(node, Compute) or (isinstance(node, Storage) and not node.is_dram)
        )

    def resident(self, storage: str) -> frozenset[str]:
        """Dataspaces whose home is ``storage``."""
        return frozenset(dataspace for dataspace, home in self.homes.items() if home == storage)

    def with_duties(self, duties: Mapping[str, RefreshDuty]) -> Machine:
        """This machine with refresh going on in its eDRAM levels.

        Args:
            duties: eDRAM level -> what is refreshed there.

        Raises:
            InfeasibleError: refreshing the rows takes as long as the data last.
        """
        for name, duty in duties.items():
            refresh = self.storage(name).refresh
            if refresh is not None:
                refresh.availability(duty.share, self.cycle_s, name)
        return replace(self, duties=dict(duties))

    def with_homes(self, homes: Mapping[str, str]) -> Machine:
        """This machine with some dataspaces resting on chip during the operation.

        A dataspace with home ``h`` is kept by ``h`` and bypasses every level outside ``h`` and the
        levels parallel to it. It rests there WHOLE, whatever loops stand outside ``h``: the level's
        capacity is checked with its whole volume.

        Args:
            homes: dataspace name -> storage name; names that are absent rest in the outermost level.
        """
        order = {storage.name: index for index, storage in enumerate(self.storages)}
        nodes = []
        for node in self.nodes:
            if isinstance(node, Storage):
                keep, bypass = set(node.keep), set(node.bypass)
                for dataspace, home in homes.items():
                    outside = order[node.name] < order[home]
                    peer = node.parallel is not None and node.parallel == self.storage(home).parallel
                    if node.name == home:
                        keep.add(dataspace)
                        bypass.discard(dataspace)
                    elif outside or peer:
                        keep.discard(dataspace)
                        bypass.add(dataspace)
                node = replace(node, keep=frozenset(keep), bypass=frozenset(bypass))
            nodes.append(node)
        return replace(self, nodes=tuple(nodes), homes=dict(homes))
