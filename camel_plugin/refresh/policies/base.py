"""The refresh policy protocol and what a policy answers.

Energy = row refreshes x energy of a row. Refresh takes time too. All arrays of all banks refresh a row each at the
same time, so keeping a share s of the rows alive leaves accesses 1 - s x rows per array x row cycles / retention time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.spec.machine import TileRefresh


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


class RefreshPolicy(Protocol):
    """Decides which rows are refreshed.

    A policy is registered in the entry point group ``camel_plugin.refresh`` as a class without arguments.

    Attributes:
        name: as the user writes it.
        restores: False if data older than the retention time are simply lost.
        tiles: what it does to tiles that pass through, told to mappers.
    """

    name: str
    restores: bool
    tiles: TileRefresh

    def refresh(self, activity: LevelActivity) -> LevelRefresh:
        """Row refreshes of one level."""
        ...
