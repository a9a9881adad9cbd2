"""The walk through docs/workloads.md works as written."""

import contextlib
import io
import re
import shlex
from pathlib import Path

from typer.testing import CliRunner

from camel_plugin.cli.app import app

DOC = Path(__file__).parents[3] / "docs" / "workloads.md"
BLOCK = re.compile(r"^```(python|yaml|sh|text)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


QUICK = {"eval": ["--budget", "0", "--no-pad"], "sweep": ["--budget", "0"]}
"""What the tests add to a command of the walk."""


def run(line):
    program, *arguments = shlex.split(line, comments=True)
    arguments = ["eval", *arguments] if program == "camel-eval" else arguments
    result = CliRunner().invoke(app, [*arguments, *QUICK.get(arguments[0], [])])
    assert result.exit_code == 0, (line, result.output, result.exception)
    return words(result.output)


def words(text):
    return " ".join(text.split())


def test_the_walk_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk = DOC.read_text().split("## Your own network")[1].split("\n## ")[0]
    names, printed, compared, commands = {}, "", 0, False
    for language, title, code in BLOCK.findall(walk):
        commands = language == "sh" or (commands and language == "text")
        if title:
            (tmp_path / title).write_text(code)
        elif language == "text":
            assert printed == code or (commands and all(words(line) in printed for line in code.splitlines()))
            compared += 1
        elif language == "sh":
            printed = " ".join(map(run, code.splitlines()))
        else:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, str(DOC), "exec"), names)  # noqa: S102
            printed = output.getvalue()
    assert compared == 6
    index = (tmp_path / "nests" / "problems.csv").read_text().splitlines()
    assert len(index) == 1 + sum(bool(operation.problem) for operation in names["step"].operations)
