"""Plans from their files: unchanged if nobody edits them, else as edited, or refused with file, line and reason."""

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_builders import (
    ALL_ORDERS,
    conv,
    mac,
    machine,
    mapped,
    mapping,
    placed_in,
    random_steps,
    step,
    training_step,
    vector,
)
from schedule_replay import replay

from camel_plugin.errors import SpecError
from camel_plugin.files.plan_file import read_plan, write_plan
from camel_plugin.schedule.order import ordered
from camel_plugin.schedule.plan import plan
from camel_plugin.schedule.replan import replan
from camel_plugin.spec.plan import Plan


@pytest.fixture
def file(tmp_path):
    return tmp_path / "plan.yaml"


def written(placed, order):
    return write_plan(replace(placed, order=order))


def reread(file, text, arch, work):
    file.write_text(text)
    return replan(read_plan(file), arch, work)


@settings(max_examples=200, deadline=None)
@given(random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20))
def test_an_unedited_plan_comes_back_unchanged(tmp_path_factory, work, order, act, weight):
    arch = machine(act, weight)
    placed = placed_in(arch, work, order)
    file = tmp_path_factory.getbasetemp() / "plan.yaml"
    found = reread(file, written(placed, order), arch, work)
    assert found == placed and found.order == order
    assert [*found.homes] == [*placed.homes] and [*found.reasons] == [*placed.reasons]


@settings(max_examples=150, deadline=None)
@given(st.data(), random_steps(), st.sampled_from(ALL_ORDERS), st.integers(1, 60), st.integers(1, 20))
def test_a_home_without_rows_is_laid_out_anew_and_all_others_keep_theirs(
    tmp_path_factory, data, work, order, act, weight
):
    arch = machine(act, weight)
    placed = placed_in(arch, work, order)
    if not placed.homes:
        return
    name = data.draw(st.sampled_from(sorted(placed.homes)))
    text = re.sub(rf"(\n  {re.escape(name)}: {{level: \w+), rows: \[[^]]*\]", r"\1", written(placed, order))
    assert text != written(placed, order)
    found = reread(tmp_path_factory.getbasetemp() / "plan.yaml", text, arch, work)
    others = {other: home for other, home in placed.homes.items() if other != name}
    assert {other: home for other, home in found.homes.items() if other != name} == others
    assert found.homes[name].level == placed.homes[name].level
    replay(found)  # nothing is overwritten before its last read


@settings(max_examples=100, deadline=None)
@given(st.data(), random_steps(), st.sampled_from(ALL_ORDERS), st.integers(5, 60), st.integers(1, 20))
def test_a_home_that_is_taken_out_leaves_all_others_where_they_are(tmp_path_factory, data, work, order, act, weight):
    arch = machine(act, weight)
    placed = placed_in(arch, work, order)
    if not placed.homes:
        return
    name = data.draw(st.sampled_from(sorted(placed.homes)))
    text = re.sub(rf"\n  {re.escape(name)}: {{level[^}}]*}}", "", written(placed, order))
    if "homes:\noutside" in text:
        text = text.replace("homes:\noutside", "homes: {}\noutside")
    found = reread(tmp_path_factory.getbasetemp() / "plan.yaml", text, arch, work)
    assert found.homes == {other: home for other, home in placed.homes.items() if other != name}
    replay(found)


def pair():
    """Two multiply-accumulate operations with a vector operation between them, and a residual."""
    layer, shape = conv(4, 4, 6), (4, 6, 6)
    return step(
        [
            mac("conv1", layer, "x", "w1", "a", repeats=2),
            vector("relu", ("a",), ("b",), 144, repeats=2),
            mac("conv2", layer, "b", "w2", "c", repeats=2),
            vector("add", ("c", "b"), ("y",), 144, repeats=2),
            vector("sgd", ("w1",), ("w1",), 16, kind="sgd"),
        ],
        x=("input", shape),
        w1=("weight", (4, 4)),
        w2=("weight", (4, 4)),
        **dict.fromkeys("abcy", ("activation", shape)),
    )


ARCH = machine(act_depth=100, weight_depth=10)
LOOPS = mapping({"act": [("M", 4), ("P", 6), ("Q", 6), ("C", 4)]})
PLAN = mapped(plan(ARCH, pair()), {"conv1": LOOPS, "conv2": LOOPS})
TEXT = written(PLAN, "network")


def test_the_file_is_one_to_read(file):
    # 144 words are 24 rows of 6; "b" takes over the rows of "a" in place, "y" those of "c".
    assert "\nbelongs_to:\n  arch: tiny\n  net: net\n" in TEXT and "\n  order: network\n" in TEXT
    assert "- {loop: samples, trips: 2, body: [conv1, relu, conv2, add]}\n- sgd\n" in TEXT
    assert "\n  a: {level: act, rows: [24, 48]}\n  b: {level: act, rows: [24, 48]}\n" in TEXT
    assert "\n  x: comes from outside the step\n" in TEXT
    assert TEXT.count("operations: [conv1, conv2]") == 1
    assert reread(file, TEXT, ARCH, pair()) == PLAN


def test_a_tensor_may_be_moved_outside(file):
    text = TEXT.replace("  c: {level: act, rows: [0, 24]}", "  c: {level: dram}")
    found = reread(file, text, ARCH, pair())
    assert found.home_levels["c"] == "dram" and found.reasons["c"] == "the plan puts it there"
    assert found.homes == {name: home for name, home in PLAN.homes.items() if name != "c"}


def test_a_tensor_may_be_moved_to_other_rows(file):
    found = reread(
        file, TEXT.replace("  c: {level: act, rows: [0, 24]}", "  c: {level: act, rows: [70, 94]}"), ARCH, pair()
    )
    assert (found.homes["c"].start, found.homes["c"].stop) == (70, 94)
    replay(found)


def test_the_tree_may_have_other_loops(file):
    text = TEXT.replace(
        "- {loop: samples, trips: 2, body: [conv1, relu, conv2, add]}\n- sgd\n",
        "- {loop: samples, trips: 2, body: [conv1, relu]}\n- sgd\n- {loop: samples, trips: 2, body: [conv2, add]}\n",
    ).replace("order: network", "order: cut")
    text = re.sub(r"\nhomes:.*\noutside:", "\nhomes: {}\noutside:", text, flags=re.DOTALL)
    found = reread(file, text, ARCH, pair())
    assert [group.trips for group in found.step.groups] == [2, 1, 2]
    assert isinstance(found, Plan) and found.ranges["b"].copies == 2


REFUSED = {
    "unknown tensor": ("  c: {level", "  d: {level", r"homes.d: unknown tensor"),
    "unknown level": ("  c: {level: act", "  c: {level: akt", r"homes.c.level: unknown level.*'act'"),
    "no room": ("rows: [0, 24]", "rows: [80, 104]", r"homes.c.rows: act has 100 rows"),
    "too few rows": ("rows: [0, 24]", "rows: [0, 16]", r"homes.c.rows: c takes 24 rows in act"),
    "rows back to front": ("rows: [0, 24]", "rows: [24, 0]", r"first row and the one behind the last"),
    "rows of another": ("rows: [0, 24]", "rows: [12, 36]", r"homes.c.rows: these rows are held by b at the same time"),
    "may not keep": ("  c: {level: act, rows: [0, 24]}", "  c: {level: wbuf}", r"may not keep activation.*act"),
    "register": ("  c: {level: act, rows: [0, 24]}", "  c: {level: oreg}", r"may not keep activation tensors"),
    "input": ("\noutside:\n  x: comes from outside the step", "\n  x: {level: act}\noutside: {}", "comes from outside"),
    "on chip and outside": ("\noutside:", "\noutside:\n  c: why not", r"outside.c: this tensor has a home on chip"),
    "outside unknown": ("\noutside:", "\noutside:\n  cc: why not", r"outside.cc: unknown tensor"),
    "no such copy": ("  c: {level", "  w1@1: {level: wbuf}\n  c: {level", r"no copy can begin there"),
    "wrong factors": ("C=4, M=4", "C=2, M=4", r"factors of C multiply to 2, the problem has C = 4"),
    "unknown dimension": ("C=4, M=4", "K=4, M=4", r"unknown dimension"),
    "unknown target": ("target: oreg", "target: orge", r"unknown target.*oreg"),
    "unknown operation": ("[conv1, relu,", "[conv1, rely,", r"unknown operation.*'relu'"),
    "unmapped operation": ("[conv1, conv2]", "[conv1, conv3]", r"unknown operation"),
    "vector operation": ("[conv1, conv2]", "[conv1, relu]", r"a vector operation has no mapping"),
    "two mappings": ("[conv1, conv2]", "[conv1, conv1]", r"this operation has a mapping in line \d+ already"),
    "operation left out": ("[conv1, relu, conv2,", "[conv1, conv2,", r"stands out of its order.*relu runs here"),
    "operation twice": ("conv2, add]", "conv2, add, add]", r"runs in no loop, or stands twice"),
    "update left out": ("\n- sgd\n", "\n", r"missing: sgd"),
    "update first": ("tree:\n", "tree:\n- sgd\n", r"stands out of its order"),
    "nested": ("[conv1, relu,", "[conv1, {loop: samples, trips: 2, body: [relu]},", "loops inside loops"),
    "trips": ("trips: 2", "trips: 3", r"a loop runs 2 times over samples here"),
    "order": ("order: network", "order: none", r"belongs_to.order: the tree has other loops than this order"),
    "network": ("net: net", "net: other", r"belongs_to.net: this plan belongs to another net"),
    "machine": ("arch: tiny", "arch: huge", r"belongs_to.arch: this plan belongs to another arch"),
    "micro-batch": ("micro_batch: 1", "micro_batch: 2", r"belongs_to.micro_batch: this plan belongs to another"),
    "unknown key": ("\nhomes:", "\nhome:", r"unknown key.*homes"),
    "unknown word": ("{level: act, rows: [0, 24]}", "{level: act, row: [0, 24]}", r"unknown key.*rows"),
    "no list": ("[conv1, relu, conv2, add]", "conv1", r"must be a list"),
    "broken": ("arch: tiny", "arch: ti: ny", r"broken YAML"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_plan_that_cannot_work_is_refused_with_file_line_and_reason(file, what):
    old, new, reason = REFUSED[what]
    assert TEXT.count(old) >= 1
    text = TEXT.replace(old, new, 1)
    with pytest.raises(SpecError) as caught:
        reread(file, text, ARCH, pair())
    assert caught.value.file == str(file)
    assert re.search(reason, str(caught.value)), str(caught.value)
    changed = next(n for n, (a, b) in enumerate(zip(TEXT.splitlines(), text.splitlines(), strict=False), 1) if a != b)
    # What is missing is told where it should stand: at the head of its part.
    assert caught.value.line is not None and abs(caught.value.line - changed) <= (3 if "left out" in what else 1)


def test_no_room_is_told_of_homes_that_are_laid_out(file):
    # "b" waits from its rows 24 to 48 on; neither side has 24 free rows for "c".
    text = TEXT.replace("  c: {level: act, rows: [0, 24]}", "  c: {level: act}").replace(
        "  y: {level: act, rows: [0, 24]}\n", ""
    )
    text = text.replace("rows: [24, 48]", "rows: [20, 44]")
    with pytest.raises(SpecError, match=r"homes\.c: no 24 free rows in a row in act, which has 60"):
        reread(file, text, machine(act_depth=60, weight_depth=10), pair())


def test_a_plan_of_another_order_is_that_order(file):
    placed = plan(ARCH, ordered(training_step(), "none"))
    text = written(placed, "none")
    assert reread(file, text, ARCH, training_step()) == placed
