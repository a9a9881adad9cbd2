"""Refresh policies: which rows of an eDRAM are refreshed how often, as two pure functions, and their tables.

A policy says how often the row of a datum is refreshed by the time that it waits without a write (its age, in
retention times), and how many rows are refreshed all the time, once a retention time. Mapper, placement and account
ask these two functions and nothing else.

Energy = row refreshes x energy of a row. Refresh takes time too. All arrays of all banks refresh a row each at the
same time, so keeping a share s of the rows alive leaves accesses 1 - s x rows per array x row cycles / retention time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from camel_plugin import plugins
from camel_plugin.errors import InputError

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Of seconds into cycles, in retention times."""

STEPS = 4
"""Entries of a table for each retention time."""

LONGEST = 64
"""Ages in a table, in retention times; beyond, a retention time adds what the last one did."""


class RefreshPolicy(Protocol):
    """Decides which rows are refreshed; this one refreshes none.

    A policy is registered in the entry point group ``camel_plugin.refresh`` as a class without arguments.

    Attributes:
        name: as the user writes it.
        restores: False if data older than the retention time are simply lost.
        fallback: what is done in a level instead, where that refreshes fewer rows in a step; None for nothing.
    """

    name: str
    restores: bool = True
    fallback: RefreshPolicy | None = None

    def refreshes(self, ages: Floats) -> Floats:
        """Refreshes of a datum's row, those of :meth:`standing` left out; same shape.

        Args:
            ages: since its last write, in retention times; never falls with age.
        """
        return np.zeros_like(ages)

    def standing(self, total: Floats, occupied: Floats) -> Floats:
        """Rows that are refreshed once a retention time, whatever the age of their data; same shape.

        Args:
            total: rows of a level.
            occupied: of these, the rows of banks that hold live data; never falls with them.
        """
        return np.zeros_like(total)


class ConventionalRefresh(RefreshPolicy):
    """Every row of every bank, whatever it holds.

    The refresh clock runs on from step to step, so a step of time t holds t / retention passes on average.
    """

    name = "conventional"

    def standing(self, total: Floats, occupied: Floats) -> Floats:
        """All rows."""
        return total


class OccupiedRefresh(RefreshPolicy):
    """All rows of the banks that hold live data at the addresses of the placement, no others (RANA's bank flags)."""

    name = "occupied"

    def standing(self, total: Floats, occupied: Floats) -> Floats:
        """The rows of occupied banks."""
        return occupied


class LifetimeRefresh(RefreshPolicy):
    """The rows of data that outlive the retention time, every retention time after their write (CAMEL).

    Lifetimes are those of a tensor's longest-living datum, applied to all its rows, which lie spread over all banks.
    Where such bounds overlap so much that refreshing every occupied bank is cheaper, the controller does that.
    """

    name = "lifetime"
    fallback = OccupiedRefresh()

    def refreshes(self, ages: Floats) -> Floats:
        """One for every retention time that has passed."""
        return np.floor(ages + ROUNDING)


class NoRefresh(RefreshPolicy):
    """Never: data that outlive their cells are lost, and their expected share is reported."""

    name = "none"
    restores = False


def share_met(total: Floats, occupied: Floats, standing: Floats) -> Floats:
    """Share of the rows that accesses find in occupied banks which are kept alive all the time, 0..1."""
    of = np.where(occupied > 0, occupied, 1.0)
    share: Floats = np.where(occupied > 0, np.minimum(standing, of) / of, standing > 0) * (total > 0)
    return share


@dataclass(frozen=True)
class RefreshTable:
    """What a policy does to tiles that pass through an eDRAM level, in numbers.

    Attributes:
        refreshes: of a datum's row at ages of 0, 1/4, 2/4 ... retention times.
        standing: rows of an instance that are refreshed all the time because tiles fill 0, 1, 2 ... banks of it,
            beyond those refreshed anyway.
        met: share of the rows that accesses find which is then kept alive, 0..1.
    """

    refreshes: tuple[float, ...]
    standing: tuple[float, ...]
    met: tuple[float, ...]

    @property
    def idle(self) -> bool:
        """Tiles cost nothing."""
        return not any(self.refreshes) and not any(self.standing)

    def at(self, ages: Floats) -> Floats:
        """Refreshes of a datum's row at ages in retention times: exact for steps at quarters of them."""
        place = np.floor((ages + ROUNDING) * STEPS)
        last = len(self.refreshes) - 1
        beyond = np.ceil(np.maximum(0.0, place - last) / STEPS)
        counts = np.array(self.refreshes)
        known: Floats = counts[(place - beyond * STEPS).astype(np.int64)]
        further: Floats = beyond * (counts[last] - counts[last - STEPS])
        return known + further


def load_policy(name: str) -> RefreshPolicy:
    """The policy that is registered as ``name``, tried on a small memory.

    Raises:
        UnknownNameError: none is.
        InputError: it lacks something, or answers with what cannot be.
    """
    field = f"refresh policy {name}"
    make = plugins.load("refresh", name)
    try:
        policy: RefreshPolicy = make()
        lacking = [
            word for word in (*RefreshPolicy.__annotations__, "refreshes", "standing") if not hasattr(policy, word)
        ]
        if not lacking:
            tabulated(policy, 4, 8, 1)
    except InputError:
        raise
    except Exception as error:  # a policy is a program of the user's: whatever it raises is its mistake
        raise InputError(f"fails: {type(error).__name__}: {error}", field=field) from error
    if lacking:
        raise InputError(
            f"has no {', '.join(lacking)}", field=field, suggestion=f"inherit from {__name__}.RefreshPolicy"
        )
    return policy


def tabulated(policy: RefreshPolicy, banks: int, rows_per_bank: int, occupied: int = 0) -> RefreshTable:
    """The table of a policy in one instance of a level.

    Args:
        policy: the policy.
        banks: of the instance.
        rows_per_bank: rows of a bank.
        occupied: banks that hold live data other than tiles.

    Raises:
        InputError: it refreshes less the older data are or the more banks hold some, or gives no finite numbers.
    """
    filled = np.minimum(banks, occupied + np.arange(banks + 1.0)) * rows_per_bank
    total = np.full(banks + 1, float(banks * rows_per_bank))
    counts = np.asarray(policy.refreshes(np.arange(LONGEST * STEPS + 1) / STEPS), float)
    standing = np.asarray(policy.standing(total, filled), float)
    for what, values, size in (("refreshes", counts, LONGEST * STEPS + 1), ("standing", standing, banks + 1)):
        field = f"refresh policy {policy.name}"
        if values.shape != (size,):
            raise InputError(f"{what} must give as many numbers as it is asked for", field=field, value=values.shape)
        if not np.isfinite(values).all() or values[0] < 0 or (np.diff(values) < 0).any():
            raise InputError(f"{what} must be finite and never fall", field=field, value=values.tolist()[:8])
    extra, met = standing - standing[0], share_met(total, filled, standing)
    return RefreshTable(tuple(counts.tolist()), tuple(extra.tolist()), tuple(met.tolist()))
