"""``camel map``: what it prints and writes, and that ``camel model`` agrees with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from camel_plugin.cli.map import map_command
from camel_plugin.cli.model import model_command

ARCH = """\
architecture:
  version: 0.4
  nodes:
  - !Container
    name: chip
    attributes: {technology: "45nm", global_cycle_seconds: 1e-9}
  - !Component
    name: dram
    class: DRAM
    attributes: {width: 16, datawidth: 8}
  - !Component
    name: buf
    class: SRAM
    attributes: {width: 8, datawidth: 8, depth: 16}
  - !Component
    name: mac
    class: intmac
    attributes: {width: 8}
"""
PROBLEM = """\
problem:
  instance: {C: 2, M: 3, P: 4}
  shape:
    name: matmul
    dimensions: [C, M, P]
    data_spaces:
    - {name: Weights, projection: [[[C]], [[M]]]}
    - {name: Inputs, projection: [[[C]], [[P]]]}
    - {name: Outputs, projection: [[[M]], [[P]]], read_write: true}
"""
ERT = """\
ERT:
  version: '0.4'
  tables:
  - name: chip_top_level.dram[1..1]
    actions: [{name: read, energy: 100}, {name: write, energy: 9}, {name: update, energy: 300}, {name: leak, energy: 1}]
  - name: chip_top_level.buf[1..1]
    actions: [{name: read, energy: 1}, {name: write, energy: 2}, {name: update, energy: 3}, {name: leak, energy: 0.5}]
  - name: chip_top_level.mac[1..1]
    actions: [{name: compute, energy: 0.25}, {name: leak, energy: 7}]
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, text in (("arch", ARCH), ("problem", PROBLEM), ("ert", ERT)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return [part for name in ("arch", "problem", "ert") for part in (f"--{name}", str(tmp_path / f"{name}.yaml"))]


def run(command: object, *arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)  # type: ignore[type-var]
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_holds_the_evaluation_the_mapping_and_the_proof(files: list[str]) -> None:
    found = json.loads(run(map_command, *files, "--objective", "energy", "--json"))
    # 26 words fit in 16 of the buffer only in parts; each crosses the DRAM once at best, in blocks of two.
    assert found["levels"]["dram"]["tensors"]["Weights"]["reads"] == 6
    assert found["levels"]["dram"]["tensors"]["Inputs"]["reads"] == 8
    assert found["levels"]["dram"]["tensors"]["Outputs"]["updates"] == 12
    assert (found["objective"], found["optimality_gap"]) == ("energy", 0)
    assert found["value"] == found["lower_bound"] == found["energy_J"]
    assert found["evaluated"] > 0
    assert found["wall_s"] > 0


def test_out_writes_what_camel_model_reads(files: list[str], tmp_path: Path) -> None:
    found = json.loads(run(map_command, *files, "--json", "--out", str(tmp_path / "out")))
    assert json.loads((tmp_path / "out" / "stats.json").read_text()) == found
    mapping = tmp_path / "out" / "mapping.yaml"
    assert mapping.read_text() == found["mapping"]
    modelled = json.loads(run(model_command, *files, "--mapping", str(mapping), "--json"))
    assert modelled == {key: found[key] for key in modelled}
    assert found["value"] == pytest.approx(modelled["energy_J"] * modelled["cycles"] * 1e-9)


def test_table_ends_with_the_proof(files: list[str]) -> None:
    text = run(map_command, *files, "--objective", "latency", "--budget", "5")
    assert "proven optimal" in text.splitlines()[-1]
    assert "- {target: dram, type: temporal" in text
