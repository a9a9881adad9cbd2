"""Refresh in words: what is refreshed, why it is kept all the same, what would spare it, and why two results differ."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from camel_plugin.report.units import quantity
from camel_plugin.result import LevelLifetimes, Remedy, StepResult


def level_notes(level: LevelLifetimes) -> list[str]:
    """What outlives the retention time of a level, and what would spare the dearest."""
    young = sum(each.share_of_rows for each in level.histogram if (each.below_retentions or math.inf) <= 1)
    name, outliving = level.level, level.outliving
    notes = [f"{young:.0%} of the rows written in {name} die within {quantity(level.retention_s, 's')}"]
    if outliving:
        resting = [entry for entry in outliving if entry.resident]
        passing = [entry for entry in outliving if not entry.resident]
        spared_J = math.fsum(entry.spared_J for entry in resting)
        notes.append(
            f"refresh that data in {name} need: {_sum(resting)} for {len(resting)} tensors that rest there, sparing "
            f"{quantity(spared_J, 'J')} outside; {_sum(passing)} for tiles of {len(passing)} that pass through"
        )
        first = outliving[0]
        notes.append(
            f"most refreshed: {first.tensor} ({quantity(first.refresh_J, 'J')}, "
            f"lives {quantity(first.lifetime_s, 's')}), which {_help(first)} would spare"
        )
    return notes


def _sum(entries: Iterable[Remedy]) -> str:
    return quantity(math.fsum(entry.refresh_J for entry in entries), "J")


def _help(entry: Remedy) -> str:
    texts = {
        "temperature_C": "{} C",
        "micro_batch": "micro-batch {} (estimated)",
        "order": "--depth-first {}",
        "array": "an array {:.3g} times larger (estimated)",
    }
    helps = (text.format(getattr(entry, key)) for key, text in texts.items() if getattr(entry, key) is not None)
    return " or ".join(helps) or "no temperature, micro-batch, order or array"


@dataclass(frozen=True)
class Reason:
    """Why a result refreshes more, or less, than another one.

    Attributes:
        what: in words.
        refresh_J: by how much; all reasons together make up the difference.
        tensors: whose data they are, the largest share first; empty if it is not a matter of single tensors.
    """

    what: str
    refresh_J: float
    tensors: tuple[str, ...] = ()


RESTS = ("data now rest in eDRAM, which spares DRAM", "data no longer rest in eDRAM")
ROW = ("a row costs more", "a row costs less")
ROWS = ("more rows are written", "fewer rows are written")
RETENTION = ("cells retain for less long", "cells retain longer")
LIVES = ("data live longer", "data live less long")
POLICY = ("the policy refreshes more beyond what data need", "the policy refreshes less beyond what data need")


def reasons(result: StepResult, first: StepResult) -> list[Reason]:
    """What makes up the refresh of ``result`` less that of ``first``, the largest share first.

    For each tensor the refresh its data need is energy of a row x rows written x refreshes of a row, and the change of
    each of the three factors in this order is one share; refreshes of a row change with the retention time and with
    lifetimes. A tensor that rests in eDRAM in one result only is a reason of its own.
    """
    then, now = _Data(first), _Data(result)
    shares: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys((*then.needs, *now.needs)):
        for (more, less), share in _shares(name, then, now).items():
            shares.setdefault(more if share > 0 else less, {})[name] = share
    found = [
        Reason(what, math.fsum(of.values()), tuple(sorted(of, key=lambda name: -abs(of[name]))))
        for what, of in shares.items()
    ]
    beyond_J = now.beyond_J - then.beyond_J
    if abs(beyond_J) > _ROUNDING * max(result.totals.refresh_J, first.totals.refresh_J):
        found.append(Reason(POLICY[beyond_J < 0], beyond_J))
    return sorted(found, key=lambda reason: -abs(reason.refresh_J))


_ROUNDING = 1e-9
"""Of sums of energies, relative."""


def change_note(result: StepResult, first: StepResult) -> str:
    """The reasons in a sentence, or nothing if neither result refreshes."""
    before_J, after_J = first.totals.refresh_J, result.totals.refresh_J
    if not before_J or not after_J:
        return ""
    told = [reason for reason in reasons(result, first) if abs(reason.refresh_J) >= 0.01 * max(before_J, after_J)]
    texts = [f"{_signed(reason.refresh_J)} {reason.what}{_named(reason.tensors)}" for reason in told]
    return f"refresh {_signed(after_J - before_J)} against {first.arch}: {'; '.join(texts)}"


def _signed(energy_J: float) -> str:
    return f"{'-' if energy_J < 0 else '+'}{quantity(abs(energy_J), 'J')}"


def _named(tensors: tuple[str, ...]) -> str:
    return f" ({len(tensors)} tensors, {tensors[0]} first)" if tensors else ""


@dataclass(frozen=True)
class _Need:
    """Refresh that data of one tensor need, all eDRAM levels together."""

    rows: float = 0.0
    row_refreshes: float = 0.0
    refresh_J: float = 0.0


class _Data:
    """Facts of a result by tensor; a copy of a tensor on chip (``name@operation``) counts as the tensor."""

    def __init__(self, result: StepResult) -> None:
        self.retention_s = {level.level: level.retention_s for level in result.lifetimes}
        self.needs: dict[str, _Need] = {}
        for level in result.lifetimes:
            for entry in level.outliving:
                name = _original(entry.tensor)
                so_far = self.needs.get(name, _Need())
                self.needs[name] = _Need(
                    so_far.rows + entry.rows,
                    so_far.row_refreshes + entry.row_refreshes,
                    so_far.refresh_J + entry.refresh_J,
                )
        self.resting = {_original(tensor.name) for tensor in result.tensors if tensor.home in self.retention_s}
        self.lifetime_s: dict[str, float] = {}
        for operation in result.operations:
            for data in operation.lifetimes:
                name = _original(data.tensor)
                self.lifetime_s[name] = max(self.lifetime_s.get(name, 0.0), data.lifetime_s)
        self.beyond_J = result.totals.refresh_J - math.fsum(need.refresh_J for need in self.needs.values())


def _original(tensor: str) -> str:
    return tensor.partition("@")[0]


def _shares(name: str, then: _Data, now: _Data) -> dict[tuple[str, str], float]:
    before, after = then.needs.get(name, _Need()), now.needs.get(name, _Need())
    if (name in then.resting) != (name in now.resting):
        return {RESTS: after.refresh_J - before.refresh_J}
    each = [need.row_refreshes / need.rows if need.rows else 0.0 for need in (before, after)]
    rows_J = [need.refresh_J / count if count else 0.0 for need, count in zip((before, after), each, strict=True)]
    shares = {}
    if all(rows_J):  # else it is refreshed in one result only, and there is nothing to compare rows with
        row_J = [need.refresh_J / need.row_refreshes for need in (before, after)]
        shares[ROW] = (row_J[1] - row_J[0]) * before.row_refreshes
        shares[ROWS] = row_J[1] * (after.rows - before.rows) * each[0]
    retained = _retained(name, then, now, each)
    last_J = rows_J[1] or rows_J[0]
    shares[RETENTION] = last_J * (retained - each[0])
    shares[LIVES] = last_J * (each[1] - retained)
    return {what: share for what, share in shares.items() if share}


def _retained(name: str, then: _Data, now: _Data, each: list[float]) -> float:
    """Refreshes of a row with the lifetimes of ``then`` and the retention times of ``now``."""
    if then.retention_s == now.retention_s:
        return each[0]
    before_s, after_s = then.lifetime_s.get(name, 0.0), now.lifetime_s.get(name, 0.0)
    if each[1] and after_s:
        return each[1] * before_s / after_s
    return 0.0 if min(now.retention_s.values()) > min(then.retention_s.values()) else each[0]
