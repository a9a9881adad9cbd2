"""Settings and recipes: validated once, whoever gives them."""

from dataclasses import fields

import pytest

from camel_plugin.errors import InputError, UnknownNameError
from camel_plugin.spec.recipe import Recipe, Schedule
from camel_plugin.spec.settings import Order, Settings, split


def test_words_may_be_text():
    assert Settings(depth_first="block").depth_first is Order.BLOCK
    assert Recipe(schedule="checkpoint").schedule is Schedule.CHECKPOINT


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"depth_first": "blok"}, "depth_first: unknown order .*did you mean 'block'"),
        ({"objective": "energi"}, "did you mean 'energy'"),
        ({"energies": "acelergy"}, "did you mean 'accelergy'"),
        ({"epochs": 3}, "epochs of what"),
        ({"refersh": "none"}, "unknown setting .*did you mean 'refresh'"),
        ({"micro_batch": "atuo"}, "a number or auto"),
    ],
)
def test_wrong_choices_are_refused_with_the_nearest(choices, message):
    with pytest.raises(InputError, match=message):
        split(choices)


def test_every_field_of_either_may_be_chosen_and_goes_to_its_own():
    choices = {item.name: getattr(Settings(), item.name) for item in fields(Settings)}
    recipe = {item.name: getattr(Recipe(), item.name) for item in fields(Recipe)}
    assert split({**choices, **recipe}) == (Settings(), recipe)
    assert not set(choices) & set(recipe)


def test_auto_searches_for_the_micro_batch():
    assert split({"micro_batch": "auto"}) == (Settings(search_micro_batch=True), {})
    assert split({"micro_batch": 4}) == (Settings(), {"micro_batch": 4})


def test_a_limit_of_segments_takes_the_place_of_the_other_and_formats_add_up():
    base = Recipe(schedule="checkpoint", checkpoint_bytes=9, precision={"default": "fp32"})
    revised = base.revised({"checkpoint_blocks": 2, "precision": {"weight": "fp8"}})
    assert (revised.checkpoint_blocks, revised.checkpoint_bytes) == (2, None)
    assert revised.precision == {"default": "fp32", "weight": "fp8"}
    with pytest.raises(InputError, match="reversible: says nothing under schedule checkpoint"):
        base.revised({"reversible": "generic"})
    with pytest.raises(UnknownNameError, match="kind of tensor"):
        base.revised({"precision": {"wieght": "fp8"}})
