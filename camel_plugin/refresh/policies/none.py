"""No refresh at all: data that outlive their cells are lost, and their expected share is reported."""

from __future__ import annotations

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.policies.base import LevelRefresh
from camel_plugin.spec.machine import TileRefresh


class NoRefresh:
    """Never refresh."""

    name = "none"
    restores = False
    tiles = TileRefresh.NEVER

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """Nothing."""
        nothing = dict.fromkeys(activity.timeline.slots, 0.0)
        return LevelRefresh(nothing, nothing)
