"""Why two results refresh differently: each reason is brought about alone, and must be named with all of the change."""

from dataclasses import replace

import pytest

from camel_plugin.report.refresh_reasons import change_note, level_notes, reasons
from camel_plugin.result import LevelLifetimes, LifetimeClass, Remedy, TensorResult

ROW_J = 1e-9
RETENTION_S = 3e-6


def entry(tensor="a", rows=100, each=2, row_J=ROW_J, lifetime_s=7e-6, **changes):
    """Data of a tensor: ``rows`` written, refreshed ``each`` times."""
    count = rows * each
    usual = {
        "resident": True,
        "spared_J": 5e-6,
        "temperature_C": None,
        "micro_batch": None,
        "order": None,
        "array": None,
    }
    own = {"lifetime_s": lifetime_s, "rows": rows, "row_refreshes": count, "refresh_J": count * row_J}
    return Remedy(tensor=tensor, **{**usual, **own, **changes})


@pytest.fixture
def made(operation, lifetime, make):
    def result(*entries, homes=None, retention_s=RETENTION_S, beyond_J=0.0, arch="camel"):
        homes = homes or {each.tensor: "act" for each in entries}
        lives = [lifetime(each.tensor, each.lifetime_s, "act", retention_s) for each in entries]
        refresh_J = sum(each.refresh_J for each in entries) + beyond_J
        tensors = [TensorResult(n, "activation", 1, home, None, "last", 0.0, 0, "exact") for n, home in homes.items()]
        level = LevelLifetimes("act", retention_s, (), entries)
        only = operation(refresh_J=refresh_J, lifetimes=lives)
        return make([only], tensors=tensors, lifetimes=[level], arch=arch)

    return result


def told(result, first):
    found = reasons(result, first)
    change = result.totals.refresh_J - first.totals.refresh_J
    assert sum(reason.refresh_J for reason in found) == pytest.approx(change, abs=1e-18)
    return {reason.what: (reason.refresh_J, reason.tensors) for reason in found}


def test_equal_results_have_no_reasons(made):
    assert told(made(entry()), made(entry())) == {}


@pytest.mark.parametrize(
    ("before", "after", "more", "less"),
    [
        (entry(), entry(rows=150), "more rows are written", "fewer rows are written"),
        (entry(), entry(each=3, lifetime_s=10e-6), "data live longer", "data live less long"),
        (entry(), entry(row_J=3 * ROW_J), "a row costs more", "a row costs less"),
    ],
)
def test_one_factor_that_grows_or_shrinks(made, before, after, more, less):
    assert told(made(after), made(before)) == {more: (pytest.approx(after.refresh_J - before.refresh_J), ("a",))}
    assert list(told(made(before), made(after))) == [less]


def test_data_that_begin_to_outlive_the_retention_time(made):
    young = made(homes={"a": "act"})
    assert told(made(entry(each=1)), young) == {"data live longer": (pytest.approx(100 * ROW_J), ("a",))}
    assert list(told(young, made(entry(each=1)))) == ["data live less long"]


def test_colder_cells_retain_longer(made):
    hot, cold = made(entry(each=4)), made(entry(each=2), retention_s=2 * RETENTION_S)
    assert told(cold, hot) == {"cells retain longer": (pytest.approx(-200 * ROW_J), ("a",))}
    assert list(told(hot, cold)) == ["cells retain for less long"]


def test_cells_that_retain_longer_hide_no_longer_lives(made):
    # Twice the retention time would halve 4 refreshes; twice the lifetime brings them back.
    hot = made(entry(each=4))
    cold = made(entry(each=4, lifetime_s=14e-6), retention_s=2 * RETENTION_S)
    found = told(cold, hot)
    assert found["cells retain longer"][0] == pytest.approx(-200 * ROW_J)
    assert found["data live longer"][0] == pytest.approx(200 * ROW_J)


def test_a_tensor_that_moves_into_edram(made):
    before = made(entry("b"), homes={"a": "dram", "b": "act"})
    after = made(entry("a"), entry("b"))
    assert told(after, before) == {"data now rest in eDRAM, which spares DRAM": (pytest.approx(200 * ROW_J), ("a",))}
    assert list(told(before, after)) == ["data no longer rest in eDRAM"]


def test_a_copy_counts_as_its_tensor(made):
    assert told(made(entry("a@7")), made(entry("a"))) == {}


def test_what_a_policy_refreshes_beyond_the_need(made):
    found = told(made(entry(), beyond_J=1e-6), made(entry()))
    assert found == {"the policy refreshes more beyond what data need": (pytest.approx(1e-6), ())}


def test_the_note_names_the_machine_the_reasons_and_the_first_tensor(made):
    note = change_note(made(entry(rows=300), arch="large"), made(entry()))
    assert note == "refresh +400.0 nJ against camel: +400.0 nJ more rows are written (1 tensors, a first)"
    assert change_note(made(entry()), made()) == ""


def test_a_level_says_why_it_is_refreshed_and_what_would_spare_the_dearest():
    passing = entry("t", rows=10, resident=False, spared_J=0.0)
    histogram = (LifetimeClass(1.0, 0.25), LifetimeClass(None, 0.75))
    level = LevelLifetimes("act", RETENTION_S, histogram, (entry(temperature_C=-26, order="block"), passing))
    assert level_notes(level) == [
        "25% of the rows written in act die within 3.000 us",
        "refresh that data in act need: 200.0 nJ for 1 tensors that rest there, sparing 5.000 uJ outside; "
        "20.00 nJ for tiles of 1 that pass through",
        "most refreshed: a (200.0 nJ, lives 7.000 us), which -26 C or --depth-first block would spare",
    ]
    assert (
        "which no temperature, micro-batch, order or array would spare"
        in level_notes(replace(level, outliving=(passing,)))[-1]
    )
