"""What a refresh policy does in one level during a step: row refreshes, and what accesses find under refresh."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.lifetime import Span
from camel_plugin.spec.refresh import RefreshPolicy, share_met


@dataclass(frozen=True)
class LevelRefresh:
    """What a policy does in one level during a step.

    Attributes:
        rows: operation -> row refreshes in all its runs and all instances.
        share: operation -> share of the rows that accesses meet which is kept under refresh meanwhile, 0..1.
    """

    rows: Mapping[str, float]
    share: Mapping[str, float]

    @property
    def count(self) -> float:
        """Row refreshes of the step."""
        return math.fsum(self.rows.values())


def level_refresh(policy: RefreshPolicy, activity: LevelActivity) -> LevelRefresh:
    """Standing refreshes in proportion to time, those by age where they fall.

    Where the policy's fallback refreshes fewer rows in the step, the controller does that; what accesses may meet
    stays as it is.
    """
    names = list(activity.timeline.slots)
    rows_per_bank = activity.edram.rows_per_bank
    occupied = np.array([math.prod(activity.live[name]) * rows_per_bank for name in names], float)
    total = np.full(len(names), float(activity.total_rows * activity.instances))
    standing = policy.standing(total, occupied)
    periods = np.array([activity.periods(activity.total_time(name)) for name in names])
    rows = dict(zip(names, (standing * periods).tolist(), strict=True))
    old = [bool(policy.refreshes(np.array([activity.periods(data.cycles)]))[0]) for data in activity.lifetimes]
    known: dict[Span, Mapping[str, float]] = {}
    for data, outlives in zip(activity.lifetimes, old, strict=True):
        held = activity.rows(data.words) * data.instances
        for span in data.spans if outlives else ():
            if span not in known:
                known[span] = _by_age(policy, activity, span)
            for operation, count in known[span].items():
                rows[operation] += held * span.times * count
    met = share_met(total, occupied, standing).tolist()
    share = {name: min(1.0, met[i] + _share_of_old(activity, name, old)) for i, name in enumerate(names)}
    own = LevelRefresh(rows, share)
    if policy.fallback is None:
        return own
    other = level_refresh(policy.fallback, activity)
    return own if own.count <= other.count else LevelRefresh(other.rows, share)


def _share_of_old(activity: LevelActivity, operation: str, old: list[bool]) -> float:
    """Share of the rows that hold, during ``operation``, data which are refreshed for their age at some time."""
    present = (activity.lifetimes[number] for number in activity.holders[operation] if old[number])
    return sum(activity.rows(data.words) * data.copies for data in present) / activity.total_rows


def _by_age(policy: RefreshPolicy, activity: LevelActivity, span: Span) -> Mapping[str, float]:
    """Operation -> refreshes of a datum that fall into it."""
    stop = span.written + span.cycles
    runs = list(activity.timeline.runs(span.written, stop))
    begins = np.array([max(start - span.written, 0) for _, start, _ in runs]) / activity.period_cycles
    ends = np.array([min(end, stop) - span.written for _, _, end in runs]) / activity.period_cycles
    counts: dict[str, float] = {}
    for (name, _, _), count in zip(runs, (policy.refreshes(ends) - policy.refreshes(begins)).tolist(), strict=True):
        counts[name] = counts.get(name, 0.0) + count
    return counts
