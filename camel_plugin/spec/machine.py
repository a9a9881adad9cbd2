"""The resolved machine: a flat list of nodes, outermost first, with energies. Units are SI."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from camel_plugin.errors import InfeasibleError, Shortfall


@dataclass(frozen=True)
class FactorBound:
    """A constraint on one loop factor, ``C=4``, ``C<=4`` or ``C>=4``.

    Attributes:
        relation: ``=``, ``<=`` or ``>=``.
        value: the bound; ``=`` with 0 means the whole dimension, as in Timeloop.
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
        only: dimensions without a bound have factor 1; Timeloop's ``factors_only``.
        no_iteration_over: dataspaces none of whose dimensions may have a loop here (factor 1), whatever
            dimensions the problem has; Timeloop's ``no_iteration_over_dataspaces``.
        must_iterate_over: dataspaces; dimensions of none of them have factor 1; None for no such constraint;
            Timeloop's ``must_iterate_over_dataspaces``.
        maximize: groups of dimensions whose factors are made as large as the fanout, or ``maximize_capacity``, allows,
            one group after the other; Timeloop's ``maximize_dims``.
        maximize_capacity: the product of factors that ``maximize`` may reach; None for the fanout.
    """

    factors: Mapping[str, FactorBound] = field(default_factory=dict)
    permutation: tuple[str, ...] = ()
    split: int | None = None
    min_parallelism: float = 0.0
    only: bool = False
    no_iteration_over: frozenset[str] = frozenset()
    must_iterate_over: frozenset[str] | None = None
    maximize: tuple[tuple[str, ...], ...] = ()
    maximize_capacity: int | None = None


@dataclass(frozen=True)
class StorageEnergy:
    """Energy of a storage level, per ``width``-wide access of one instance; leakage per cycle and instance."""

    read_J: float = 0.0
    write_J: float = 0.0
    update_J: float = 0.0
    leakage_J_per_cycle: float = 0.0


@dataclass(frozen=True)
class EdramCells:
    """The cells of ONE instance of an eDRAM storage, and their refresh.

    All arrays of a bank refresh one row each at the same time, so a pass over a bank takes
    ``rows_per_array`` row operations whatever the number of arrays.

    Attributes:
        banks: independently refreshed banks of the instance.
        arrays_per_bank: arrays of a bank, refreshed in parallel.
        rows_per_array: rows refreshed one after the other in a pass.
        row_bits: bits of a row (one refresh operation reads and writes these back).
        row_energy_J: energy to refresh one row of one array.
        row_cycles: machine cycles during which a row refresh occupies its array.
        retention_s: retention time at the temperature and yield asked for.
        retention_median_s: median retention time of a cell at that temperature.
        retention_sigma_ln: standard deviation of ln(retention) between cells.
    """

    banks: int
    arrays_per_bank: int
    rows_per_array: int
    row_bits: int
    row_energy_J: float
    row_cycles: float
    retention_s: float
    retention_median_s: float
    retention_sigma_ln: float

    @property
    def rows_per_bank(self) -> int:
        """Rows of all arrays of a bank."""
        return self.arrays_per_bank * self.rows_per_array

    @property
    def rows(self) -> int:
        """Rows of the instance."""
        return self.banks * self.rows_per_bank

    def availability(self, share: float, cycle_s: float, level: str) -> float:
        """Share of the time that a bank is free for accesses while the share ``share`` of its rows is kept alive.

        Raises:
            InfeasibleError: refreshing the rows of ``level`` takes as long as the data last.
        """
        period = self.retention_s / cycle_s
        busy = share * self.rows_per_array * self.row_cycles
        if busy >= period:
            remedy = "use shorter arrays, a lower temperature or a policy that refreshes less"
            what = f"refresh cycles in a retention time of {level}"
            raise InfeasibleError(f"the data of {level}", [Shortfall(what, busy, period, "cycles", remedy)])
        return 1 - busy / period


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
        edram: its cells, eDRAM only.
        is_dram: True for off-chip memory.
        energy_source: where its energies come from, in words: a row of an ERT, an estimator, a rule.
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
    edram: EdramCells | None = None
    is_dram: bool = False
    energy_source: str = field(default="", compare=False)

    @property
    def block_words(self) -> float:
        """Words of one access, width / (datawidth * cluster_size)."""
        return self.width_bits / (self.datawidth_bits * self.cluster_size)

    def rows(self, words: float) -> int:
        """Accesses (rows of ``width`` bits) that ``words`` words fill."""
        return math.ceil(words / self.block_words)

    def port_cycles(self, read_words: float, written_words: float) -> float:
        """Cycles that one instance needs; reads and writes have ports of their own, as in Timeloop. 0 if unlimited."""
        ports = ((read_words, self.read_bandwidth), (written_words, self.write_bandwidth))
        return max(words / bandwidth if bandwidth else 0.0 for words, bandwidth in ports)

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
        energy_source: where its energy comes from, as of a Storage.
    """

    name: str
    class_name: str
    energy_J: float = 0.0
    leakage_W: float = 0.0
    area_m2: float = 0.0
    energy_source: str = field(default="", compare=False)


Node = Storage | Fanout | Compute


@dataclass(frozen=True)
class VectorUnit:
    """The unit that runs element-wise work (normalisation, pooling, additions, update).

    Attributes:
        lanes: element operations per cycle.
        energy_J: one element operation.
        energy_source: where its energy comes from, as of a Storage.
    """

    lanes: int
    energy_J: float
    energy_source: str = field(default="", compare=False)


@dataclass(frozen=True)
class Machine:
    """A machine, ready to be mapped on.

    Attributes:
        name: of the machine.
        nodes: outermost first; the last one is the compute unit.
        cycle_s: seconds of one clock cycle.
        temperature_C: of the die.
        vector: unit for vector operations.
        yaml: the Timeloop v0.4 text it was made from.
        published: what its authors report of it.
        unconfirmed: assumed or recalled constants behind its energies, in words for the report.
        technology: node of its chip, ``16 nm``; several where its components differ, empty where no file says it.
    """

    name: str
    nodes: tuple[Node, ...]
    cycle_s: float
    temperature_C: float = 25.0
    vector: VectorUnit | None = None
    yaml: str = field(default="", compare=False)
    published: str = field(default="", compare=False)
    unconfirmed: tuple[str, ...] = field(default=(), compare=False)
    technology: str = field(default="", compare=False)

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """Storage levels, outermost first."""
        return tuple(node for node in self.nodes if isinstance(node, Storage))

    @cached_property
    def shared_storages(self) -> tuple[Storage, ...]:
        """On-chip storages that the whole machine shares (outside any fanout), outermost first."""
        shared: list[Storage] = []
        for node in self.nodes:
            if isinstance(node, Fanout) and node.size > 1:
                break
            if isinstance(node, Storage) and node != self.storages[0] and not node.is_dram:
                shared.append(node)
        return tuple(shared)

    @property
    def loop_nodes(self) -> tuple[Storage | Fanout, ...]:
        """The nodes that carry loops, outermost first: storage levels and spatial containers."""
        return tuple(node for node in self.nodes if not isinstance(node, Compute))

    @cached_property
    def units(self) -> int:
        """Multiply-accumulate units."""
        return self.instances(self.compute.name)

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

    def may_keep(self, storage: Storage, dataspace: str) -> bool:
        """The specification lets ``storage`` keep ``dataspace``: no bypass, no parallel peer that must keep it."""
        if dataspace in storage.keep:
            return True
        peers = (s for s in self.storages if storage.parallel is not None and s.parallel == storage.parallel)
        return dataspace not in storage.bypass and not any(dataspace in peer.keep for peer in peers)

    @property
    def vector_unit(self) -> VectorUnit:
        """The vector unit; without one the MAC units do element operations, each at the energy of a MAC."""
        return self.vector or VectorUnit(self.units, self.compute.energy_J)
