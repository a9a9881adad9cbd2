"""`camel doctor`: what it says of an Accelergy that has our estimators, others, or none."""

import stat

import pytest
from typer import Typer
from typer.testing import CliRunner

from camel_plugin.cli import doctor
from camel_plugin.cli.doctor import doctor_command
from camel_plugin.components.resolve import read_machine

READ_PJ = 1e12 * read_machine(
    [
        (
            "machine.yaml",
            """
architecture:
  version: 0.4
  nodes:
  - !Component
    name: buffer
    class: storage
    subclass: edram
    attributes: {technology: "16nm", temperature: 100, depth: 1024, width: 54, datawidth: 6, row_bits: 58}
  - !Component {name: mac, class: mac, subclass: bfp_mac, attributes: {technology: "16nm"}}
""",
        )
    ]
).storage("buffer").energy.read_J  # fmt: skip


def summary(read_pJ: float = READ_PJ, estimator: str = "Edram") -> str:
    return f"""\
ERT_summary:
  table_summary:
  - name: chip.buffer[1..1]
    actions: [{{name: read, energy: {read_pJ:.6g}}}]
    primitive_estimation(s): [{{name: chip.buffer, estimator: {estimator}}}]
  - name: chip.mac[1..1]
    actions: [{{name: compute, energy: 1}}]
    primitive_estimation(s): [{{name: chip.mac, estimator: BfpMac}}]
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Put a script in the place of accelergy."""

    def install(script: str) -> None:
        path = tmp_path / "accelergy"
        path.write_text(f"#!/bin/sh\ngrep -q 'subclass: edram' components.yaml || exit 4\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return install


def test_an_accelergy_with_our_estimators(fake):
    fake(f"cat > ERT_summary.yaml <<'END'\n{summary()}END")
    assert doctor.accelergy()[1].startswith("ok: its edram and bfp_mac are ours")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (f"cat > ERT_summary.yaml <<'END'\n{summary(estimator='dummy')}END", "dummy answers for buffer, not Edram"),
        (f"cat > ERT_summary.yaml <<'END'\n{summary(read_pJ=2 * READ_PJ)}END", "another version of us"),
        ("echo 'ERROR Can not find an energy estimator for edram(technology=16nm)'; exit 1", "estimator for edram"),
        ("touch ERT_summary.yaml", "exited with 0 and wrote no energies"),
    ],
)
def test_an_accelergy_without_them(fake, script, reason):
    fake(script)
    said = doctor.accelergy()[1]
    assert reason in said
    assert "install camel-plugin with the pip of" in said
    assert "estimators.py in globals" in said


def test_no_accelergy(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "container" in doctor.accelergy()[1]


def test_absent_engines_are_no_failure(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CAMEL_ACCELFORGE_PYTHON", str(tmp_path / "python"))
    app = Typer()
    app.command()(doctor_command)
    result = CliRunner().invoke(app, [], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert "timeloop-mapper is not on PATH" in result.output
    assert "ok: " in result.output


def test_a_failing_engine_is(monkeypatch):
    monkeypatch.setattr(doctor, "self_test", lambda engine: "FAILED: broken")
    app = Typer()
    app.command()(doctor_command)
    assert CliRunner().invoke(app, []).exit_code == 1
