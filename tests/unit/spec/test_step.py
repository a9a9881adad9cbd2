"""A step as a tree: the flat views that follow from it."""

from dataclasses import replace

import pytest
from schedule_builders import machine, step, vector

from camel_plugin.errors import WorkloadError
from camel_plugin.schedule.order import ordered
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.step import Group, Loop


def op(name):
    return vector(name, ("x",), (f"{name}.out",))


def test_operations_stand_in_execution_order_each_once():
    work = step([op("a"), Loop("samples", 3, (op("b"), op("c"))), op("d"), op("e")])
    assert [operation.name for operation in work.operations] == ["a", "b", "c", "d", "e"]
    assert [work.trips(name) for name in "abcde"] == [1, 3, 3, 1, 1]
    assert work.groups == (Group(range(0, 1), 1), Group(range(1, 3), 3), Group(range(3, 5), 1))


def test_neighbouring_loops_are_groups_of_their_own():
    work = replace(step([]), body=(Loop("samples", 3, (op("a"),)), Loop("samples", 3, (op("b"),))))
    assert work.groups == (Group(range(0, 1), 3), Group(range(1, 2), 3))


def test_trips_of_nested_loops_multiply_and_the_schedule_refuses_them_as_not_evaluated_yet():
    inner = Loop("samples", 2, (op("b"),))
    work = step([Loop("samples", 3, (op("a"), inner))], x=("input", (4,)))
    assert (work.trips("a"), work.trips("b"), work.groups) == (3, 6, (Group(range(0, 2), 3),))
    assert work.nested
    for attempt in (lambda: ordered(work, "none"), lambda: plan(machine(), work)):
        with pytest.raises(WorkloadError, match="loops inside loops are not evaluated yet"):
            attempt()
