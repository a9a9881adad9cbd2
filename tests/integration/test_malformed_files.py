"""Mutated machine and network files through the command line: one message and exit 2, or a result; no traceback."""

import contextlib
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camel_plugin.cli import main

MACHINE = """\
extends: camel
description: a smaller one
source: a test
parameters:
  activation_banks: 6
  clock: {value: 250e6, unit: Hz, source: a test}
  temperature: {value: 60.0, unit: C, source: a test}
"""
NETWORK = """\
description: a small reversible network
source: a test
builder: revnet
parameters:
  units: [1, 1, 1]
  filters: [4, 4, 8, 8]
  classes: 3
input: [3, 8, 8]
batch: 4
training:
  schedule: reversible
  micro_batch: 2
  norm_group: 2
  optimizer: sgd
"""
TOKENS = [
    "-1", "0", "1e400", "nan", "null", "true", "[]", "{}", "[1, [2]]", "camel", "../x", "'", '"', ":", "- ",
    "!Component", "&a *a", "{{ 7 * 7 }}", "{% include '/etc/passwd' %}", "\t", "é", "0x10", "1_000", "12:30",
    "2001-01-01", "~", "<<: *b", "999999999999999999999", "a: b: c", "!!python/object/apply:os.system ['true']",
]  # fmt: skip


@st.composite
def mutations(draw, text):
    """``text`` with one to three lines dropped, doubled, re-indented, or with a value, key or character replaced."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        key, separator, value = line.partition(": ")
        match draw(st.sampled_from(["drop", "double", "indent", "value", "key", "cut", "insert"])):
            case "drop" if len(lines) > 1:
                del lines[at]
            case "double":
                lines.insert(at, line)
            case "indent":
                lines[at] = " " * draw(st.integers(1, 5)) + line
            case "value":
                lines[at] = f"{key}{separator or ': '}{draw(st.sampled_from(TOKENS))}"
            case "key":
                lines[at] = f"{key}{draw(st.sampled_from('xs_é'))}{separator}{value}"
            case "cut":
                lines[at] = line[: draw(st.integers(0, len(line)))]
            case _:
                lines.insert(at, draw(st.sampled_from(TOKENS)))
    return "\n".join(lines) + "\n"


def run(*arguments):
    """Exit code and what was written to stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            return end.code or 0, errors.getvalue()
    return 0, errors.getvalue()


def check(code, errors):
    assert code in (0, 2), errors
    if code == 2:
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1, errors
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutated")


SETTINGS = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTINGS
@given(text=mutations(MACHINE))
def test_mutated_machine_files(folder: Path, text: str):
    (folder / "machine.yaml").write_text(text, encoding="utf-8")
    check(*run("render", "--arch", folder / "machine.yaml"))


@SETTINGS
@given(text=mutations(NETWORK))
def test_mutated_network_files(folder: Path, text: str):
    (folder / "network.yaml").write_text(text, encoding="utf-8")
    check(*run("render", "--arch", "camel", "--net", folder / "network.yaml", "--out", folder / "out"))


def test_the_files_are_well_formed_before_they_are_mutated(folder: Path):
    (folder / "good-machine.yaml").write_text(MACHINE)
    (folder / "good-network.yaml").write_text(NETWORK)
    code, errors = run(
        "render",
        "--arch",
        folder / "good-machine.yaml",
        "--net",
        folder / "good-network.yaml",
        "--out",
        folder / "good",
    )
    assert (code, errors) == (0, "")
