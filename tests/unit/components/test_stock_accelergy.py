"""Accelergy's classes against what Accelergy itself said of them (scripts/record_stock_accelergy.py)."""

import json
from pathlib import Path

import pytest

from camel_plugin.components import estimate
from camel_plugin.components.accelergy.cacti import RULE as CACTI
from camel_plugin.components.accelergy.cacti import table
from camel_plugin.errors import SpecError
from scripts.compare_accelergy import comparisons, markdown

RECORDED = json.loads((Path(__file__).parents[2] / "recorded" / "accelergy-stock.json").read_text(encoding="utf-8"))
PRINTED = 1e-5
"""Accelergy prints six digits."""
MACHINES = {
    f"{machine}-{record['name']}": record for machine, records in RECORDED["machines"].items() for record in records
}


def deviations(record):
    """Relative deviation of each action, the leakage and the area; Accelergy's own zeros have to be zeros here."""
    cost = estimate(record["class"], record["attributes"])
    leak_J = cost.leakage_W * record["attributes"]["global_cycle_seconds"]
    ours = {
        "area": cost.area_m2 * 1e12,
        **{action: (leak_J if action == "leak" else cost.actions_J[action]) * 1e12 for action in record["energies_pJ"]},
    }
    theirs = {"area": record["area_um2"], **record["energies_pJ"]}
    return {key: ours[key] / theirs[key] - 1 if theirs[key] else ours[key] for key in theirs}


def from_cacti(record):
    return CACTI in estimate(record["class"], record["attributes"]).rule


@pytest.mark.parametrize("record", MACHINES.values(), ids=MACHINES)
def test_the_exercises_machines_cost_what_accelergy_says(record):
    """Without their component files; a tenth is what the table of CACTI may be off, everything else is exact."""
    allowed = 0.1 if from_cacti(record) else PRINTED
    assert max(map(abs, deviations(record).values())) < allowed


@pytest.mark.parametrize("record", RECORDED["classes"], ids=lambda each: f"{each['class']}-{each['name']}")
def test_every_class_costs_what_accelergy_says(record):
    allowed = 0.1 if from_cacti(record) else PRINTED
    assert max(map(abs, deviations(record).values())) < allowed


@pytest.mark.parametrize("record", RECORDED["primitives"], ids=lambda each: f"{each['class']}-{each['name']}")
def test_classes_without_component_files_cost_what_accelergy_says(record):
    assert max(map(abs, deviations(record).values())) < PRINTED


def test_a_register_file_at_other_nodes_is_scaled_with_a_note():
    regfile = {"width": 8, "depth": 32}
    native, scaled = (estimate("regfile", {"technology": node, **regfile}) for node in ("45nm", "65nm"))
    assert native.unconfirmed == ()
    (note,) = scaled.unconfirmed
    assert note == "Accelergy has no estimator for regfile at 65 nm: its figures for 45 nm, scaled"
    assert scaled.actions_J["read"] > native.actions_J["read"]


@pytest.mark.parametrize("missing", ["width", "depth"])
def test_a_register_file_needs_its_shape(missing):
    given = {"technology": "45nm", "width": 8, "depth": 32}
    with pytest.raises(SpecError, match=missing):
        estimate("regfile", {name: value for name, value in given.items() if name != missing})


@pytest.mark.parametrize("quantity", ["read", "write", "leak", "area"])
def test_random_srams_are_mostly_within_a_tenth(quantity):
    """SRAMs off the grid of the table; CACTI changes its organisation in steps, where the interpolation fails."""
    found = [abs(deviations(record)[quantity]) for record in RECORDED["srams"]]
    assert len(found) >= 60
    assert sum(each <= 0.1 for each in found) >= 0.9 * len(found)
    assert max(found) < 0.25


def test_the_table_has_every_node_and_shape():
    for node_nm in (22, 32, 45, 65, 90):
        shapes = {(each.banks, each.ports) for each in table() if each.node_nm == node_nm}
        assert shapes == {(banks, ports) for banks in (1, 2, 4, 8, 16, 32) for ports in (1, 2)}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"width": 1024}, "width 1024 > 512"),
        ({"depth": 200000}, "depth of a bank 200000 > 65536"),
        ({"n_banks": 64, "depth": 65536}, "n_banks 64 > 32"),
        ({"n_rw_ports": 4}, "n_rw_ports 4 > 2"),
    ],
)
def test_beyond_the_table_it_is_said(changed, named):
    sram = {"technology": "45nm", "width": 64, "depth": 1024}
    inside, outside = estimate("SRAM", sram), estimate("SRAM", {**sram, **changed})
    assert inside.unconfirmed == ()
    (note,) = outside.unconfirmed
    assert note == f"CACTI's figures continued beyond the recorded table: {named}"
    assert outside.area_m2 > inside.area_m2


def test_instances_multiply_leakage_and_area_only():
    for kind, attributes in (
        ("SRAM", {"technology": "45nm", "width": 64, "depth": 1024}),
        ("intadder", {"technology": "45nm", "width": 8}),
        ("smartbuffer_RF", {"technology": "45nm", "width": 16, "depth": 12}),
    ):
        one, three = estimate(kind, attributes), estimate(kind, {**attributes, "n_instances": 3})
        assert three.actions_J == one.actions_J
        assert (three.leakage_W, three.area_m2) == pytest.approx((3 * one.leakage_W, 3 * one.area_m2))


def test_the_comparison_shows_every_class_of_the_machines():
    found = comparisons()
    assert {each.kind for each in found} == {record["class"] for record in MACHINES.values()}
    assert max(abs(each.deviation) for each in found) < 0.1
    cost = estimate("intmac", {"technology": "45nm", "multiplier_width": 8, "adder_width": 16})
    assert f"compute {cost.actions_J['compute'] * 1e12:.4g} / 1.136" in markdown(found)
