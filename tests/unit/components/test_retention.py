"""Retention against temperature and yield, failures, availability."""

import math
from itertools import pairwise
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.components import availability, estimate, failed_fraction, retention_time
from camel_plugin.errors import SpecError
from camel_plugin.spec.machine import EdramCells

CELLS = st.sampled_from([("3T", 16.0), ("3T", 65.0), ("1T1C", 22.0), ("1T1C", 45.0)])
TEMPERATURES = st.floats(-40, 124)
YIELDS = st.floats(0.01, 0.999999)


def refresh(**attributes: object) -> EdramCells:
    result = estimate("edram", {"technology": "16nm", "width": 58, "depth": 1024, **attributes}).edram
    assert result is not None
    return result


def test_camel_figure() -> None:
    assert retention_time("3T", 16, 100, 0.999) == pytest.approx(3.35e-6)


def test_one_octave_every_fifteen_degrees() -> None:
    # 120 us at 27 C and 8 us at 85 C: ln 15 / ln 2 octaves in 58 C.
    warm, hot = (retention_time("3T", 16, temperature, 0.999) for temperature in (27, 85))
    assert warm / hot == pytest.approx(15)
    assert (85 - 27) / math.log2(warm / hot) == pytest.approx(14.8, abs=0.1)


@given(CELLS, TEMPERATURES, st.floats(0.1, 1), YIELDS)
def test_falls_strictly_with_temperature(cell: tuple[str, float], cold: float, step: float, yield_: float) -> None:
    assert retention_time(*cell, cold + step, yield_) < retention_time(*cell, cold, yield_)


@given(CELLS, TEMPERATURES, YIELDS, st.floats(1e-4, 0.5))
def test_falls_strictly_with_yield(cell: tuple[str, float], temperature: float, yield_: float, share: float) -> None:
    better = yield_ + share * (1 - yield_)
    assert retention_time(*cell, temperature, better) < retention_time(*cell, temperature, yield_)


@pytest.mark.parametrize("temperature", [-40.1, 125.1, math.nan])
def test_outside_the_validity_is_refused(temperature: float) -> None:
    with pytest.raises(SpecError, match="-40 C to 125 C"):
        retention_time("3T", 16, temperature, 0.999)


@pytest.mark.parametrize("yield_", [0, 1, -0.1, 1.1])
def test_not_a_yield(yield_: float) -> None:
    with pytest.raises(SpecError, match="yield"):
        retention_time("3T", 16, 25, yield_)


def test_unknown_cell() -> None:
    with pytest.raises(SpecError, match="3T"):
        retention_time("4T", 16, 25, 0.999)


@given(TEMPERATURES, YIELDS)
def test_at_the_retention_time_the_yield_is_what_was_asked_for(temperature: float, yield_: float) -> None:
    array = refresh(temperature=temperature, **{"yield": yield_})
    assert failed_fraction(array, array.retention_s) == pytest.approx(1 - yield_, rel=1e-6)


def test_half_the_cells_have_failed_at_the_median() -> None:
    array = refresh(temperature=100)
    assert failed_fraction(array, array.retention_median_s) == pytest.approx(0.5)


def test_failures_follow_the_normal_distribution_of_the_logarithm() -> None:
    array = refresh(temperature=60)
    interval_s = 5 * array.retention_s
    deviations = math.log(interval_s / array.retention_median_s) / array.retention_sigma_ln
    assert failed_fraction(array, interval_s) == pytest.approx(NormalDist().cdf(deviations))


def test_failures_grow_from_nothing_to_everything() -> None:
    array = refresh(temperature=100)
    shares = [failed_fraction(array, interval_s) for interval_s in (0, 1e-9, 1e-6, 1e-4, 1e-2, 10)]
    assert shares[0] == 0
    assert all(earlier < later for earlier, later in pairwise(shares))
    assert shares[-1] == pytest.approx(1)


def test_a_retention_time_of_ones_own_stands_at_the_yield_given() -> None:
    array = refresh(retention_time=10e-6, **{"yield": 0.99})
    assert array.retention_s == 10e-6
    assert failed_fraction(array, 10e-6) == pytest.approx(0.01)


def test_availability_of_camels_array() -> None:
    # 1024 rows, one a cycle of 2 ns, every 3.35 us: 2.048 us of 3.35 us are lost.
    assert availability(refresh(temperature=100), 2e-9) == pytest.approx(1 - 2.048 / 3.35)
    assert availability(refresh(temperature=100, row_cycles=2), 2e-9) == 0
    assert availability(refresh(temperature=25), 2e-9) > 0.95
