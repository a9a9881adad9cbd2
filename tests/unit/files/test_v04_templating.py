"""Jinja2 in v0.4 files."""

import os

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


def test_values_come_from_outside():
    assert load_specification("a: {{ width }}\nb: {{ name }}", "t", {"width": 16, "name": "x"}).plain() == {
        "a": 16,
        "b": "x",
    }
    with pytest.raises(SpecError, match="give it a value with --jinja KEY=VALUE"):
        load_specification("a: {{ width }}", "t")


def test_included_text_is_rendered_in_its_own_place(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "defs.yaml").write_text("x: {{ n }}\n{{ include_text('more.yaml') }}")
    (tmp_path / "inner" / "more.yaml").write_text("here: '{{ cwd() }}'")
    text = "{{ include_text('inner/defs.yaml') }}\ny: {{ n + 1 }}"
    tree = load_specification(text, str(tmp_path / "top.yaml"), {"n": 1}).plain()
    assert tree == {"x": 1, "here": str(tmp_path / "inner"), "y": 2}


def test_lists_grow_and_the_environment_stays(monkeypatch):
    monkeypatch.delenv("TIMELOOP_SETTING", raising=False)
    text = "{{ setenv('TIMELOOP_SETTING', '1') }}{% set found = [1] %}{% set _ = found.append(2) %}a: {{ found }}"
    assert load_specification(text, "t").plain() == {"a": [1, 2]}
    assert "TIMELOOP_SETTING" not in os.environ


def test_macros_and_comments_of_jinja(tmp_path):
    (tmp_path / "macros.j2").write_text("{% macro twice(x) %}{{ 2 * x }}{% endmacro %}")
    text = "{# nothing #}{% import 'macros.j2' as m %}a: {{ m.twice(4) }}"
    assert load_specification(text, str(tmp_path / "t.yaml")).plain() == {"a": 8}


def test_a_relative_name_finds_what_an_absolute_one_finds(tmp_path, monkeypatch):
    (tmp_path / "machine" / "inc").mkdir(parents=True)
    (tmp_path / "machine" / "inc" / "part.yaml").write_text("a: 1")
    text = "{{ add_to_path(cwd() ~ '/inc') }}\nx: {{ include('part.yaml', 'a') }}\nall: {{ find_paths('*.yaml') }}"
    monkeypatch.chdir(tmp_path)
    for name in ("machine/top.yaml", str(tmp_path / "machine" / "top.yaml")):
        tree = load_specification(text, name).plain()
        assert tree == {"x": 1, "all": [str(tmp_path / "machine" / "inc" / "part.yaml")]}


def test_include_tags_of_yaml(tmp_path):
    (tmp_path / "part.yaml").write_text("a: 1")
    (tmp_path / "parts").mkdir()
    for name in "ab":
        (tmp_path / "parts" / f"{name}.yaml").write_text(f"is: {name}")
    tree = load_specification("x: !include part.yaml\ny: !includedir parts", str(tmp_path / "t.yaml")).plain()
    assert tree == {"x": {"a": 1}, "y": [{"is": "a"}, {"is": "b"}]}


def test_one_of_several_files_must_be_meant(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("x: 1")
    with pytest.raises(SpecError, match="several files are meant"):
        load_specification("x: {{ include('*.yaml') }}", str(tmp_path / "t.yml"))
