"""Machine files: inheritance, overrides, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camel_plugin import resources
from camel_plugin.components.machines import load_machine, load_machine_file, render_machine
from camel_plugin.errors import InputError, SpecError, UnknownNameError
from camel_plugin.files.machine_file import MachineFile, read_machine_file

BASE = """\
description: a base
source: a paper
template: base.yaml.j2
parameters:
  rows: {value: 4, unit: words, source: a paper, description: Rows., min: 1, max: 64}
  clock: {value: 500e6, unit: Hz, source: a paper}
  cell: {value: 3T, source: a paper, choices: [3T, 1T1C]}
  gated: {value: true, source: a paper}
  guess: {value: 2.5, unit: V, source: assumed, confirmed: false}
"""
TEMPLATE = "rows: {{ rows }}\nclock: {{ clock }}\ncell: {{ cell | quoted }}\ngated: {{ gated }}\nguess: {{ guess }}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text(BASE)
    (tmp_path / "base.yaml.j2").write_text(TEMPLATE)
    return tmp_path


def write(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def values(machine: MachineFile) -> dict[str, object]:
    return {name: parameter.value for name, parameter in machine.parameters.items()}


def test_root_file_as_written(folder: Path) -> None:
    machine = read_machine_file(folder / "base.yaml")
    assert values(machine) == {"rows": 4, "clock": 5e8, "cell": "3T", "gated": True, "guess": 2.5}
    assert machine.name == "base"
    assert machine.unconfirmed == ("guess = 2.5 V (assumed)",)


def test_bare_value_keeps_unit_and_takes_the_user_as_source(folder: Path) -> None:
    machine = read_machine_file(write(folder, "extends: base.yaml\nparameters: {rows: 8, guess: 3}\n"))
    rows = machine.parameters["rows"]
    assert (rows.value, rows.unit, rows.source, rows.description) == (8, "words", "user", "Rows.")
    assert machine.parameters["guess"].value == 3.0
    assert isinstance(machine.parameters["guess"].value, float)
    assert machine.unconfirmed == ()
    assert machine.description == "a base"


def test_chain_of_three_the_last_word_wins(folder: Path) -> None:
    write(folder, "extends: base.yaml\nparameters: {rows: 8, cell: 1T1C}\n", "middle.yaml")
    machine = read_machine_file(write(folder, "extends: middle.yaml\nparameters: {rows: 16}\n"), {"clock": "1e9"})
    assert values(machine) == {"rows": 16, "clock": 1e9, "cell": "1T1C", "gated": True, "guess": 2.5}


def test_a_source_given_with_the_value_is_kept(folder: Path) -> None:
    text = "extends: base.yaml\nparameters:\n  rows: {value: 8, source: my thesis, confirmed: false}\n"
    machine = read_machine_file(write(folder, text))
    assert machine.unconfirmed == ("rows = 8 words (my thesis)", "guess = 2.5 V (assumed)")


def test_template_is_found_beside_the_file_that_names_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    path = write(elsewhere, f"extends: {folder / 'base.yaml'}\nparameters: {{rows: 8}}\n")
    assert render_machine(str(path)).splitlines()[0] == "rows: 8"


def test_user_file_extends_camel_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "extends: camel\nparameters:\n  array_rows: 8\n  temperature: 85.0\n")
    away = tmp_path / "away"
    away.mkdir()
    for place in (tmp_path, away):
        monkeypatch.chdir(place)
        mine = load_machine_file(str(path))
        assert mine.parameters["array_rows"].value == 8
        assert mine.parameters["temperature"].value == 85.0
        assert mine.parameters["array_columns"].value == 6
        assert "meshX: 6, meshY: 8" in render_machine(str(path))


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("rows", "8", 8),
        ("rows", "8.0", 8),
        ("clock", "200000000", 2e8),
        ("cell", "1T1C", "1T1C"),
        ("gated", "false", False),
    ],
)
def test_override(folder: Path, key: str, text: str, expected: object) -> None:
    parameter = read_machine_file(folder / "base.yaml", {key: text}).parameters[key]
    assert parameter.value == expected
    assert type(parameter.value) is type(expected)
    assert parameter.source == "user"


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("row", "8", "--set: row: unknown parameter (got 'row'); did you mean 'rows'?"),
        ("rows", "eight", "--set: rows: must be a number (got 'eight')"),
        ("rows", "true", "--set: rows: must be a number (got True)"),
        ("rows", "2.5", "--set: rows: must be a whole number (got 2.5)"),
        ("rows", "0", "--set: rows: must be at least 1 words (got 0)"),
        ("rows", "65", "--set: rows: must be at most 64 words (got 65)"),
        ("rows", "[1, 2]", "--set: rows: must be a number, a string or true/false (got [1, 2])"),
        ("rows", "", "has no value"),
        ("clock", ".inf", "--set: clock: must be finite (got inf)"),
        ("clock", ".nan", "must be finite"),
        ("clock", "1" + "0" * 400, "must be finite"),
        ("cell", "2T", "is no valid choice (got '2T'); did you mean '3T'?"),
        ("cell", "3", "--set: cell: must be a string (got 3); put it in quotes"),
        ("gated", "1", "--set: gated: must be true or false (got 1)"),
        ("rows", "{", "broken YAML"),
    ],
)
def test_refused_override(folder: Path, key: str, text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_machine_file(folder / "base.yaml", {key: text})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "extends: base.yaml\nparameter: {rows: 8}\n",
            2,
            "unknown field (got 'parameter'); did you mean 'parameters'?",
        ),
        ("extends: base.yaml\nparameters:\n  rwos: 8\n", 3, "unknown parameter (got 'rwos'); did you mean 'rows'?"),
        (
            "extends: base.yaml\nparameters:\n  rows: {valu: 8}\n",
            3,
            "unknown field (got 'valu'); did you mean 'value'?",
        ),
        (
            "extends: base.yaml\nparameters:\n  rows:\n    value: x\n",
            4,
            "parameters.rows.value: must be a number (got 'x')",
        ),
        ("extends: base.yaml\nparameters:\n  rows: [8]\n", 3, "must be a number, a string or true/false (got [8])"),
        ("extends: base.yaml\nparameters:\n  rows: {max: 2}\n", 3, "must be at most 2 words (got 4)"),
        ("extends: base.yaml\nparameters: [rows]\n", 2, "should be a valid dictionary"),
        ("extends: base.yaml\nparameters:\n  a b: {value: 8}\n", 3, "is no valid parameter name"),
        ("extends: base.yaml\nparameters:\n  rows: {confirmed: maybe}\n", 3, "should be a valid boolean (got 'maybe')"),
        ("extends: base.yaml\ndescription: [a]\n", 2, "should be a valid string"),
        ("extends: caml\n", 1, "unknown machine (got 'caml'); did you mean 'camel'?"),
        ("description: x\nextends: gone.yaml\n", 2, "no such file"),
        ("extends: mine.yaml\n", 1, "extends itself: mine -> mine"),
        ("description: x\n", 1, "names no template"),
        ("- a\n- b\n", 1, "is no machine file"),
        ("", 1, "is no machine file"),
        ("a: {\n", 2, "broken YAML"),
        ("rows: 1\nrows: 2\n", 2, "duplicate key"),
    ],
)
def test_malformed_file_is_refused_with_its_line(folder: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_machine_file(write(folder, text))
    assert message in str(caught.value)
    assert (caught.value.file, caught.value.line) == (str(folder / "mine.yaml"), line)


def test_longer_cycle_is_named(folder: Path) -> None:
    write(folder, "extends: b.yaml\n", "a.yaml")
    write(folder, "extends: c.yaml\n", "b.yaml")
    write(folder, "extends: a.yaml\n", "c.yaml")
    with pytest.raises(SpecError, match="extends itself: a -> b -> c -> a"):
        read_machine_file(folder / "a.yaml")


def test_declared_parameter_without_a_value_must_be_given_one(folder: Path) -> None:
    text = "template: base.yaml.j2\nparameters:\n  rows: {unit: words}\n"
    path = write(folder, text)
    with pytest.raises(SpecError, match="has no value") as caught:
        read_machine_file(path)
    assert (caught.value.line, caught.value.field) == (3, "parameters.rows")
    assert read_machine_file(path, {"rows": "3"}).parameters["rows"].value == 3


def test_unknown_machine_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'camel'"):
        load_machine_file("camell")


PIECES = [
    "",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\t",
    "\n",
    "&a",
    "*a",
    "!!python/object",
    "<<",
    "~",
    "nan",
    "\x00",
    "#",
    "'",
    "ü",
]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_files_are_read_or_refused_never_anything_else(folder: Path, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from([BASE, resources.find("arch_specs", "camel").read_text()]))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(source)))
        length = data.draw(st.integers(0, 12))
        source = source[:start] + data.draw(st.sampled_from(PIECES)) + source[start + length :]
    path = write(folder, source)
    try:
        text = load_machine(str(path)).yaml
    except InputError as error:
        assert str(error)
    else:
        assert text.startswith("architecture")
