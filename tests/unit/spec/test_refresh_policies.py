"""Refresh policies as functions, and their tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin import plugins
from camel_plugin.errors import InputError
from camel_plugin.plugins import load, registered
from camel_plugin.spec.refresh import LONGEST, RefreshPolicy, load_policy, share_met, tabulated

POLICIES = sorted(registered("refresh"))


class Eager(RefreshPolicy):
    """Twice in a retention time from the first quarter on, and a tenth of all rows beside half the occupied ones."""

    name = "eager"

    def refreshes(self, ages):
        return np.floor(2 * ages + 0.5)

    def standing(self, total, occupied):
        return 0.1 * total + 0.5 * occupied


def policy(name):
    return Eager() if name == "eager" else load("refresh", name)()


@pytest.mark.parametrize(
    ("name", "by_age", "standing"),
    [
        ("none", [0, 0, 0, 0], 0),
        ("lifetime", [0, 0, 1, 3], 0),
        ("occupied", [0, 0, 0, 0], 30),
        ("conventional", [0, 0, 0, 0], 120),
    ],
)
def test_what_the_policies_refresh(name, by_age, standing):
    found = policy(name)
    assert found.refreshes(np.array([0.0, 0.999, 1.0, 3.7])).tolist() == by_age
    assert found.standing(np.array([120.0]), np.array([30.0])).tolist() == [standing]
    assert found.name == name and found.restores == (name != "none")


@pytest.mark.parametrize("name", [*POLICIES, "eager"])
@given(st.integers(0, 4 * 3 * LONGEST), st.floats(0, 0.249))
def test_a_table_is_exact_for_steps_at_quarters(name, quarter, beyond):
    table = tabulated(policy(name), 12, 64)
    age = np.array([quarter / 4 + beyond])
    assert table.at(age).tolist() == policy(name).refreshes(age).tolist()


@pytest.mark.parametrize("name", [*POLICIES, "eager"])
@given(st.integers(0, 12), st.integers(0, 12))
def test_a_table_knows_what_tiles_add_to_the_standing_rows(name, occupied, tiles):
    table, total = tabulated(policy(name), 12, 64, occupied), np.array([12.0 * 64])
    rows = [policy(name).standing(total, np.array([64.0 * min(12, n)]))[0] for n in (occupied, occupied + tiles)]
    assert table.standing[tiles] == rows[1] - rows[0]
    filled = 64 * min(12, occupied + tiles)
    assert table.met[tiles] == (min(1.0, rows[1] / filled) if filled else float(rows[1] > 0))


def test_an_idle_policy_has_an_idle_table():
    assert [name for name in POLICIES if tabulated(policy(name), 2, 8).idle] == ["conventional", "none"]


@given(st.floats(1, 1e6), st.floats(0, 1), st.floats(0, 1))
def test_the_share_that_accesses_meet_is_a_share(total, occupied, standing):
    (share,) = share_met(np.array([total]), np.array([occupied * total]), np.array([standing * total]))
    assert 0 <= share <= 1


class Falling(Eager):
    def refreshes(self, ages):
        return -ages


class Endless(Eager):
    def standing(self, total, occupied):
        return np.full_like(total, np.inf)


class Flat(Eager):
    def refreshes(self, ages):
        return 1.0


class Broken(Eager):
    def refreshes(self, ages):
        raise KeyError("age")


class Bare:
    def refreshes(self, ages):
        return ages


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (Bare, "has no name, restores, fallback, standing; inherit from camel_plugin.spec.refresh.RefreshPolicy"),
        (Broken, "fails: KeyError: 'age'"),
        (Flat, "refreshes must give as many numbers as it is asked for"),
        (Falling, "refreshes must be finite and never fall"),
        (lambda: 1 / 0, "fails: ZeroDivisionError"),
    ],
)
def test_a_policy_is_tried_when_it_is_loaded(wrong, reason, monkeypatch):
    monkeypatch.setattr(plugins, "load", lambda group, name: wrong)
    with pytest.raises(InputError, match=f"refresh policy eager: {reason}"):
        load_policy("eager")


@pytest.mark.parametrize(("wrong", "what"), [(Falling, "refreshes"), (Endless, "standing")])
def test_a_policy_that_cannot_be_is_refused(wrong, what):
    with pytest.raises(InputError, match=f"refresh policy eager: {what} must be finite and never fall"):
        tabulated(wrong(), 2, 8)
