"""Dataclasses as YAML and back, unchanged."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_builders import (
    ALL_ORDERS,
    CAMEL_REFRESH,
    conv,
    machine,
    mapped,
    mapping,
    placed_in,
    random_steps,
    training_step,
)

from camel_plugin.errors import SpecError
from camel_plugin.files.data_file import read_data, write_data
from camel_plugin.plugins import load, registered
from camel_plugin.schedule.residency import place, task
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.mapping import Mapping
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.refresh import tabulated
from camel_plugin.spec.step import Loop, Step, TensorKind
from camel_plugin.spec.task import RefreshDuty


def again(value):
    return read_data(type(value), write_data(value), "data.yaml")


@settings(max_examples=80, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20))
def test_steps_come_back_unchanged(work, order, act, weight):
    step = placed_in(machine(act, weight), work, order).step
    found = again(step)
    assert found == step and found.operations == step.operations


@settings(max_examples=20, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20), st.booleans())
def test_plans_come_back_unchanged(work, order, act, weight, edram):
    plan = placed_in(machine(act, weight, CAMEL_REFRESH if edram else None), work, order)
    assert again(plan) == plan


def test_problems_formats_and_mappings_come_back_unchanged():
    work = replace(training_step(), bits={TensorKind.WEIGHT: 4.5})
    plan = mapped(place(machine(edram=CAMEL_REFRESH), work), {"conv1": mapping({"act": [("C", 4), ("P", 6)]})})
    assert again(plan) == plan
    for value, kind in ((plan.machine, Machine), (conv(2, 3, 4), Problem), (plan.mappings["conv1"].mapping, Mapping)):
        assert type(value) is kind and again(value) == value


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.floats(0.1, 8), st.sampled_from(sorted(registered("refresh"))))
def test_tasks_come_back_unchanged(act, weight, size, policy):
    plan = place(machine(act, weight, CAMEL_REFRESH), training_step())
    tiles = tabulated(load("refresh", policy)(), 12, 7 * 1024, 3)
    found = task(plan, plan.step.operations[0], {"act": RefreshDuty(6 * act, 1.0, tiles)})
    found = replace(found, value_words={"Inputs": size})
    assert again(found) == found and again(found).constrained == found.constrained


def test_trees_deeper_than_those_that_are_evaluated_come_back_unchanged():
    work = training_step()
    (loop, *updates) = work.body
    deep = replace(work, body=(Loop("samples", 2, (loop, loop.body[0])), *updates))
    assert again(deep) == deep


def test_equal_values_give_equal_text():
    # Sets have no order of their own.
    storages = [replace(machine().storage("act"), keep=frozenset(names)) for names in ("ABCDEF", "FEDCBA")]
    assert write_data(storages[0]) == write_data(storages[1])


@dataclass(frozen=True)
class Wide:
    names: tuple[str, ...]
    number: float


@given(st.lists(st.text(max_size=8), max_size=30), st.floats(allow_nan=False))
def test_whatever_text_and_numbers(names, number):
    assert again(Wide(tuple(names), number)) == Wide(tuple(names), number)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("trips: 4", "trips: many", "valid integer"),
        ("kind: relu", "kinds: relu", "kind: Field required"),
        ("kind: relu", "kind: [relu", "broken YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old, new, reason):
    text = write_data(training_step()).replace(old, new, 1)
    with pytest.raises(SpecError, match=reason) as caught:
        read_data(Step, text, "step.yaml")
    line = 1 + next(n for n, line in enumerate(text.splitlines()) if new in line)
    assert caught.value.file == "step.yaml" and abs(caught.value.line - line) <= 2


def test_plans_are_plain_data():
    text = write_data(place(machine(), training_step()))
    assert isinstance(read_data(Plan, text, "p"), Plan) and "!!" not in text
