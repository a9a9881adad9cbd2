"""eDRAM energy, area and refresh organisation."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.components import ComponentCost, estimate
from camel_plugin.spec.machine import EdramCells

CAMEL = {"technology": "16nm", "width": 54, "row_bits": 58, "datawidth": 6, "depth": 6780, "temperature": 100}


def edram(**attributes: object) -> ComponentCost:
    return estimate("edram", {**CAMEL, **attributes})


def refresh(**attributes: object) -> EdramCells:
    result = edram(**attributes).edram
    assert result is not None
    return result


def test_refresh_of_a_row_is_the_published_energy_per_bit_at_its_own_supply() -> None:
    assert refresh(voltage=0.6).row_energy_J == pytest.approx(58 * 20.27e-15, rel=1e-3)


def test_higher_supply_costs_more() -> None:
    # Stillmaker and Baas, 16 nm: a V^2 + b V + c.
    factor = [0.2958 * V**2 - 0.1241 * V + 0.03024 for V in (0.6, 0.8)]
    low, high = edram(voltage=0.6), edram(voltage=0.8)
    assert high.actions_J["read"] / low.actions_J["read"] == pytest.approx(factor[1] / factor[0])


def test_an_access_costs_its_local_part_and_wires_with_the_root_of_the_capacity() -> None:
    # Per bit at 0.6 V: a megabit costs 2.58 + 2.46 pJ over 128 bits, of which 20.27 fJ is refresh, the rest wires.
    local_J = 276e-6 * 77e-6 / 2**20
    wires_J = 5.04e-12 / 128 - local_J
    expected_J = 58 * (local_J + wires_J * math.sqrt(58 * 6780 / 2**20))
    bank = edram(voltage=0.6)
    assert bank.actions_J["read"] + bank.actions_J["write"] == pytest.approx(expected_J)


@given(st.integers(1, 40000), st.integers(1, 40000), st.sampled_from(["3T", "1T1C"]))
def test_energy_leakage_and_area_grow_with_capacity(depth: int, more: int, cell: str) -> None:
    small, large = edram(depth=depth, cell=cell), edram(depth=depth + more, cell=cell)
    assert small.actions_J["read"] < large.actions_J["read"]
    assert small.actions_J["write"] < large.actions_J["write"]
    assert small.leakage_W < large.leakage_W
    assert small.area_m2 < large.area_m2


@given(st.integers(58, 500), st.integers(1, 500))
def test_energy_grows_with_the_row(row_bits: int, more: int) -> None:
    small, large = edram(row_bits=row_bits), edram(row_bits=row_bits + more)
    assert small.actions_J["read"] < large.actions_J["read"]
    assert refresh(row_bits=row_bits).row_energy_J < refresh(row_bits=row_bits + more).row_energy_J


@given(st.integers(1, 100000), st.integers(1, 16), st.integers(1, 2048))
def test_the_arrays_hold_every_row_and_no_more_than_one_array_a_bank_is_partly_used(
    depth: int, banks: int, rows_per_array: int
) -> None:
    organisation = refresh(depth=depth, banks=banks, rows_per_array=rows_per_array)
    rows_in_bank = -(-depth // banks)
    assert organisation.rows_per_bank >= rows_in_bank
    assert organisation.rows_per_bank - rows_in_bank < organisation.rows_per_array
    assert organisation.rows_per_array <= rows_per_array


def test_camels_bank() -> None:
    # 48 KB of 58-bit rows are 6780 rows: seven arrays of 1024, refreshed side by side.
    organisation = refresh()
    assert (organisation.banks, organisation.arrays_per_bank, organisation.rows_per_array) == (1, 7, 1024)
    assert organisation.row_bits == 58
    assert organisation.row_cycles == 1


def test_a_gain_cell_is_half_a_six_transistor_cell() -> None:
    sram = estimate("logic_sram", CAMEL)
    assert sram.area_m2 / edram().area_m2 == pytest.approx(2)


def test_camel_and_its_sram_baseline_have_the_same_memory_area() -> None:
    def area(kind: str, instances: int, kilobytes: int) -> float:
        return instances * estimate(kind, {**CAMEL, "depth": kilobytes * 8192 // 58}).area_m2

    camel = area("edram", 12, 48) + area("logic_sram", 6, 8)
    baseline = area("logic_sram", 6, 48) + area("logic_sram", 2, 24)
    assert camel / baseline == pytest.approx(1, rel=2e-3)


def test_leakage_grows_with_temperature_as_retention_falls() -> None:
    assert edram(temperature=85).leakage_W / edram(temperature=27).leakage_W == pytest.approx(15)


def test_a_cluster_has_shorter_wires_and_the_same_leakage() -> None:
    whole, split = edram(), edram(cluster_size=4)
    assert split.actions_J["read"] < whole.actions_J["read"]
    assert split.leakage_W == pytest.approx(whole.leakage_W)


def test_the_report_names_assumptions() -> None:
    words = " ".join(edram().unconfirmed)
    assert "width of the access" in words
    assert "supply voltage" in words
    assert "supply voltage" in " ".join(edram(voltage=None).unconfirmed)
    assert "supply voltage" not in " ".join(edram(voltage=0.8).unconfirmed)
    assert any("CAMEL" in source for source in edram().sources)
    assert not any("CAMEL" in source for source in edram(retention_time=5e-6).sources)
