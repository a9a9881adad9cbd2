"""The refresh policy protocol and what a policy answers.

Energy = row refreshes x energy of a row. Refresh takes time too: while it goes on in a level, the
share ``availability`` = 1 - rows x row cycles / retention time of every bank is left to accesses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from camel_plugin.schedule.refresh.activity import LevelActivity


@dataclass(frozen=True)
class LevelRefresh:
    """What a policy does in one level during a step.

    Attributes:
        rows: operation -> row refreshes in all its runs and all instances.
        slowed: operations during which refresh takes its share of the level's time.
    """

    rows: Mapping[str, float]
    slowed: frozenset[str]

    @property
    def count(self) -> float:
        """Row refreshes of the step."""
        return sum(self.rows.values())


class RefreshPolicy(Protocol):
    """Decides which rows are refreshed.

    A policy is registered in the entry point group ``camel_plugin.refresh`` as a class without arguments.

    Attributes:
        name: as the user writes it.
        restores: False if data older than the retention time are simply lost.
    """

    name: str
    restores: bool

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """Row refreshes of one level."""
        ...
