"""The store and the runner: nothing finished is lost, nothing is done twice."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from camel_plugin.errors import InfeasibleError, InputError
from camel_plugin.result import OperationCost, OperationRefresh, OperationResult, StepResult
from camel_plugin.spec.step import Coverage
from camel_plugin.sweep.runner import run, to_rows
from camel_plugin.sweep.space import Axis, product
from camel_plugin.sweep.store import Record, Store


class Fake:
    """Counts its calls; an energy of ``batch`` joules; raises what it is told to at some batch."""

    def __init__(self, **raises):
        self.calls = []
        self.raises = {int(batch.removeprefix("at")): error for batch, error in raises.items()}

    def __call__(self, *, arch, batch, overrides):
        self.calls.append(batch)
        if batch in self.raises:
            raise self.raises[batch]
        cost = OperationCost(10, 1.0, "compute", 0.5, 20, float(batch), {}, 0.0, 0.0, 0, 0, {})
        operation = OperationResult("op", "forward", "mm", None, 1, cost, OperationRefresh())
        return StepResult(arch, "net", (operation,), (), Coverage(unsupported=("fft",)), 25.0, 0.0, 1e-6)


def points(*batches):
    return product([Axis("batch", batches)], {"arch": "camel"})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep/sweep.jsonl"


def test_runs_every_point_once_and_resumes(path):
    fake = Fake()
    records = run(points(1, 2), Store(path), fake)
    assert [record.result["totals"]["energy_J"] for record in records] == [1, 2]
    again = run(points(3, 2, 1), Store(path), fake)
    assert fake.calls == [1, 2, 3]
    assert [record.varied for record in again] == [{"batch": 3}, {"batch": 2}, {"batch": 1}]


def test_an_interrupt_keeps_what_is_finished(path):
    with pytest.raises(KeyboardInterrupt):
        run(points(1, 2, 3), Store(path), Fake(at2=KeyboardInterrupt()))
    assert [record.varied["batch"] for record in Store(path)] == [1]
    fake = Fake()
    run(points(1, 2, 3), Store(path), fake)
    assert fake.calls == [2, 3]


def test_a_failed_point_does_not_stop_the_others(path):
    fake = Fake(at1=InfeasibleError("conv1", []), at2=ZeroDivisionError("division by zero"))
    records = run(points(1, 2, 3), Store(path), fake)
    assert [record.status for record in records] == ["failed", "failed", "ok"]
    assert "conv1" in records[0].message
    assert records[1].message == "ZeroDivisionError: division by zero"


def test_failures_are_tried_again_only_on_demand(path):
    run(points(1, 2), Store(path), Fake(at1=InputError("no")))
    fake = Fake()
    run(points(1, 2), Store(path), fake)
    assert fake.calls == []
    (first, _) = run(points(1, 2), Store(path), fake, retry_failed=True)
    assert fake.calls == [1] and first.status == "ok"
    assert Store(path)[first.key].status == "ok"


def test_a_number_that_is_none_fails_its_point_only(path):
    def evaluate(**arguments):
        result = Fake()(**arguments)
        return replace(result, overrides={"x": float("nan")}) if arguments["batch"] == 5 else result

    records = run(points(5, 6), Store(path), evaluate)
    assert [record.status for record in records] == ["failed", "ok"]
    assert "overrides.x is nan" in records[0].message


def test_progress_counts_what_the_store_had(path):
    run(points(1), Store(path), Fake())
    told = []
    run(points(1, 2, 3), Store(path), Fake(), progress=lambda *seen: told.append((*seen[:2], seen[2].varied["batch"])))
    assert told == [(1, 3, 1), (2, 3, 2), (3, 3, 3)]


def test_side_by_side_gives_the_same(path, tmp_path):
    batches = range(1, 30)
    with ThreadPoolExecutor(4) as executor:
        parallel = run(points(*batches), Store(path), Fake(at7=InputError("no")), executor=executor)
    serial = run(points(*batches), Store(tmp_path / "serial.jsonl"), Fake(at7=InputError("no")))
    assert [vars(record) | {"wall_s": 0} for record in parallel] == [vars(record) | {"wall_s": 0} for record in serial]


def test_other_versions_are_other_points(path):
    fake = Fake()
    run(points(1), Store(path), fake, versions={"camel-plugin": "1"})
    run(points(1), Store(path), fake, versions={"camel-plugin": "2"})
    assert fake.calls == [1, 1]


@pytest.mark.parametrize("lost", [1, 10, 10_000])
def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(path, lost):
    run(points(1, 2), Store(path), Fake())
    content = path.read_bytes()
    last = content[:-1].rfind(b"\n") + 1
    path.write_bytes(content[: max(len(content) - lost, last + 1)])
    fake = Fake()
    run(points(1, 2), Store(path), fake)
    assert fake.calls == [2]
    assert path.read_bytes().count(b"\n") == 2
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 2


def test_a_file_that_is_no_store_is_refused_by_line_and_left_alone(path):
    path.parent.mkdir()
    path.write_text('{"some": "json"}\nunfinished')
    with pytest.raises(InputError, match=r"sweep\.jsonl:1"):
        Store(path)
    assert path.read_text() == '{"some": "json"}\nunfinished'


def test_an_unusable_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="directory"):
        Store(tmp_path)


def test_rows_have_the_same_columns(path):
    records = run(points(1, 2), Store(path), Fake(at1=InputError("no")))
    failed, ok = to_rows(records)
    assert list(failed) == list(ok)
    assert list(ok)[:3] == ["batch", "status", "message"]
    assert (failed["batch"], failed["status"], failed["message"], failed["energy_J"]) == (1, "failed", "no", "")
    assert (ok["energy_J"], ok["unsupported_operators"]) == (2.0, 1)


def test_rows_of_nothing():
    assert to_rows([]) == []


def test_names_beyond_ascii_survive(path):
    record = Record("k", "ok", {"arch": "größe\u2028\n"}, {}, 0.0)
    Store(path).append(record)
    assert Store(path)["k"] == record
