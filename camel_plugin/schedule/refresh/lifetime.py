"""Lifetime-aware refresh (CAMEL): floor(lifetime / retention) refreshes of a datum's rows, none where it dies young."""

from __future__ import annotations

import math

from camel_plugin.schedule.lifetime import Span
from camel_plugin.schedule.refresh.activity import LevelActivity
from camel_plugin.schedule.refresh.base import LevelRefresh
from camel_plugin.schedule.refresh.occupied import OccupiedRefresh


class LifetimeRefresh:
    """Refresh the rows of data that outlive the retention time, every retention time after their write.

    Lifetimes are those of a tensor's longest-living datum, applied to all its rows. Where such bounds overlap so
    much that refreshing every occupied bank is cheaper, the controller does that: it never does worse.
    """

    name = "lifetime"
    restores = True

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """Rows of long-lived data."""
        rows = dict.fromkeys(activity.timeline.slots, 0.0)
        known: dict[Span, dict[str, int]] = {}
        for data in activity.lifetimes:
            held = activity.rows(data.words) * data.instances
            for span in data.spans:
                if span not in known:
                    known[span] = _refreshes(activity, span)
                for operation, count in known[span].items():
                    rows[operation] += held * span.times * count
        occupied = OccupiedRefresh().refresh(activity)
        if math.fsum(rows.values()) > occupied.count:
            return occupied
        return LevelRefresh(rows, self._slowed(activity))

    def _slowed(self, activity: LevelActivity) -> frozenset[str]:
        """Operations that touch data which are refreshed at some time.

        Long-lived data that only wait lie in banks of their own and keep nobody waiting.
        """
        old = {i for i, data in enumerate(activity.lifetimes) if activity.refreshes(data.cycles)}
        return frozenset(name for name, touched in activity.operands.items() if old.intersection(touched))


def _refreshes(activity: LevelActivity, span: Span) -> dict[str, int]:
    """Operation -> refreshes that fall into it, one every retention time from the write on."""
    counts: dict[str, int] = {}
    if not activity.refreshes(span.cycles):
        return counts
    stop = span.written + span.cycles
    for name, start, end in activity.timeline.runs(span.written, stop):
        count = activity.refreshes(min(end, stop) - span.written) - activity.refreshes(max(start - span.written, 0))
        counts[name] = counts.get(name, 0) + count
    return counts
