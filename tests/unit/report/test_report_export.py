"""Results as files: complete or absent, readable, and never at the price of a user's file."""

import csv
import json
import os
from pathlib import Path

import pytest

from camel_plugin.errors import EngineError, InputError
from camel_plugin.report import export


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}


def test_json_round_trip(result, tmp_path):
    export.write(result, tmp_path / "out")
    read = json.loads((tmp_path / "out/result.json").read_text())
    assert read == json.loads(json.dumps(result.to_dict()))
    assert read["schema"] == 3
    assert {operation["pass"] for operation in read["operations"]} == {
        operation.pass_ for operation in result.operations
    }


def test_returns_the_files_it_wrote(result, tmp_path):
    paths = export.write(result, tmp_path / "out", extra={"timeloop/arch.yaml": "architecture: {}\n"})
    assert all(path.is_file() for path in paths)
    assert {path.relative_to(tmp_path / "out").as_posix() for path in paths} == {
        "result.json",
        "operations.csv",
        "tensors.csv",
        "mappings/conv1.yaml",
        "mappings/conv1_input_grad.yaml",
        "mappings/conv1_weight_grad.yaml",
        "timeloop/arch.yaml",
    }


def test_operations_csv_sums_to_the_totals(result, tmp_path):
    export.write(result, tmp_path / "out")
    table = rows(tmp_path / "out/operations.csv")
    assert [row["name"] for row in table] == [operation.name for operation in result.operations]
    assert [row["pass"] for row in table] == ["forward", "input_grad", "weight_grad", "update"]
    for column in ("latency_s", "energy_J", "refresh_J", "dram_bytes"):
        assert sum(float(row[column]) for row in table) == pytest.approx(getattr(result.totals, column))
    assert all(None not in row and "\n" not in "".join(row.values()) for row in table)
    mapped = [row["mapping_file"] for row in table if row["mapping_file"]]
    assert all((tmp_path / "out" / name).is_file() for name in mapped) and len(mapped) == 3


def test_tensors_csv(result, tmp_path):
    export.write(result, tmp_path / "out")
    (tensor,) = rows(tmp_path / "out/tensors.csv")
    assert tensor["name"] == "act1" and float(tensor["bytes"]) == 4096 and tensor["refreshes"] == "2"


def test_odd_operation_names_get_safe_and_distinct_files(make, operation, tmp_path):
    names = ["../../etc/passwd", "a:b", "a b", "A_B", "a/b", "..", "", "é" * 5, "x" * 500, "x" * 501, 'q",\n"']
    result = make([operation(name, mapping=f"# {index}\n") for index, name in enumerate(names)])
    export.write(result, tmp_path / "out")
    written = sorted((tmp_path / "out/mappings").iterdir())
    assert files(tmp_path) == {f"out/{name}" for name in files(tmp_path / "out")}
    assert len({path.name.lower() for path in written}) == len(names)
    table = rows(tmp_path / "out/operations.csv")
    assert [row["name"] for row in table] == names
    for index, row in enumerate(table):
        assert (tmp_path / "out" / row["mapping_file"]).read_text() == f"# {index}\n"


def test_an_earlier_result_is_replaced_as_a_whole(result, make, tmp_path):
    export.write(result, tmp_path / "out", extra={"old.yaml": ""})
    export.add(tmp_path / "out", {"plots/energy.png": b"old"})
    export.write(make([]), tmp_path / "out")
    assert files(tmp_path / "out") == {"result.json", "operations.csv", "tensors.csv", export.MANIFEST}
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


@pytest.mark.parametrize("interrupted", ["write_bytes", "rename"])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_leaves_the_earlier_result(result, make, tmp_path, monkeypatch, interrupted, interrupt):
    export.write(result, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")}
    original, calls = getattr(Path, interrupted), []

    def stop(self, *arguments):
        calls.append(self)
        if len(calls) == 2:
            raise interrupt
        return original(self, *arguments)

    monkeypatch.setattr(Path, interrupted, stop)
    with pytest.raises(interrupt):
        export.write(make([]), tmp_path / "out")
    monkeypatch.undo()
    assert {name: (tmp_path / "out" / name).read_bytes() for name in files(tmp_path / "out")} == before
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_a_full_disk_is_told_and_leaves_nothing(result, tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        export.write(result, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("earlier", [False, True])
def test_a_users_own_file_is_never_taken(result, tmp_path, earlier):
    if earlier:
        export.write(result, tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out/thesis.tex").write_text("years of work")
    for attempt in (lambda: export.write(result, tmp_path / "out"), lambda: export.check_writable(tmp_path / "out")):
        with pytest.raises(InputError, match=r"out.*thesis\.tex"):
            attempt()
    assert (tmp_path / "out/thesis.tex").read_text() == "years of work"


def test_an_empty_directory_is_taken(result, tmp_path):
    (tmp_path / "out").mkdir()
    export.check_writable(tmp_path / "out")
    assert export.write(result, tmp_path / "out")


def test_a_file_in_the_way_is_told(result, tmp_path):
    (tmp_path / "out").write_text("")
    for attempt in (lambda path: export.write(result, path), export.check_writable):
        for path in (tmp_path / "out", tmp_path / "out/below"):
            with pytest.raises(InputError, match=str(path)):
                attempt(path)


def test_a_refused_directory_is_told(result, tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(InputError, match=r"out: cannot write the output directory: Permission denied"):
        export.write(result, tmp_path / "out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_directory_is_told(result, tmp_path):
    tmp_path.chmod(0o500)
    try:
        for attempt in (
            lambda: export.write(result, tmp_path / "a/b"),
            lambda: export.check_writable(tmp_path / "a/b"),
        ):
            with pytest.raises(InputError, match="ermission"):
                attempt()
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused_by_its_path(make, operation, tmp_path, number):
    with pytest.raises(EngineError, match=r"operations\[0\]\.cost\.dram_J is (nan|inf)"):
        export.write(make([operation(dram_J=number)]), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../escape.yaml", "/etc/escape.yaml", "a/../../escape.yaml", ""])
def test_extra_files_stay_inside(result, tmp_path, path):
    with pytest.raises(InputError, match="must lie in its directory"):
        export.write(result, tmp_path / "out", extra={path: ""})
    assert list(tmp_path.iterdir()) == []
