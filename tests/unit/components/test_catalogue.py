"""Looking components up, and refusing what cannot be."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin import plugins
from camel_plugin.components import ComponentCost, estimate
from camel_plugin.errors import CamelError, SpecError, UnknownNameError

MEMORY = {"technology": "16nm", "width": 64, "depth": 1024}
LOGIC = {"technology": "16nm", "width": 16}
FLOAT = {"technology": "45nm", "exponent": 8, "mantissa": 23}
NEEDS: dict[str, dict[str, object]] = {
    **dict.fromkeys(("edram", "logic_sram", "SRAM", "smartbuffer_SRAM", "smartbuffer_RF", "regfile"), MEMORY),
    **dict.fromkeys(("fpadder", "fpmultiplier", "fpmac"), FLOAT),
    "crossbar": {**LOGIC, "n_inputs": 2, "n_outputs": 4},
}
ATTRIBUTES: dict[str, dict[str, object]] = {
    kind: NEEDS.get(kind, LOGIC)
    for kind, point in plugins.registered("components").items()
    if point.value.startswith("camel_plugin.")
}


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES))
def test_every_registered_kind_gives_a_sane_estimate(kind: str) -> None:
    result = estimate(kind, ATTRIBUTES[kind])
    free = kind.startswith("dummy")
    for action, energy_J in result.actions_J.items():
        # Nothing but the operation of a unit costs energy in Accelergy's library.
        if free or (kind.startswith("aladdin_") and action in ("write", "update")):
            assert energy_J == 0
        else:
            assert 1e-17 < energy_J < 1e-8
    assert 0 <= result.leakage_W < 1
    assert 0 <= result.area_m2 < 1e-4
    assert free or result.sources
    assert result.rule
    assert (result.edram is not None) == (kind == "edram")


@pytest.mark.parametrize("kind", sorted(ATTRIBUTES))
def test_storages_read_write_and_update_and_the_others_compute(kind: str) -> None:
    actions = set(estimate(kind, ATTRIBUTES[kind]).actions_J)
    assert {"read", "write", "update"} <= actions or {"compute", "read"} <= actions


@pytest.mark.parametrize("kind", ["EDRAM", "eDram", "sram", "SMARTBUFFER_rf", "lpddr4"])
def test_names_are_found_without_regard_to_case(kind: str) -> None:
    assert estimate(kind, MEMORY).actions_J["read"] > 0


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'edram'"):
        estimate("edramm", MEMORY)


def test_technology_as_a_number_or_a_string() -> None:
    assert estimate("logic_sram", MEMORY) == estimate("logic_sram", {**MEMORY, "technology": 16})
    assert estimate("SRAM", MEMORY) == estimate("SRAM", {**MEMORY, "technology": 16})


@pytest.mark.parametrize(
    ("kind", "changed", "field"),
    [
        ("edram", {"technology": "SET ME"}, "attributes.technology"),
        ("edram", {"technology": "180nm"}, "attributes.technology"),
        ("edram", {"temperature": 126}, "attributes.temperature"),
        ("edram", {"temperature": "hot"}, "attributes.temperature"),
        ("edram", {"depth": -1}, "attributes.depth"),
        ("edram", {"depth": 1.5}, "attributes.depth"),
        ("edram", {"depth": True}, "attributes.depth"),
        ("edram", {"width": 0}, "attributes.width"),
        ("edram", {"yield": 1}, "attributes.yield"),
        ("edram", {"yield": 0}, "attributes.yield"),
        ("edram", {"cell": "2T"}, "attributes.cell"),
        ("edram", {"retention_time": 0}, "attributes.retention_time"),
        ("edram", {"retention_time": math.inf}, "attributes.retention_time"),
        ("edram", {"row_bits": 63}, "attributes.row_bits"),
        ("edram", {"banks": 0}, "attributes.banks"),
        ("edram", {"voltage": 0.1}, "attributes.voltage"),
        ("SRAM", {"technology": None}, "attributes.technology"),
        ("SRAM", {"depth": None}, "attributes.depth"),
        ("SRAM", {"n_banks": 0}, "attributes.n_banks"),
        ("SRAM", {"technology": "0nm"}, "attributes.technology"),
        ("logic_sram", {"technology": "2nm"}, "attributes.technology"),
        ("logic_sram", {"design_rules": "foundryy"}, "attributes.design_rules"),
        ("DRAM", {"type": "SDRAM"}, "attributes.type"),
        ("intmac", {"width": None}, "attributes.multiplier_width"),
        ("float_mac", {"width": 24}, "attributes.width"),
        ("fpmac", {"exponent": None}, "attributes.exponent"),
        ("integer_mac", {"width": None}, "attributes.multiplier_width"),
    ],
)
def test_bad_attributes_are_refused_by_name(kind: str, changed: dict[str, object], field: str) -> None:
    with pytest.raises(SpecError) as raised:
        estimate(kind, {**MEMORY, **changed})
    assert raised.value.field == field
    value = next(iter(changed.values()))
    assert raised.value.value == value
    assert raised.value.suggestion or raised.value.field in {
        "attributes.depth",
        "attributes.row_bits",
        "attributes.n_banks",
    }


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(1, 512))
def test_sram_energy_grows_with_capacity_and_width(depth: int, more: int, width: int) -> None:
    small = estimate("logic_sram", {"technology": 16, "width": width, "depth": depth})
    deeper = estimate("logic_sram", {"technology": 16, "width": width, "depth": depth + more})
    wider = estimate("logic_sram", {"technology": 16, "width": width + 1, "depth": depth})
    for larger in (deeper, wider):
        assert larger.actions_J["read"] > small.actions_J["read"]
        assert larger.leakage_W > small.leakage_W


def test_sram_energy_has_no_step_at_the_published_macros() -> None:
    for macro_bits in (8 * 8192, 128 * 8192):
        below, above = (
            estimate("logic_sram", {"technology": 16, "width": 1, "depth": macro_bits + step}).actions_J["read"]
            for step in (-1, 1)
        )
        assert above / below == pytest.approx(1, abs=1e-4)


def test_register_file_energy_grows_with_depth_and_is_linear_in_width() -> None:
    def read_J(depth: int, width: int = 16) -> float:
        return estimate("logic_regfile", {"technology": 16, "width": width, "depth": depth}).actions_J["read"]

    assert all(read_J(a) < read_J(b) for a, b in pairwise((1, 2, 8, 12, 13, 16, 64, 192, 400)))
    assert read_J(16, 32) == pytest.approx(2 * read_J(16, 16))
    register = estimate("register", LOGIC)
    assert register.actions_J == estimate("logic_regfile", {**LOGIC, "depth": 1}).actions_J
    assert any("no class register" in note for note in register.unconfirmed)


def test_arithmetic_grows_with_its_width() -> None:
    def energy_J(kind: str, **attributes: object) -> float:
        return estimate(kind, {"technology": 16, **attributes}).actions_J["compute"]

    assert energy_J("integer_adder", width=32) == pytest.approx(2 * energy_J("integer_adder", n_bits=16))
    assert energy_J("integer_multiplier", width=16) == pytest.approx(
        4 * energy_J("integer_multiplier", width_a=8, width_b=8)
    )
    assert energy_J("integer_adder", width=0) == 0
    assert energy_J("float_mac", width=16) < energy_J("float_mac", width=32)


def test_a_bfp_lane_is_a_ninth_of_its_unit() -> None:
    # 45 nm, 0.9 V: nine 6 x 6 multipliers, eight adders of the 16-bit sum, a 5-bit exponent adder, and an aligned
    # accumulation in 32 bits; multiplier 3.1 pJ / 32^2 a bit pair, adder 0.1 pJ / 32 a bit.
    unit_pJ = 9 * 36 * 3.1 / 1024 + (8 * 16 + 5 + 2 * 32) * 0.1 / 32
    lane = estimate("bfp_mac", {"technology": 45, "voltage": 0.9})
    assert lane.actions_J["compute"] * 1e12 == pytest.approx(unit_pJ / 9)
    full = estimate("integer_mac", {"technology": 45, "voltage": 0.9, "multiplier_width": 8, "adder_width": 32})
    assert lane.actions_J["compute"] < full.actions_J["compute"]


def test_dram_by_type() -> None:
    assert estimate("DRAM", {"width": 64}).actions_J["read"] == pytest.approx(512e-12)
    assert estimate("DRAM", {"width": 64, "type": "hmc"}).actions_J["update"] == pytest.approx(64 * 4.2e-12)
    assert estimate("DRAM", {"width": 54, "row_bits": 58}).actions_J["write"] == pytest.approx(54 * 8e-12)
    assert estimate("packed_dram", {"width": 64, "type": "ddr3"}).actions_J == estimate("DDR3", {"width": 64}).actions_J
    assert estimate("packed_dram", {"width": 54, "row_bits": 58}).actions_J["write"] == pytest.approx(58 * 8e-12)


def test_a_users_model_is_found_like_a_built_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Entry:
        value, dist = "theirs:model", None

        @staticmethod
        def load() -> object:
            return lambda attributes: ComponentCost({"read": float(attributes["cost"])}, 0.0, 0.0)

    monkeypatch.setattr(plugins, "registered", lambda group: {"MyMemory": Entry()})
    found = estimate("mymemory", {"cost": 3})
    assert found.actions_J["read"] == 3
    assert found.rule == "model of a user: MyMemory"


@given(
    st.sampled_from(sorted(ATTRIBUTES)),
    st.dictionaries(
        st.sampled_from(
            ["technology", "width", "depth", "temperature", "yield", "voltage", "row_bits", "banks", "type"]
        ),
        st.one_of(st.none(), st.integers(-5, 300), st.floats(), st.text(max_size=4), st.booleans()),
        max_size=4,
    ),
)
def test_any_attributes_give_an_estimate_or_one_of_our_errors(kind: str, changed: dict[str, object]) -> None:
    try:
        result = estimate(kind, {**ATTRIBUTES[kind], **changed})
    except CamelError:
        return
    assert all(math.isfinite(energy_J) and energy_J >= 0 for energy_J in result.actions_J.values())
    assert math.isfinite(result.leakage_W)
