"""What every report says, whatever it is written in: sums, ratios, lifetimes and warnings of a result."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from camel_plugin.report.notes import foreign, notes, sources
from camel_plugin.report.refresh_reasons import change_note
from camel_plugin.report.units import quantity
from camel_plugin.result import ENERGY_PARTS, DataLifetime, StepResult, Totals
from camel_plugin.spec.step import Pass

# Okabe & Ito's palette: told apart by colour-blind readers too.
PART_COLOURS = dict(zip(ENERGY_PARTS, ("#0072B2", "#56B4E9", "#999999", "#D55E00", "#E69F00"), strict=True))


def passes(result: StepResult) -> list[tuple[str, Totals]]:
    """The passes that occur, in the order of a training step, with their sums."""
    groups: dict[str, list[Totals]] = {name: [] for name in Pass}
    for operation in result.operations:
        groups.setdefault(operation.pass_, []).append(operation.totals)
    return [(name, Totals.sum(group)) for name, group in groups.items() if group]


def headline(result: StepResult) -> str:
    """What was evaluated, on what, and how, in one line."""
    return f"{result.net} on {result.arch}: {how(result)}"


def how(result: StepResult) -> str:
    """The choices behind the numbers."""
    recipe = result.recipe
    parts = [
        f"{recipe.schedule} schedule",
        f"batch {recipe.batch}",
        f"micro-batch {recipe.micro_batch}",
        *([f"norm group {recipe.norm_group}"] if recipe.norm_group else []),
        f"refresh {result.settings.refresh}",
        f"{result.temperature_C:g} C",
    ]
    return ", ".join([*parts, *_recipe(recipe.heeded), f"{result.settings.engine} engine"])


_USUAL = {"optimizer": "sgd", "reversible": "fused", "dropout": "replay"}


def _recipe(training: Mapping[str, object]) -> list[str]:
    """What is unusual about a training recipe."""
    words = []
    for name, value in training.items():
        if value != _USUAL.get(name):
            entries = [f"{kind} {way}" for kind, way in value.items()] if isinstance(value, Mapping) else value
            text = " ".join(entries) if isinstance(entries, list) else str(entries)
            words.append(f"{name.replace('_', ' ')} {text}")
    return words


_NAMED = 3
"""Modules that were not reached and are named."""


def warnings(result: StepResult) -> list[str]:
    """What is missing from the numbers; empty when nothing is."""
    meanings = {
        "unsupported": "NOT IN THESE NUMBERS (operator without a cost model)",
        "not_reached": "NOT REACHED by the forward pass, so not in these numbers",
    }
    lines = [f"{meanings['unsupported']}: {entry}" for entry in result.coverage.unsupported]
    if missed := result.coverage.not_reached:
        more = f" and {len(missed) - _NAMED} more modules" if len(missed) > _NAMED else ""
        lines.append(f"{meanings['not_reached']}: {', '.join(missed[:_NAMED])}{more}")
    return lines


def machines(result: StepResult) -> list[tuple[str, StepResult]]:
    """The evaluated machine and its baselines, labelled with those of their settings that not all of them share."""
    compared = [result, *result.baselines]
    scalars = [_scalars(machine) for machine in compared]
    labelled = []
    for machine, own in zip(compared, scalars, strict=True):
        differing = [
            _short(key, value)
            for key, value in own.items()
            if any(key not in theirs or theirs[key] != value for theirs in scalars)
        ]
        labelled.append((f"{machine.arch} ({', '.join(differing)})" if differing else machine.arch, machine))
    return labelled


def _short(key: str, value: object) -> str:
    if key == "temperature_C":
        return f"{value:g} C"
    if key == "technology":
        return str(value) or "node not said"
    return f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}"


def chip(result: StepResult) -> str:
    """Area, node and die temperature."""
    return f"{quantity(result.area_m2, 'm2')} at {result.technology or 'a node not said'}, {result.temperature_C:g} C"


def ratio(baseline: float, own: float) -> float | None:
    """``baseline / own``: above 1 the evaluated machine is the better one; None where it means nothing."""
    return baseline / own if own > 0 else None


@dataclass(frozen=True)
class Longest:
    """The longest life that data of one tensor have in one eDRAM level.

    Attributes:
        operation: during or up to the end of which it is.
        lifetime: of the data.
    """

    operation: str
    lifetime: DataLifetime

    @property
    def ratio(self) -> float:
        """Lifetime over retention time."""
        return self.lifetime.lifetime_s / self.lifetime.retention_s

    @property
    def refreshes_needed(self) -> int:
        """Refreshes that keep each datum intact, whatever the policy does (Zhang et al., HPCA 2024)."""
        return math.floor(self.ratio)


def longest_lifetimes(result: StepResult, count: int | None = 8) -> list[Longest]:
    """The ``count`` longest lifetimes (None for all), against the retention time of their level, longest first."""
    longest: dict[tuple[str, str], Longest] = {}
    for operation in result.operations:
        for lifetime in operation.lifetimes:
            entry = Longest(operation.name, lifetime)
            key = (lifetime.tensor, lifetime.level)
            if key not in longest or entry.ratio > longest[key].ratio:
                longest[key] = entry
    return sorted(longest.values(), key=lambda entry: -entry.ratio)[:count]


def retentions(result: StepResult) -> str:
    """Retention time of every eDRAM level, in words."""
    return ", ".join(f"{quantity(level.retention_s, 's')} in {level.level}" for level in result.lifetimes)


def bounds(result: StepResult) -> list[tuple[str, float]]:
    """What the time is bound by: (``compute``, ``vector`` or a storage level, share of the time), largest first."""
    seconds: dict[str, float] = defaultdict(float)
    for operation in result.operations:
        seconds[operation.bound_by] += operation.totals.latency_s
    whole = sum(seconds.values())
    return sorted(((name, part / whole) for name, part in seconds.items() if part > 0), key=lambda entry: -entry[1])


def remarks(result: StepResult) -> list[str]:
    """Refresh stalls, corrupted bits, proof of the mappings, and the notes of the result and its baselines."""
    lines = []
    stalls = sum(operation.refresh.stall_cycles for operation in result.operations)
    if stalls:
        share = stalls / result.totals.cycles
        lines.append(f"refresh stalls: {stalls:,} of {result.totals.cycles:,} cycles ({share:.1%})")
    worst = max(result.operations, key=lambda operation: operation.refresh.corrupted_share, default=None)
    if worst is not None and worst.refresh.corrupted_share > 0:
        lines.append(f"corrupted bits: expected share up to {worst.refresh.corrupted_share:.3g} (in {worst.name})")
    gaps = [(operation.mapping.optimality_gap, operation.name) for operation in result.operations if operation.mapping]
    if gaps:
        lines.append(_proof(gaps))
    own = notes(result)
    lines += own
    if foreign(result):
        lines.append(f"energies: {sources(result)}")
    lines += _unconfirmed("unconfirmed", result.unconfirmed)
    nodes = {machine.technology for _, machine in machines(result)} - {""}
    if len(nodes) > 1:
        named = "; ".join(f"{each.arch}: {each.technology}" for _, each in machines(result) if each.technology)
        lines.append(f"nodes differ ({named}): the ratios compare technologies as well as machines")
    for label, baseline in machines(result)[1:]:
        lines += [f"{label}: {note}" for note in notes(baseline) if note not in own]
        if foreign(baseline):
            lines.append(f"{label}: energies: {sources(baseline)}")
        if change := change_note(baseline, result):
            lines.append(f"{label}: {change}")
        more = [constant for constant in baseline.unconfirmed if constant not in result.unconfirmed]
        lines += _unconfirmed(f"unconfirmed in {label}", more)
    return lines


def _unconfirmed(label: str, constants: Sequence[str]) -> list[str]:
    """One line that names them; where each comes from stands in brackets behind it and in ``result.json``."""
    names = "; ".join(constant.partition(" (")[0] for constant in constants)
    return [f"{label} ({len(constants)}, sources in result.json): {names}"] if constants else []


def _proof(gaps: Sequence[tuple[float, str]]) -> str:
    proven = sum(gap == 0 for gap, _ in gaps)
    close = sum(gap <= 0.01 for gap, _ in gaps)
    line = f"mappings: {proven} of {len(gaps)} operations proven optimal"
    if close > proven:
        line += f", {close} within 1% of the bound"
    gap, name = max(gaps)
    return line if proven == len(gaps) else f"{line}, largest gap {gap:.2%} (in {name})"


def settings(result: StepResult) -> dict[str, object]:
    """Everything that was chosen, as plain data; the recipe without what its schedule does not heed."""
    recipe = result.recipe
    chosen = {
        name: str(value) if isinstance(value, StrEnum) else value for name, value in vars(result.settings).items()
    }
    return {
        "schedule": recipe.schedule.value,
        "training": recipe.heeded,
        "batch": recipe.batch,
        **chosen,
        "overrides": dict(result.overrides),
        "micro_batch": recipe.micro_batch,
        "norm_group": recipe.norm_group,
        "technology": result.technology,
        "temperature_C": result.temperature_C,
    }


def _scalars(result: StepResult) -> dict[str, object]:
    """Settings that can be compared, the overridden parameters among them."""
    every = {**settings(result), **result.overrides}
    return {key: value for key, value in every.items() if value is None or isinstance(value, str | int | float)}
