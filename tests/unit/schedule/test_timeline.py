import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_builders import training_step
from schedule_replay import timed_runs

from camel_plugin.schedule.timeline import make_timeline


@pytest.fixture
def work():
    return training_step(repeats=3)


def durations(work):
    return {op.name: 10 + index for index, op in enumerate(work.operations)}


def test_micro_batches_run_one_after_the_other_then_the_updates(work):
    timeline = make_timeline(work, durations(work))
    period = sum(range(10, 18))
    assert timeline.slots["conv2"].start == 21 and timeline.slots["conv2"].end == 33
    assert timeline.slots["conv2"].period == period
    assert timeline.slots["sgd1"].start == 3 * period
    assert timeline.cycles == 3 * period + 18 + 19


@given(st.integers(-5, 600), st.integers(0, 600))
def test_runs_are_those_that_overlap(start, length):
    work = training_step(repeats=3)
    everything = timed_runs(work, durations(work))
    expected = [(name, begin, end) for name, begin, end in everything if begin < start + length and end > start]
    assert list(make_timeline(work, durations(work)).runs(start, start + length)) == expected
