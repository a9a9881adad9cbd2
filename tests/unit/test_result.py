"""The records of a result: what stands beside each field, and their form as JSON."""

import dataclasses
import json
from dataclasses import fields

import jsonschema
import pytest

from camel_plugin import result as module
from camel_plugin.errors import Shortfall
from camel_plugin.result import (
    SCHEMA_FILE,
    Infeasible,
    OperationCost,
    OperationMapping,
    OperationRefresh,
    OperationResult,
    StepResult,
    Totals,
    rows,
    schema,
)
from camel_plugin.spec.meaning import meanings
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.step import Coverage
from scripts import write_result_schema

RECORDS = [
    kind for kind in vars(module).values() if dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
]


def operation(runs=3, **refresh):
    cost = OperationCost(100, 1e-6, "compute", 0.5, 400, 1e-9, {"act": 2e-9, "reg": 1e-9}, 4e-9, 3e-9, 64, 32, {})
    mapping = OperationMapping("mapping:\n- target: DRAM\n", 0.25, {"C": 8})
    return OperationResult("conv", "forward", "conv2d", None, runs, cost, OperationRefresh(**refresh), (), mapping)


def step_result(**changes):
    operations = (operation(), operation(1, stall_cycles=7, stall_s=7e-8, waits_for="act"))
    return StepResult("camel", "net", operations, (), Coverage(), 100.0, 5.0, 1e-6, recipe=Recipe(batch=8), **changes)


def test_schema_file_and_page_are_those_of_the_records():
    assert json.loads(SCHEMA_FILE.read_text()) == schema()
    assert write_result_schema.DOCS.read_text() == write_result_schema.reference()


def test_a_result_and_an_infeasible_one_fit_the_schema():
    baseline = step_result()
    result = step_result(baselines=(baseline,), settings=Settings(dataset=100, epochs=3))
    missing = Infeasible("conv", (Shortfall("capacity of act", 9, 8, "words", "grow it"),))
    for data in (result.to_dict(), missing.to_dict()):
        jsonschema.validate(json.loads(json.dumps(data, allow_nan=False)), schema())
        assert data["schema"] == 3
    broken = result.to_dict()
    del broken["operations"][0]["cost"]["cycles"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema())


@pytest.mark.parametrize("kind", RECORDS)
def test_every_field_says_what_it_means_and_in_which_unit(kind):
    found = meanings(kind)
    known = {item.name for item in fields(kind)} - {"plan", "pass_"}
    assert known <= set(found)
    for name, column in found.items():
        assert column.meaning and column.head, name
        for suffix, unit in (("_s", "s"), ("_J", "J"), ("_Js", "J s"), ("_bytes", "B"), ("_m2", "m2"), ("_C", "C")):
            assert not name.endswith(suffix) or column.unit == unit, name


def test_the_sums_of_an_operation():
    found = operation(
        3, stall_cycles=30, stall_s=3e-7, rows={"act": 5.0}, energy_J={"act": 6e-9}, leakage_J=1e-9, dram_J=2e-9
    )
    assert found.totals == Totals(
        latency_s=pytest.approx(3.3e-6),
        cycles=330,
        macs=1200,
        compute_J=pytest.approx(3e-9),
        dynamic_J=pytest.approx(9e-9),
        leakage_J=pytest.approx(10e-9),
        refresh_J=6e-9,
        dram_J=pytest.approx(14e-9),
        refresh_count=5,
        dram_bytes=3 * 96,
    )
    assert found.totals.energy_J == pytest.approx(42e-9)
    assert found.totals.edp_Js == pytest.approx(42e-9 * 3.3e-6)
    assert found.utilization == pytest.approx(0.5 * 300 / 330) and found.bound_by == "compute"
    assert operation(waits_for="act", stall_cycles=1).bound_by == "act"


def test_a_step_is_the_sum_of_its_operations():
    result = step_result()
    assert result.totals.cycles == 300 + 107 and result.totals.macs == 1600
    assert result.totals.energy_J == pytest.approx(sum(each.totals.energy_J for each in result.operations))


def test_rows_hold_words_and_numbers_of_the_parts():
    operations = step_result().operations
    first, second = rows(operations)
    assert first.keys() == second.keys()
    assert (first["name"], first["pass"], first["energy_J"]) == (
        "conv",
        "forward",
        step_result().operations[0].totals.energy_J,
    )
    assert (second["refresh.stall_cycles"], second["cycles"], second["cost.cycles"]) == (7, 107, 100)
    assert first["mapping.optimality_gap"] == 0.25
    assert not any(isinstance(value, dict | list) or "\n" in str(value) for value in first.values())


def test_totals_of_a_run():
    # 100 samples in steps of 8 are 13 steps, the last one partly filled.
    result = step_result(settings=Settings(dataset=100, epochs=3))
    whole, found = result.totals, result.run
    assert found["sample"].energy_J == whole.energy_J / 8 and found["iteration"].latency_s == whole.latency_s
    assert found["epoch"].latency_s == pytest.approx(13 * whole.latency_s)
    assert found["target"].energy_J == pytest.approx(39 * whole.energy_J)
    assert set(step_result().run) == {"sample", "iteration"}
