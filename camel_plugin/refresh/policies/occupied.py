"""Occupancy-aware refresh: all rows of the banks that hold live data, none of the others (RANA's bank flags)."""

from __future__ import annotations

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.policies.base import LevelRefresh
from camel_plugin.spec.machine import TileRefresh


class OccupiedRefresh:
    """Refresh the banks that hold live data at the addresses of the placement; accesses meet only those banks."""

    name = "occupied"
    restores = True
    tiles = TileRefresh.HELD

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """Rows of the occupied banks, in proportion to time."""
        refresh = activity.refresh
        rows, share = {}, {}
        for name in activity.timeline.slots:
            held, instances = activity.live[name]
            banks = held * instances
            rows[name] = banks * refresh.rows_per_bank * activity.periods(activity.total_time(name))
            share[name] = 1.0 if banks else 0.0
        return LevelRefresh(rows, share)
