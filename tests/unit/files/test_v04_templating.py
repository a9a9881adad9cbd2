"""Jinja2 in v0.4 files."""

import pytest
from v04_cases import ARCH, MAPPING, PROBLEM, fake_estimate

from camel_plugin import components
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError
from camel_plugin.files.specification import read_specification
from camel_plugin.files.templating import load_specification
from camel_plugin.files.v04 import read_problem

TOP = """\
{{ add_to_path('parts') }}
{% set problem = problem | default('problem.yaml') %}
problem: {{ include(problem, 'problem') }}
architecture: {{ include('arch.yaml', 'architecture') }}
{% if path_exists('mapping.yaml') %}
{{ include_text('mapping.yaml') }}
{% endif %}
{% if path_exists('nothing.yaml') %}broken: [{% endif %}
components:
  version: 0.4
  classes: {{ include_all('classes/*.yaml', 'components.classes') }}
variables: {here: "{{ cwd() }}", found: "{{ find_path('problem.yaml') }}"}
"""


@pytest.fixture
def top(tmp_path):
    parts = tmp_path / "parts"
    (parts / "classes").mkdir(parents=True)
    for name, text in {"arch": ARCH, "problem": PROBLEM, "mapping": MAPPING}.items():
        (parts / f"{name}.yaml").write_text(text)
    for name in "ab":
        (parts / "classes" / f"{name}.yaml").write_text(f"components: {{classes: [{{name: {name}}}]}}\n")
    (tmp_path / "top.yaml.jinja2").write_text(TOP)
    return tmp_path / "top.yaml.jinja2"


def test_includes_give_the_same_as_the_files(top, monkeypatch):
    monkeypatch.setattr(components, "estimate", fake_estimate)
    assert read_problem([top]) == read_problem([("p", PROBLEM)])
    assert read_machine([top], name="x") == read_machine([("a", ARCH), ("p", PROBLEM)], name="x")
    tree = load_specification(top.read_text(), str(top)).plain()
    assert len(tree["mapping"]) == MAPPING.count("target")
    assert list(read_specification([top]).classes) == ["a", "b"]
    assert tree["variables"] == {"here": str(top.parent), "found": str(top.parent / "parts" / "problem.yaml")}


def test_what_is_included_keeps_its_place(top, monkeypatch):
    monkeypatch.setattr(components, "estimate", fake_estimate)
    arch = top.parent / "parts" / "arch.yaml"
    arch.write_text(ARCH.replace("depth: 1024 * 4", "depth: -1"))
    with pytest.raises(SpecError) as error:
        read_machine([top])
    assert (error.value.file, error.value.line) == (str(arch), ARCH[: ARCH.index("depth: 1024")].count("\n") + 1)


def test_a_default_stands_where_nothing_is_given():
    assert load_specification("a: {{ width | default(16) }}", "t").plain() == {"a": 16}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {{ width", "t.yaml:2: broken template"),
        ("a: {{ width }}", "t.yaml: broken template: 'width' is undefined"),
        ("a: {{ include('absent.yaml') }}", "t.yaml: included file not found (got 'absent.yaml')"),
        ("a: {{ ''.__class__.__mro__ }}", "t.yaml: broken template: access to attribute '__class__'"),
        ("a: {{ 1 / 0 }}", "t.yaml: broken template: division by zero"),
        ("a: {{ range(10 ** 9) | list }}", "t.yaml: broken template: Range too big"),
    ],
)
def test_broken_templates(text, message):
    with pytest.raises(SpecError) as error:
        load_specification(text, "t.yaml")
    assert str(error.value).startswith(message)


def test_includes_without_end(tmp_path):
    path = tmp_path / "loop.yaml"
    path.write_text("a: {{ include('loop.yaml') }}")
    with pytest.raises(SpecError, match="include each other without end"):
        load_specification(path.read_text(), str(path))


def test_an_included_key_must_exist(tmp_path):
    (tmp_path / "part.yaml").write_text("a: {b: 1}")
    assert load_specification("x: {{ include('part.yaml', 'a.b') }}", str(tmp_path / "t.yaml")).plain() == {"x": 1}
    with pytest.raises(SpecError, match="has no such key"):
        load_specification("x: {{ include('part.yaml', 'a.c') }}", str(tmp_path / "t.yaml"))
