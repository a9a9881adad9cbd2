import pytest
from schedule_builders import conv, mac, step, training_step, vector

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.liveness import groups, in_place, live_ranges
from camel_plugin.spec.step import Group


def test_the_micro_batch_is_one_group_and_the_updates_another():
    assert groups(training_step()) == (Group(range(0, 8), 4), Group(range(8, 10), 1))


def test_a_value_lives_from_its_write_to_its_last_use():
    ranges = live_ranges(training_step())
    assert (ranges["a"].first, ranges["a"].last) == (0, 1)
    assert (ranges["b"].first, ranges["b"].last) == (1, 6)
    assert 6 in ranges["b"] and 7 not in ranges["b"]


def test_weights_live_through_the_step():
    live = live_ranges(training_step())["w1"]
    assert (live.first, live.last, live.produced, live.carried) == (0, 9, True, True)


@pytest.mark.parametrize(("tensor", "last"), [("dw1", 8), ("dw2", 9)])
def test_a_gradient_accumulated_over_micro_batches_lives_from_the_first_operation_to_its_update(tensor, last):
    live = live_ranges(training_step())[tensor]
    assert (live.first, live.last, live.carried) == (0, last, True)


def test_with_a_single_micro_batch_it_lives_only_from_its_first_write():
    # All operations then run once, in one group: there is nothing to carry over from an earlier run.
    ranges = live_ranges(training_step(repeats=1))
    assert (ranges["dw2"].first, ranges["dw2"].last) == (4, 9)


def test_the_input_is_not_produced():
    assert not live_ranges(training_step())["x"].produced


def test_only_dying_inputs_of_the_same_shape_are_overwritten():
    work = training_step()
    # "a" dies in relu, "y" in loss, "db" (first) in relu:ig; updates rewrite their own weights.
    assert in_place(work, live_ranges(work)) == {"b": "a", "dy": "y", "da": "db"}


def test_an_input_gives_its_words_to_one_output_only():
    work = step(
        [
            mac("conv", conv(2, 2, 3), "x", "w", "a"),
            vector("split", ("a",), ("b", "c")),
            vector("join", ("b", "c"), ("d",)),
            vector("pool", ("d",), ("e",)),
        ],
        x=("input", (2, 3, 3)),
        w=("weight", (2, 2)),
        **dict.fromkeys("abcd", ("activation", (2, 3, 3))),
        e=("activation", (2, 1, 1)),
    )
    assert in_place(work, live_ranges(work)) == {"b": "a", "d": "b"}


def test_reading_what_nothing_wrote_is_refused():
    work = step([vector("relu", ("a",), ("b",))], a=("activation", (1,)), b=("activation", (1,)))
    with pytest.raises(WorkloadError, match=r"relu.*before anything writes it.*'a'"):
        live_ranges(work)


def test_an_unknown_tensor_is_refused():
    with pytest.raises(WorkloadError, match="'b'"):
        live_ranges(step([vector("relu", ("a",), ("b",))], a=("input", (1,))))
