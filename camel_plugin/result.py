"""The result of an evaluation, as ``result.json`` (schema 1) writes it. SI units, named in each field.

Every entry of ``operations`` covers all its runs of the step (``repeats`` of them), so that the totals are
plain sums. The parts compute + dynamic (on chip) + leakage + refresh + DRAM make up each energy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from camel_plugin.spec.plan import Plan

if TYPE_CHECKING:
    import pandas

SCHEMA = 1
ENERGY_PARTS = ("compute_J", "dynamic_J", "leakage_J", "refresh_J", "dram_J")


@dataclass(frozen=True)
class LevelResult:
    """Traffic of one storage level during an operation (all runs, all instances).

    Attributes:
        read_words: words read.
        written_words: words written (fills and updates).
        energy_J: dynamic energy.
    """

    read_words: float
    written_words: float
    energy_J: float


@dataclass(frozen=True)
class LifetimeResult:
    """How long data of one tensor live in one eDRAM level during or up to the end of an operation.

    Attributes:
        tensor: its name.
        level: storage level.
        lifetime_s: from write to last read, the longest of its data.
        retention_s: of that level at the machine's temperature and yield.
        rule: ``exact``, or the name of the conservative bound used.
    """

    tensor: str
    level: str
    lifetime_s: float
    retention_s: float
    rule: str


@dataclass(frozen=True)
class OperationResult:
    """One operation of the step, all its runs.

    Attributes:
        name: of the operation.
        pass_: ``forward``, ``reconstruct``, ``input_grad``, ``weight_grad`` or ``update`` (``pass`` in JSON).
        kind: operator.
        partner: the forward operation it belongs to.
        repeats: runs in the step.
        macs: useful multiply-accumulates.
        cycles: clock cycles, refresh stalls included.
        stall_cycles: of these, refresh stalls.
        latency_s: cycles in seconds.
        bound_by: ``compute``, ``vector`` or the slowest storage level.
        utilization: of the multiply-accumulate units, 0 for vector operations.
        energy_J: sum of the parts.
        refresh_count: row refreshes.
        dram_bytes: moved to and from DRAM.
        corrupted_share: expected share of corrupted bits (policy ``none``), else 0.
        levels: traffic by storage level.
        lifetimes: of its data in eDRAM.
        mapping: Timeloop v0.4 mapping, empty for vector operations.
        optimality_gap: 0 when the mapping is proven optimal, None for vector operations.
        padded: dimension -> bound that was mapped, where that is larger than the problem's.
    """

    name: str
    pass_: str
    kind: str
    partner: str | None
    repeats: int
    macs: int
    cycles: int
    stall_cycles: int
    latency_s: float
    bound_by: str
    utilization: float
    energy_J: float
    compute_J: float
    dynamic_J: float
    leakage_J: float
    refresh_J: float
    dram_J: float
    refresh_count: float
    dram_bytes: float
    levels: Mapping[str, LevelResult]
    lifetimes: Sequence[LifetimeResult] = ()
    mapping: str = ""
    optimality_gap: float | None = None
    corrupted_share: float = 0.0
    padded: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TensorResult:
    """One tensor of the step.

    Attributes:
        name: of the tensor.
        kind: ``activation``, ``weight`` ...
        bytes: in the precision of its home, one micro-batch.
        home: storage level where it rests.
        produced_by: operation that first writes it, None for what exists before the step.
        last_used_by: operation that last reads it.
        lifetime_s: from its first write to its last read.
        refreshes: times that each of its data is refreshed in one micro-batch.
    """

    name: str
    kind: str
    bytes: float
    home: str
    produced_by: str | None
    last_used_by: str | None
    lifetime_s: float
    refreshes: int


@dataclass(frozen=True)
class Totals:
    """Sums over the operations, and the size of the machine."""

    latency_s: float
    cycles: int
    macs: int
    energy_J: float
    compute_J: float
    dynamic_J: float
    leakage_J: float
    refresh_J: float
    dram_J: float
    edp_Js: float
    refresh_count: float
    dram_bytes: float
    peak_onchip_bytes: float
    area_m2: float


@dataclass(frozen=True)
class StepResult:
    """What one training step costs on one machine.

    Attributes:
        arch: name of the machine.
        net: name of the network.
        engine: that mapped it.
        settings: everything that was chosen: schedule, batch, refresh policy, temperature, objective ...
        versions: of the tools, and content hashes of the machine and the step.
        totals: sums.
        operations: in execution order.
        tensors: by first use.
        coverage: modelled, ignored, unsupported, not_reached.
        mapped_anew: operations whose given mapping did not fit any more.
        unconfirmed: assumed or recalled constants that the numbers hang on, with where they come from.
        published: what the machine's authors report, a reference and not a target.
        lifetimes: eDRAM level -> retention time, histogram of lifetimes, and what outlives it with what would help.
        run: energy and time of a sample, an iteration, an epoch and until the target, as far as they were asked for.
        baselines: the same for the machines it is compared with.
        plan: homes and mappings behind it; not part of ``result.json``.
    """

    arch: str
    net: str
    engine: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    totals: Totals
    operations: Sequence[OperationResult]
    tensors: Sequence[TensorResult]
    coverage: Mapping[str, Sequence[str]]
    mapped_anew: Sequence[str] = ()
    unconfirmed: Sequence[str] = ()
    published: str = ""
    lifetimes: Sequence[Mapping[str, Any]] = ()
    run: Mapping[str, float] = field(default_factory=dict)
    baselines: Sequence[StepResult] = field(default_factory=tuple)
    plan: Plan | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, ready for ``json.dumps``."""
        data: dict[str, Any] = {"schema": SCHEMA}
        for item in fields(self):
            if item.name == "plan":
                continue
            if item.name == "baselines":
                data["baselines"] = [baseline.to_dict() for baseline in self.baselines]
            elif item.name == "operations":
                data["operations"] = [_operation_dict(operation) for operation in self.operations]
            elif item.name in {"totals", "tensors"}:
                value = getattr(self, item.name)
                data[item.name] = [asdict(entry) for entry in value] if item.name == "tensors" else asdict(value)
            else:
                data[item.name] = _plain(getattr(self, item.name))
        return data

    def to_pandas(self) -> pandas.DataFrame:
        """Operations as a table, one row each (needs the extra ``report``)."""
        import pandas

        return pandas.DataFrame(self.rows())

    def rows(self) -> list[dict[str, Any]]:
        """Scalar columns of the operations, one dict each."""
        nested = {"levels", "lifetimes", "mapping"}
        return [
            {key: value for key, value in _operation_dict(operation).items() if key not in nested}
            for operation in self.operations
        ]


def _operation_dict(operation: OperationResult) -> dict[str, Any]:
    return {("pass" if key == "pass_" else key): value for key, value in asdict(operation).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value


def total(operations: Sequence[OperationResult], *, peak_onchip_bytes: float, area_m2: float) -> Totals:
    """Sums over operations; the energy-delay product is that of the whole step."""
    latency_s = sum(operation.latency_s for operation in operations)
    energy_J = sum(operation.energy_J for operation in operations)
    return Totals(
        latency_s=latency_s,
        cycles=sum(operation.cycles for operation in operations),
        macs=sum(operation.macs for operation in operations),
        energy_J=energy_J,
        compute_J=sum(operation.compute_J for operation in operations),
        dynamic_J=sum(operation.dynamic_J for operation in operations),
        leakage_J=sum(operation.leakage_J for operation in operations),
        refresh_J=sum(operation.refresh_J for operation in operations),
        dram_J=sum(operation.dram_J for operation in operations),
        edp_Js=energy_J * latency_s,
        refresh_count=sum(operation.refresh_count for operation in operations),
        dram_bytes=sum(operation.dram_bytes for operation in operations),
        peak_onchip_bytes=peak_onchip_bytes,
        area_m2=area_m2,
    )


def run_totals(totals: Totals, batch: int, samples: int | None, epochs: float | None) -> dict[str, float]:
    """Energy and time of a training run of equal steps.

    Args:
        totals: of one step.
        batch: samples of the step.
        samples: of the data set; the last step of an epoch may be partly filled and is counted whole.
        epochs: until the target accuracy, which gives TTA and ETA (time and energy to accuracy).
    """
    times = {"sample": 1 / batch, "iteration": 1.0}
    if samples is not None:
        times["epoch"] = float(math.ceil(samples / batch))
        if epochs is not None:
            times["target"] = times["epoch"] * epochs
    found = {f"{name}_latency_s": totals.latency_s * steps for name, steps in times.items()}
    return {**found, **{f"{name}_energy_J": totals.energy_J * steps for name, steps in times.items()}}
