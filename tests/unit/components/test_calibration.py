"""The models against published figures, and the page that shows them."""

from pathlib import Path

import pytest

from scripts.calibration import Comparison, comparisons, constants, with_tables

PAGE = Path(__file__).parents[3] / "docs" / "components.md"


@pytest.mark.parametrize("row", comparisons(), ids=lambda row: f"{row.what} ({row.source})")
def test_model_agrees_with_the_published_figure(row: Comparison) -> None:
    print(f"{row.what}: published {row.published:.4g} {row.unit}, model {row.model:.4g}, error {row.error:+.1%}")
    assert row.agrees, f"{row.what}: published {row.published:.4g}, model {row.model:.4g} {row.unit}"


def test_a_comparison_fails_just_outside_its_factor() -> None:
    inside = Comparison("x", "1", published=1.0, model=1.999, source="", within=2)
    outside = Comparison("x", "1", published=1.0, model=2.001, source="", within=2)
    below = Comparison("x", "1", published=1.0, model=0.499, source="", within=2)
    assert (inside.agrees, outside.agrees, below.agrees) == (True, False, False)
    assert not Comparison("anchor", "1", published=1.0, model=1.01, source="").agrees


def test_the_page_shows_what_the_models_give_today() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "run python -m scripts.calibration docs/components.md"


def test_every_constant_says_what_it_is_and_where_it_comes_from() -> None:
    for constant in constants():
        assert constant.what
        assert constant.source
        assert constant.unit
        assert constant.value > 0
        recalled = any(word in constant.source for word in ("recalled", "assumed"))
        assert not (recalled and constant.confirmed), constant


def test_the_unknown_access_width_of_the_3t_macro_stays_below_what_refresh_allows() -> None:
    # A refresh is a read and a write that never leave the array, so an access cannot cost less per bit.
    refresh_J_per_bit = 276e-6 * 77e-6 / 2**20
    widest = (2.58e-12 + 2.46e-12) / refresh_J_per_bit
    assert 248 < widest < 250
    (width,) = [constant for constant in constants() if "width of the access of the 16 nm" in constant.what]
    assert width.value < widest
    assert not width.confirmed
