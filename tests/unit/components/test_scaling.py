"""Moving figures between nodes, supplies and temperatures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.components.scaling import (
    OperatingPoint,
    activation_energy_eV,
    area_ratio,
    current_ratio,
    energy_factor,
    energy_ratio,
    leakage_ratio,
    nominal_voltage,
)
from camel_plugin.errors import SpecError


def test_published_ratios_at_one_supply() -> None:
    # Derived by hand from the table of Stillmaker and Baas at 0.8 V.
    assert energy_ratio(OperatingPoint(45, 0.8), OperatingPoint(16, 0.8)) == pytest.approx(0.174, abs=5e-4)
    assert energy_ratio(OperatingPoint(65, 0.8), OperatingPoint(16, 0.8)) == pytest.approx(0.140, abs=5e-4)
    assert area_ratio(65, 16) == pytest.approx(0.13, abs=0.005)
    assert area_ratio(45, 16) == pytest.approx(0.19, abs=0.005)


def test_nodes_between_those_of_the_table_lie_between_them() -> None:
    for low, node, high in ((16, 18, 20), (20, 22, 32), (20, 28, 32), (32, 40, 45)):
        assert energy_factor(low, 0.9) < energy_factor(node, 0.9) < energy_factor(high, 0.9)
        assert area_ratio(16, low) < area_ratio(16, node) < area_ratio(16, high)


@given(st.sampled_from([7.0, 16.0, 22.0, 45.0, 65.0]), st.floats(0.65, 1.29), st.floats(0.01, 0.1))
def test_energy_rises_with_the_supply(node: float, voltage: float, step: float) -> None:
    assert energy_factor(node, voltage) < energy_factor(node, voltage + step)


def test_moving_there_and_back_changes_nothing() -> None:
    there, back = OperatingPoint(45, 0.9, 25), OperatingPoint(16, 0.8, 100)
    for ratio in (energy_ratio, leakage_ratio):
        assert ratio(there, back) * ratio(back, there) == pytest.approx(1)
    assert current_ratio(25, 25) == 1


def test_activation_energy_is_that_of_a_subthreshold_current() -> None:
    assert 0.3 < activation_energy_eV() < 0.6


def test_supplies_and_nodes_outside_the_law_are_refused() -> None:
    with pytest.raises(SpecError, match=r"0\.59 V to 1\.4 V"):
        energy_factor(65, 0.5)
    with pytest.raises(SpecError, match="voltage"):
        energy_factor(16, 1.8)
    with pytest.raises(SpecError, match="7 to 130 nm"):
        nominal_voltage(180)
