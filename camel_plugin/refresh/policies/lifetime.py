"""Lifetime-aware refresh (CAMEL): floor(lifetime / retention) refreshes of a datum's rows, none where it dies young."""

from __future__ import annotations

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.lifetime import Span
from camel_plugin.refresh.policies.base import LevelRefresh
from camel_plugin.refresh.policies.occupied import OccupiedRefresh
from camel_plugin.spec.machine import TileRefresh


class LifetimeRefresh:
    """Refresh the rows of data that outlive the retention time, every retention time after their write.

    Lifetimes are those of a tensor's longest-living datum, applied to all its rows, which lie spread over all banks.
    Where such bounds overlap so much that refreshing every occupied bank is cheaper, the controller does that.
    """

    name = "lifetime"
    restores = True
    tiles = TileRefresh.AGED

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
        share = {name: _share(activity, name) for name in rows}
        own, occupied = LevelRefresh(rows, share), OccupiedRefresh().refresh(activity)
        return own if own.count <= occupied.count else LevelRefresh(occupied.rows, share)


def _share(activity: LevelActivity, operation: str) -> float:
    """Share of the rows that hold, during ``operation``, data which are refreshed at some time."""
    present = (activity.lifetimes[number] for number in activity.holders[operation])
    old = sum(activity.rows(data.words) * data.copies for data in present if activity.refreshes(data.cycles))
    return min(1.0, old / activity.total_rows)


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
