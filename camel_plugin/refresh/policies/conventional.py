"""Conventional refresh: every row of every bank once per retention time, whatever it holds."""

from __future__ import annotations

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.policies.base import LevelRefresh
from camel_plugin.spec.machine import TileRefresh


class ConventionalRefresh:
    """Refresh everything, always.

    The refresh clock runs on from step to step, so a step of time t holds t / retention passes on average.
    """

    name = "conventional"
    restores = True
    tiles = TileRefresh.NEVER

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """All rows, in proportion to time."""
        rows = activity.total_rows * activity.instances
        slots = activity.timeline.slots
        refreshed = {name: rows * activity.periods(activity.total_time(name)) for name in slots}
        return LevelRefresh(refreshed, dict.fromkeys(slots, 1.0))
