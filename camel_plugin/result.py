"""The result of an evaluation: one family of records, from the account to ``result.json``.

SI units, named in each field. What a field means, its unit and its name in tables stand beside it; the columns of
tables, CSV files and ``result.schema.json`` follow from there (``python scripts/write_result_schema.py``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, TypeAdapter, computed_field

from camel_plugin.errors import Shortfall
from camel_plugin.spec.evaluation import TileStay
from camel_plugin.spec.machine import Compute, Machine, Storage
from camel_plugin.spec.meaning import means
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.step import Coverage

if TYPE_CHECKING:
    import pandas

SCHEMA: Literal[3] = 3
SCHEMA_FILE = Path(__file__).with_name("result.schema.json")
ENERGY_PARTS = ("compute_J", "dynamic_J", "leakage_J", "refresh_J", "dram_J")


@dataclass(frozen=True)
class LevelTraffic:
    """What one storage level does during an operation, all instances together."""

    read_words: Annotated[float, means("reads", "words", "words read")] = 0.0
    written_words: Annotated[float, means("writes", "words", "words written (fills and updates)")] = 0.0
    energy_J: Annotated[float, means("energy", "J", "dynamic energy")] = 0.0
    port_cycles: Annotated[
        float, means("port", "cycles", "cycles in which an instance's busier port moves words; 0 if unlimited")
    ] = 0.0


@dataclass(frozen=True)
class OperationCost:
    """ONE run of an operation, refresh left out."""

    cycles: Annotated[int, means("cycles", "cycles", "clock cycles")]
    latency_s: Annotated[float, means("time", "s", "cycles in seconds")]
    bound_by: Annotated[str, means("bound by", "", "compute, vector or the slowest storage level")]
    utilization: Annotated[float, means("utilization", "ratio", "of the MAC units; 0 for a vector operation")]
    macs: Annotated[int, means("MACs", "MAC", "useful multiply-accumulates")]
    compute_J: Annotated[float, means("compute", "J", "energy of multiply-accumulates or element operations")]
    dynamic_J: Annotated[Mapping[str, float], means("on-chip dynamic", "J", "dynamic energy by on-chip level")]
    dram_J: Annotated[float, means("DRAM", "J", "accesses off chip, and standing power if the machine gives one")]
    leakage_J: Annotated[float, means("leakage", "J", "of every instance on the chip, used or not")]
    dram_read_bytes: Annotated[float, means("DRAM reads", "B", "read from DRAM")]
    dram_written_bytes: Annotated[float, means("DRAM writes", "B", "written to DRAM")]
    levels: Annotated[Mapping[str, LevelTraffic], means("levels", "", "traffic by storage level, DRAM included")]
    tiles: Annotated[tuple[TileStay, ...], means("tiles", "", "how long tiles stay; none for vector operations")] = ()


@dataclass(frozen=True)
class OperationRefresh:
    """What refresh adds to ALL runs of an operation."""

    stall_cycles: Annotated[int, means("refresh stalls", "cycles", "cycles that ports wait for refresh")] = 0
    stall_s: Annotated[float, means("refresh stalls", "s", "stall cycles in seconds")] = 0.0
    waits_for: Annotated[str, means("waits for", "", "storage level whose ports wait longest, or nothing")] = ""
    rows: Annotated[Mapping[str, float], means("row refreshes", "count", "row refreshes by eDRAM level")] = field(
        default_factory=dict
    )
    energy_J: Annotated[Mapping[str, float], means("refresh", "J", "energy of these by eDRAM level")] = field(
        default_factory=dict
    )
    leakage_J: Annotated[float, means("leakage", "J", "of the chip while it waits")] = 0.0
    dram_J: Annotated[float, means("DRAM", "J", "standing energy of DRAM meanwhile")] = 0.0
    corrupted_share: Annotated[
        float, means("corrupted", "ratio", "expected share of lost bits among the eDRAM data read, if none restores")
    ] = 0.0


@dataclass(frozen=True)
class DataLifetime:
    """How long data of one tensor live in one eDRAM level during or up to the end of an operation."""

    tensor: Annotated[str, means("tensor", "", "its name")]
    level: Annotated[str, means("level", "", "storage level")]
    lifetime_s: Annotated[float, means("lifetime", "s", "from write to last read, the longest of its data")]
    retention_s: Annotated[float, means("retention", "s", "of that level at the machine's temperature and yield")]
    refreshes: Annotated[int, means("refreshes", "count", "of each of its data meanwhile, if the policy restores")]
    corrupted_share: Annotated[float, means("corrupted", "ratio", "expected share of its bits lost at the end")]
    rule: Annotated[str, means("rule", "", "how the lifetime was found: exact, or a bound that is never too short")]


@dataclass(frozen=True)
class OperationMapping:
    """How an operation was mapped."""

    text: Annotated[str, means("mapping", "", "the mapping as a Timeloop v0.4 file")]
    optimality_gap: Annotated[float, means("gap", "ratio", "(value - bound) / value; 0 when proven optimal")]
    padded: Annotated[
        Mapping[str, int], means("padded", "", "dimension -> bound that was mapped, where larger than the problem's")
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class Totals:
    """What adds up over operations, refresh included."""

    latency_s: Annotated[float, means("time", "s", "time")] = 0.0
    cycles: Annotated[int, means("cycles", "cycles", "clock cycles, refresh stalls included")] = 0
    macs: Annotated[int, means("MACs", "MAC", "useful multiply-accumulates")] = 0
    compute_J: Annotated[float, means("compute", "J", "energy of multiply-accumulates and element operations")] = 0.0
    dynamic_J: Annotated[float, means("on-chip dynamic", "J", "dynamic energy of all on-chip levels")] = 0.0
    leakage_J: Annotated[float, means("leakage", "J", "of the whole chip")] = 0.0
    refresh_J: Annotated[float, means("refresh", "J", "of all eDRAM levels")] = 0.0
    dram_J: Annotated[float, means("DRAM", "J", "everything off chip")] = 0.0
    refresh_count: Annotated[float, means("row refreshes", "count", "row refreshes")] = 0.0
    dram_bytes: Annotated[float, means("DRAM traffic", "B", "moved to and from DRAM")] = 0.0

    @computed_field(title="energy", description="sum of the five parts", json_schema_extra={"unit": "J"})
    @property
    def energy_J(self) -> float:
        """Sum of the parts."""
        return math.fsum(self.parts_J.values())

    @property
    def parts_J(self) -> dict[str, float]:
        """Energy by part, keyed as in :data:`ENERGY_PARTS`."""
        return {part: getattr(self, part) for part in ENERGY_PARTS}

    @computed_field(title="EDP", description="energy-delay product of the whole", json_schema_extra={"unit": "J s"})
    @property
    def edp_Js(self) -> float:
        """Energy x time."""
        return self.energy_J * self.latency_s

    @classmethod
    def sum(cls, parts: Iterable[Totals]) -> Totals:
        """Everything added up."""
        every = list(parts)
        sums: dict[str, Any] = {item.name: _sum([getattr(part, item.name) for part in every]) for item in fields(cls)}
        return cls(**sums)


@dataclass(frozen=True)
class OperationResult:
    """One operation of the step."""

    name: Annotated[str, means("operation", "", "its name")]
    pass_: Annotated[str, Field(serialization_alias="pass"), means("pass", "", "forward, reconstruct, input_grad ...")]
    kind: Annotated[str, means("kind", "", "operator")]
    partner: Annotated[str | None, means("partner", "", "the forward operation it belongs to")]
    repeats: Annotated[int, means("runs", "count", "runs in the step")]
    cost: Annotated[OperationCost, means("cost", "", "of one run, refresh left out")]
    refresh: Annotated[OperationRefresh, means("refresh", "", "what refresh adds to all runs")]
    lifetimes: Annotated[
        tuple[DataLifetime, ...], means("lifetimes", "", "of tiles in eDRAM, and of resident tensors used last here")
    ] = ()
    mapping: Annotated[OperationMapping | None, means("mapping", "", "None for a vector operation")] = None

    @computed_field(title="bound by", description="compute, vector, or the storage level it waits for")
    @property
    def bound_by(self) -> str:
        """What its time hangs on, waiting for refresh included."""
        return self.refresh.waits_for or self.cost.bound_by

    @computed_field(title="utilization", description="of the MAC units over all its time")
    @property
    def utilization(self) -> float:
        """Of the multiply-accumulate units over all its time."""
        return self.cost.utilization * self.cost.cycles * self.repeats / self.totals.cycles

    @computed_field(title="totals", description="of all its runs, refresh included")
    @cached_property
    def totals(self) -> Totals:
        """All runs, refresh included."""
        cost, refresh, runs = self.cost, self.refresh, self.repeats
        return Totals(
            latency_s=cost.latency_s * runs + refresh.stall_s,
            cycles=cost.cycles * runs + refresh.stall_cycles,
            macs=cost.macs * runs,
            compute_J=cost.compute_J * runs,
            dynamic_J=math.fsum(cost.dynamic_J.values()) * runs,
            leakage_J=cost.leakage_J * runs + refresh.leakage_J,
            refresh_J=math.fsum(refresh.energy_J.values()),
            dram_J=cost.dram_J * runs + refresh.dram_J,
            refresh_count=math.fsum(refresh.rows.values()),
            dram_bytes=(cost.dram_read_bytes + cost.dram_written_bytes) * runs,
        )


@dataclass(frozen=True)
class TensorResult:
    """One tensor at its home."""

    name: Annotated[str, means("tensor", "", "its name")]
    kind: Annotated[str, means("kind", "", "activation, weight ...")]
    bytes: Annotated[float, means("size", "B", "in the precision of its home, one micro-batch")]
    home: Annotated[str, means("home", "", "storage level where it rests")]
    produced_by: Annotated[str | None, means("produced by", "", "operation that first writes it; None: was there")]
    last_used_by: Annotated[str, means("last use", "", "operation that uses it last")]
    lifetime_s: Annotated[float, means("lifetime", "s", "longest time from a write to the last read before the next")]
    refreshes: Annotated[int, means("refreshes", "count", "of each of its data meanwhile; 0 outside eDRAM")]
    rule: Annotated[str, means("rule", "", "how the lifetime was found")]


@dataclass(frozen=True)
class LifetimeClass:
    """A class of the histogram of lifetimes."""

    below_retentions: Annotated[float | None, means("below", "retention times", "upper end; None for the last one")]
    share_of_rows: Annotated[float, means("share", "ratio", "of the rows written that live up to so long")]


@dataclass(frozen=True)
class Remedy:
    """Data that need refresh, and what would make them need none."""

    tensor: Annotated[str, means("tensor", "", "its name")]
    resident: Annotated[bool, means("resident", "", "it rests in the level; else its tiles pass through")]
    spared_J: Annotated[float, means("spared", "J", "accesses to the outermost level that residency saves")]
    lifetime_s: Annotated[float, means("lifetime", "s", "the longest of its data")]
    rows: Annotated[int, means("rows", "count", "written in the step")]
    row_refreshes: Annotated[int, means("row refreshes", "count", "that its data need, floor(lifetime / retention)")]
    refresh_J: Annotated[float, means("refresh", "J", "energy of these")]
    temperature_C: Annotated[int | None, means("temperature", "C", "at or below which cells retain as long")]
    micro_batch: Annotated[int | None, means("micro-batch", "samples", "the largest with which it dies in time")]
    order: Annotated[str | None, means("order", "", "the first in which it dies in time")]
    array: Annotated[float | None, means("array", "ratio", "how many times larger the array must be")]


@dataclass(frozen=True)
class LevelLifetimes:
    """Lifetimes in one eDRAM level."""

    level: Annotated[str, means("level", "", "its name")]
    retention_s: Annotated[float, means("retention", "s", "of its cells")]
    histogram: Annotated[tuple[LifetimeClass, ...], means("histogram", "", "of the rows written, by lifetime")]
    outliving: Annotated[tuple[Remedy, ...], means("outliving", "", "what needs refresh, the dearest first")]


@dataclass(frozen=True)
class Estimate:
    """Bounds of a planned step in closed form, before any mapping."""

    latency_s: Annotated[float, means("time", "s", "of the step")]
    energy_J: Annotated[float, means("energy", "J", "of the step, accesses below the homes left out")]
    dram_bytes: Annotated[float, means("DRAM traffic", "B", "to and from the outermost level")]


@dataclass(frozen=True)
class TriedPlan:
    """A plan that a search looked at."""

    micro_batch: Annotated[int, means("micro-batch", "samples", "samples of one run")]
    order: Annotated[str, means("order", "", "how far a micro-batch runs before the next one")]
    estimate: Annotated[Estimate, means("estimate", "", "what it promises")]
    latency_s: Annotated[float | None, means("time", "s", "that was found, if it was mapped")] = None
    energy_J: Annotated[float | None, means("energy", "J", "that was found, if it was mapped")] = None


@dataclass(frozen=True)
class TimeAndEnergy:
    """Of a sample, an iteration, an epoch, or until the target accuracy."""

    latency_s: Annotated[float, means("time", "s", "time")]
    energy_J: Annotated[float, means("energy", "J", "energy")]


@dataclass(frozen=True)
class ActionEnergy:
    """What one action of one instance of a component costs, and who says so."""

    component: Annotated[str, means("component", "", "its name")]
    action: Annotated[str, means("action", "", "read, write, update: an access; compute: an operation; leak: a cycle")]
    energy_J: Annotated[float, means("energy", "J", "of one")]
    source: Annotated[str, means("source", "", "row of an ERT, installed Accelergy, its rules, a built-in model")]

    @classmethod
    def all_of(cls, machine: Machine) -> tuple[ActionEnergy, ...]:
        """Of every component of a machine, outermost first."""
        rows: list[tuple[str, dict[str, float], str]] = []
        for node in machine.nodes:
            if isinstance(node, Storage):
                read, write, update = node.energy.read_J, node.energy.write_J, node.energy.update_J
                costs = {"read": read, "write": write, "update": update, "leak": node.energy.leakage_J_per_cycle}
                rows.append((node.name, costs, node.energy_source))
            elif isinstance(node, Compute):
                costs = {"compute": node.energy_J, "leak": node.leakage_W * machine.cycle_s}
                rows.append((node.name, costs, node.energy_source))
        if machine.vector is not None:
            rows.append(("vector unit", {"compute": machine.vector.energy_J}, machine.vector.energy_source))
        return tuple(
            cls(name, action, energy_J, source) for name, costs, source in rows for action, energy_J in costs.items()
        )


@dataclass(frozen=True)
class StepResult:
    """What one training step costs on one machine."""

    arch: Annotated[str, means("machine", "", "name of the machine")]
    net: Annotated[str, means("network", "", "name of the network")]
    operations: Annotated[tuple[OperationResult, ...], means("operations", "", "in execution order")]
    tensors: Annotated[tuple[TensorResult, ...], means("tensors", "", "by first use")]
    coverage: Annotated[Coverage, means("coverage", "", "what became of each operator of the network")]
    temperature_C: Annotated[float, means("temperature", "C", "of the die")]
    peak_onchip_bytes: Annotated[float, means("peak on chip", "B", "most bytes of residents at any moment")]
    area_m2: Annotated[float, means("area", "m2", "of the chip")]
    technology: Annotated[str, means("node", "", "technology of the chip")] = ""
    energies: Annotated[tuple[ActionEnergy, ...], means("energies", "", "of each action of each component")] = ()
    lifetimes: Annotated[tuple[LevelLifetimes, ...], means("lifetimes", "", "of each eDRAM level")] = ()
    unconfirmed: Annotated[tuple[str, ...], means("unconfirmed", "", "assumed constants, with sources")] = ()
    published: Annotated[str, means("published", "", "what the machine's authors report; no target")] = ""
    settings: Annotated[Settings, means("settings", "", "of the run")] = field(default_factory=Settings)
    recipe: Annotated[Recipe, means("recipe", "", "how the network is trained")] = field(default_factory=Recipe)
    overrides: Annotated[Mapping[str, str | int | float], means("overrides", "", "parameters that were set")] = field(
        default_factory=dict
    )
    versions: Annotated[Mapping[str, str], means("versions", "", "of the tools, and content hashes")] = field(
        default_factory=dict
    )
    search: Annotated[tuple[TriedPlan, ...], means("search", "", "plans compared, the most promising first")] = ()
    mapped_anew: Annotated[
        tuple[str, ...], means("mapped anew", "", "operations whose given mapping did not fit any more")
    ] = ()
    baselines: Annotated[tuple[StepResult, ...], means("baselines", "", "the same on other machines")] = ()
    plan: Annotated[Plan | None, Field(exclude=True)] = field(default=None, compare=False, repr=False)
    schema: Annotated[Literal[3], means("schema", "", "of this form")] = SCHEMA

    @computed_field(title="totals", description="of the step")
    @cached_property
    def totals(self) -> Totals:
        """Of the step."""
        return Totals.sum(operation.totals for operation in self.operations)

    @computed_field(title="run", description="sample, iteration, epoch, target -> time and energy, as far as asked for")
    @property
    def run(self) -> dict[str, TimeAndEnergy]:
        """Of a training run of equal steps; the last one of an epoch may be partly filled and is counted whole."""
        times = {"sample": 1 / self.recipe.batch, "iteration": 1.0}
        if self.settings.dataset is not None:
            times["epoch"] = float(math.ceil(self.settings.dataset / self.recipe.batch))
            if self.settings.epochs is not None:
                times["target"] = times["epoch"] * self.settings.epochs
        whole = self.totals
        return {name: TimeAndEnergy(whole.latency_s * n, whole.energy_J * n) for name, n in times.items()}

    def to_dict(self) -> dict[str, object]:
        """Plain data, ready for ``json.dumps``."""
        return _plain(StepResult, self)

    def to_pandas(self) -> pandas.DataFrame:
        """Operations as a table, one row each (needs the extra ``report``)."""
        import pandas

        return pandas.DataFrame(rows(self.operations))


@dataclass(frozen=True)
class Infeasible:
    """A result that is none: what does not fit, and by how much."""

    subject: Annotated[str, means("subject", "", "the problem, tensor or level that nothing can hold")]
    shortfalls: Annotated[tuple[Shortfall, ...], means("shortfalls", "", "every reason found, the tightest first")]
    infeasible: Annotated[Literal[True], means("infeasible", "", "there is no result")] = True
    schema: Annotated[Literal[3], means("schema", "", "of this form")] = SCHEMA

    def to_dict(self) -> dict[str, object]:
        """Plain data, ready for ``json.dumps``."""
        return _plain(Infeasible, self)


def _sum(values: Sequence[float]) -> float:
    """Of whole numbers exactly, of others without rounding on the way."""
    return sum(values) if all(isinstance(value, int) for value in values) else math.fsum(values)


def rows(records: Sequence[OperationResult | TensorResult]) -> list[dict[str, object]]:
    """Records as rows of a table: their words and numbers, those of ``totals``, and ``part.name`` of other parts."""
    return [_flat(_plain(type(record), record)) for record in records]


def _flat(data: Mapping[str, object]) -> dict[str, object]:
    found = {name: value for name, value in data.items() if not isinstance(value, dict | list)}
    for part, values in data.items():
        for name, value in values.items() if isinstance(values, dict) else ():
            if not isinstance(value, dict | list) and "\n" not in str(value):  # texts of several lines are files
                found[name if part == "totals" else f"{part}.{name}"] = value
    return found


def _plain(kind: type, record: object) -> dict[str, object]:
    data: dict[str, object] = TypeAdapter[object](kind).dump_python(record, mode="json", by_alias=True)
    return data


def schema() -> dict[str, object]:
    """The JSON schema of a result, or of an infeasible one."""
    return TypeAdapter(StepResult | Infeasible).json_schema(mode="serialization", by_alias=True)
