"""Rendering templates: what a template may see and reach, and how its mistakes are reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from camel_plugin.components.machines import render_machine
from camel_plugin.errors import SpecError, UnknownNameError


def machine(folder: Path, template: str, name: str = "mine.yaml.j2", parameters: str = "rows: 4") -> str:
    (folder / name).write_text(template)
    path = folder / "mine.yaml"
    path.write_text(f"template: {name}\nparameters: {{{parameters}}}\n")
    return str(path)


def refused(folder: Path, template: str, parameters: str = "rows: 4") -> SpecError:
    with pytest.raises(SpecError) as caught:
        render_machine(machine(folder, template, parameters=parameters))
    return caught.value


def test_values_are_written_as_yaml(tmp_path: Path) -> None:
    path = machine(
        tmp_path, "{{ a }} {{ b }} {{ c }} {{ d | quoted }}\n", parameters='a: 2e-9, b: 4, c: true, d: "x\\"y"'
    )
    assert render_machine(path) == '2e-09 4 true "x\\"y"\n'


def test_a_string_cannot_break_out_of_its_quotes(tmp_path: Path) -> None:
    path = machine(tmp_path, "a: {{ rows | quoted }}\n", parameters='rows: "x\\nb: 1"')
    assert render_machine(path) == 'a: "x\\nb: 1"\n'


def test_missing_variable_names_template_line_and_nearest_parameter(tmp_path: Path) -> None:
    error = refused(tmp_path, "a: {{ rows }}\n\nb: {{ row }}\n")
    assert (error.file, error.line) == (str(tmp_path / "mine.yaml.j2"), 3)
    assert "'row' is undefined; did you mean 'rows'?" in str(error)


def test_syntax_error_names_template_and_line(tmp_path: Path) -> None:
    error = refused(tmp_path, "a: 1\n{% if rows %}\n")
    assert error.file == str(tmp_path / "mine.yaml.j2")
    assert error.line == 2
    assert "broken template" in str(error)


@pytest.mark.parametrize(
    "body", ["{{ 1 // (rows - 4) }}", "{{ rows.__class__.__mro__ }}", "{{ rows + 'a' }}", "{{ rows() }}"]
)
def test_what_goes_wrong_inside_a_template_names_its_line(tmp_path: Path, body: str) -> None:
    error = refused(tmp_path, "a: 1\nb: " + body + "\n")
    assert (error.file, error.line) == (str(tmp_path / "mine.yaml.j2"), 2)
    assert "template fails" in str(error)


def test_sandbox_bounds_loops(tmp_path: Path) -> None:
    assert "template fails" in str(refused(tmp_path, "{% for i in range(rows * 10 ** 9) %}x{% endfor %}"))


@pytest.mark.parametrize("name", ["../secret.j2", "/etc/passwd", "a/../../secret.j2", "~/secret.j2", "..\\secret.j2"])
def test_template_outside_the_folders_is_refused(tmp_path: Path, name: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.j2").write_text("secret")
    (inner / "mine.yaml").write_text(f"template: '{name}'\n")
    with pytest.raises(SpecError, match="outside the template folders"):
        render_machine(str(inner / "mine.yaml"))


@pytest.mark.parametrize("include", ["{% include '../secret.j2' %}", "{% include ['..', 'secret.j2'] | join('/') %}"])
def test_include_from_outside_is_refused(tmp_path: Path, include: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.j2").write_text("secret")
    assert "outside the template folders" in str(refused(inner, "{{ rows }}" + include))


def test_symbolic_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.j2").write_text("secret")
    (inner / "link.j2").symlink_to(tmp_path / "secret.j2")
    assert "no such template" in str(refused(inner, "{{ rows }}{% include 'link.j2' %}"))


def test_unknown_template_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("template: training_aray.yaml.j2\n")
    with pytest.raises(SpecError, match=r"did you mean 'training_array\.yaml\.j2'"):
        render_machine(str(tmp_path / "mine.yaml"))


def test_parameter_that_no_template_reads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'rows'") as caught:
        render_machine(machine(tmp_path, "{{ rows }}", parameters="rows: 4, rowz: 5"))
    assert (caught.value.line, caught.value.field) == (2, "parameters.rowz")


def test_parameter_read_by_an_included_template_counts(tmp_path: Path) -> None:
    (tmp_path / "part.j2").write_text("{{ rows }}")
    assert render_machine(machine(tmp_path, "{% include 'part.j2' %}")) == "4"


def test_template_sees_nothing_but_the_parameters(tmp_path: Path) -> None:
    assert "'environment' is undefined" in str(refused(tmp_path, "{{ rows }}{{ environment }}"))
