"""The walk through docs/workloads.md works as written."""

import contextlib
import io
import re
from pathlib import Path

DOC = Path(__file__).parents[3] / "docs" / "workloads.md"
BLOCK = re.compile(r"^```(python|yaml|text)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_walk_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    walk = DOC.read_text().split("## Your own network")[1].split("\n## ")[0]
    names, printed, compared = {}, "", 0
    for language, title, code in BLOCK.findall(walk):
        if title:
            (tmp_path / title).write_text(code)
        elif language == "text":
            assert printed == code
            compared += 1
        else:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, str(DOC), "exec"), names)  # noqa: S102
            printed = output.getvalue()
    assert compared == 5
