"""The examples of docs/reversible.md, where the libraries are installed."""

import contextlib
import io
import re
from pathlib import Path

import pytest

DOC = Path(__file__).parents[2] / "docs" / "reversible.md"
BLOCK = re.compile(
    r"^```python title=(\S+)\n(.*?)^```\n```python requires=(\S+)\n(.*?)^```\n```text\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.mark.parametrize("library", ["memcnn", "revtorch"])
@pytest.mark.filterwarnings("ignore")
def test_the_example_works(library, tmp_path, monkeypatch):
    pytest.importorskip(library)
    (found,) = (block for block in BLOCK.findall(DOC.read_text()) if block[2] == library)
    title, module, _, run, printed = found
    (tmp_path / title).write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(run, str(DOC), "exec"), {})  # noqa: S102
    assert output.getvalue() == printed


def test_each_library_has_an_example():
    assert [block[2] for block in BLOCK.findall(DOC.read_text())] == ["memcnn", "revtorch"]
