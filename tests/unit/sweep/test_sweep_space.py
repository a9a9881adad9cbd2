"""Axes and points."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.sweep.space import Axis, parse_axis, product

PARAMETERS = ("edram_banks", "array_x", "vdd_V")


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("arch=camel,camel-sram", "arch", ("camel", "camel-sram")),
        ("batch=1,64", "batch", (1, 64)),
        ("micro-batch=1, 2", "micro_batch", (1, 2)),
        ("micro_batch=4", "micro_batch", (4,)),
        ("temperature=-30:100:3", "temperature_C", (-30.0, 35.0, 100.0)),
        ("temperature_C=25", "temperature_C", (25.0,)),
        ("batch=1:64:4", "batch", (1, 22, 43, 64)),
        # Overrides stay text, as --set hands them over; steps of a tenth are exact.
        ("vdd_V=0.6:0.9:4", "vdd_V", ("0.6", "0.7", "0.8", "0.9")),
        ("array_x=8:2:4", "array_x", ("8", "6", "4", "2")),
        ("edram_banks=6,0x10,auto", "edram_banks", ("6", "0x10", "auto")),
    ],
)
def test_axes(text, key, values):
    axis = parse_axis(text, PARAMETERS)
    assert (axis.key, axis.values, axis.is_parameter) == (key, values, key in PARAMETERS)
    assert [type(value) for value in axis.values] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("bacth=1,2", "did you mean 'batch'?"),
        ("edram_bank=1", "did you mean 'edram_banks'?"),
        ("temprature=1", "did you mean 'temperature'?"),
        ("objective=edb", "did you mean 'edp'?"),
    ],
)
def test_bad_names_are_refused_with_the_nearest(text, hint):
    with pytest.raises(UnknownNameError) as caught:
        parse_axis(text, PARAMETERS, {"objective": ["edp", "energy", "latency"]})
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "batch",
        "=1",
        "batch=",
        "batch=1,,2",
        "batch=0",
        "batch=1.5",
        "batch=1:4:5",
        "batch=one",
        "temperature=hot",
        "temperature=0:100",
        "temperature=0:100:1",
        "temperature=0:100:2.5",
        "temperature=0:hot:3",
        "batch=2,2",
        "vdd_V=a:b:3",
    ],
)
def test_bad_axes_are_refused_with_what_was_written(text):
    with pytest.raises(InputError, match="--axis"):
        parse_axis(text, PARAMETERS)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(2, 40))
def test_ranges_are_even_and_reach_both_ends(first, last, count):
    if first == last:
        return
    values = parse_axis(f"temperature={first}:{last}:{count}", ()).values
    assert len(values) == count and values[0] == first and values[-1] == last
    steps = [later - earlier for earlier, later in itertools.pairwise(values)]
    assert steps == pytest.approx([(last - first) / (count - 1)] * (count - 1))


def test_product_is_ordered_with_the_last_axis_fastest():
    axes = [Axis("batch", (1, 2)), Axis("edram_banks", ("6", "12"), is_parameter=True)]
    points = product(axes, {"arch": "camel", "overrides": {"vdd_V": "0.8"}})
    assert [dict(point.varied) for point in points] == [
        {"batch": batch, "set.edram_banks": banks} for batch in (1, 2) for banks in ("6", "12")
    ]
    assert points[1].arguments == {"arch": "camel", "batch": 1, "overrides": {"vdd_V": "0.8", "edram_banks": "12"}}


def test_no_axes_are_one_point():
    (point,) = product([], {"arch": "camel"})
    assert point.arguments == {"arch": "camel", "overrides": {}}


def test_the_same_axis_twice_is_refused():
    with pytest.raises(InputError, match="same key"):
        product([Axis("batch", (1,)), Axis("batch", (2,))], {})


def test_a_parameter_may_be_called_like_an_argument():
    axes = [parse_axis("batch=1", ("batch",)), Axis("batch", ("7",), is_parameter=True)]
    (point,) = product(axes, {})
    assert point.arguments == {"batch": 1, "overrides": {"batch": "7"}}


def test_keys_hang_on_content_not_on_order():
    batch, banks = Axis("batch", (1, 2)), Axis("edram_banks", ("6", "12"), is_parameter=True)
    fixed = {"arch": "camel", "net": "revresnet"}
    keys = {point.key() for point in product([batch, banks], fixed)}
    assert len(keys) == 4
    assert keys == {point.key() for point in product([banks, batch], dict(reversed(fixed.items())))}
    assert keys.isdisjoint(point.key({"camel-plugin": "2"}) for point in product([batch, banks], fixed))


def test_settings_of_the_recipe_are_axes():
    axes = [parse_axis("training.optimizer=sgd,adam", ()), parse_axis("training.precision.weight=fp16", ())]
    fixed = {"arch": "camel", "training": {"reversible": "generic"}}
    points = product(axes, fixed)
    assert [dict(point.varied) for point in points] == [
        {"training.optimizer": name, "training.precision.weight": "fp16"} for name in ("sgd", "adam")
    ]
    assert points[1].arguments["training"] == {"reversible": "generic", "optimizer": "adam", "precision.weight": "fp16"}
    assert fixed["training"] == {"reversible": "generic"}
    with pytest.raises(UnknownNameError, match="did you mean 'optimizer'"):
        parse_axis("training.optimiser=sgd", ())
    with pytest.raises(InputError, match=r"training.checkpoint_blocks: .*greater than 0"):
        parse_axis("training.checkpoint_blocks=0", ())
