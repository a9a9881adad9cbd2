"""``camel model``: Timeloop v0.4 files in, JSON or a table out."""

import json

import pytest
import typer
from typer.testing import CliRunner

from camel_plugin.cli.model import model_command
from camel_plugin.errors import SpecError

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
    attributes: {width: 8, datawidth: 8, depth: 64, write_bandwidth: 0.5}
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
MAPPING = """\
mapping:
- {target: dram, type: temporal, factors: [C=1, M=1, P=4], permutation: [P, M, C]}
- {target: buf, type: temporal, factors: [C=2, M=3, P=1], permutation: [C, M, P]}
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
def files(tmp_path):
    texts = {"arch": ARCH, "problem": PROBLEM, "mapping": MAPPING, "ert": ERT}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return {name: str(tmp_path / f"{name}.yaml") for name in texts}


def run(files, *extra, options=("arch", "problem", "mapping", "ert")):
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(model_command)
    arguments = [part for name in options for part in (f"--{name}", files[name])]
    return CliRunner().invoke(app, [*arguments, *extra])


def test_json_of_a_matrix_product(files):
    """Every count by hand: 24 MACs; a new column of Inputs and Outputs for each of the 4 steps of P, Weights stay."""
    outcome = run(files, "--json")
    assert outcome.exit_code == 0, outcome.output
    result = json.loads(outcome.output)
    assert result["computes"] == 24
    buf, dram = result["levels"]["buf"]["tensors"], result["levels"]["dram"]["tensors"]
    assert dram["Weights"]["reads"] == buf["Weights"]["fills"] == 2 * 3
    assert dram["Inputs"]["reads"] == buf["Inputs"]["fills"] == 2 * 4
    assert dram["Outputs"]["updates"] == 3 * 4
    assert dram["Outputs"]["reads"] == buf["Outputs"]["fills"] == 0
    assert [buf[name]["reads"] for name in ("Weights", "Inputs", "Outputs")] == [24, 24, 24 - 3 * 4]
    assert buf["Outputs"]["updates"] == 24
    assert [buf[name]["utilized_capacity"] for name in ("Weights", "Inputs", "Outputs")] == [6, 2, 3]
    # the buffer takes (6 + 8 + 24) writes at half a word a cycle
    assert result["cycles"] == result["levels"]["buf"]["bound"] == 2 * (6 + 8 + 24)
    assert result["bound_by"] == "buf"
    assert result["utilization"] == 24 / 76
    dram_pJ = (6 + 8) / 2 * 100 + 12 / 2 * 300
    buf_pJ = (24 + 24 + 12) * 1 + (6 + 8) * 2 + 24 * 3
    leak_pJ = 76 * (1 + 0.5)
    assert result["levels"]["dram"]["energy_J"] == pytest.approx(dram_pJ * 1e-12)
    assert result["levels"]["buf"]["energy_J"] == pytest.approx(buf_pJ * 1e-12)
    assert result["levels"]["buf"]["leakage_J"] == pytest.approx(76 * 0.5e-12)
    assert result["energy_J"] == pytest.approx((dram_pJ + buf_pJ + leak_pJ + 24 * 0.25) * 1e-12)
    assert set(result["levels"]["buf"]) == {
        *("instances", "utilized_instances", "bound", "energy_J", "leakage_J", "tensors")
    }


def test_one_file_with_all_sections(files, tmp_path):
    (tmp_path / "all.yaml").write_text(ARCH + PROBLEM + MAPPING)
    everything = dict.fromkeys(files, str(tmp_path / "all.yaml")) | {"ert": files["ert"]}
    assert run(everything, "--json").output == run(files, "--json").output


def test_a_folder_of_architecture_files(files, tmp_path):
    folder = tmp_path / "design"
    folder.mkdir()
    (folder / "arch.yaml").write_text(ARCH)
    (folder / "variables.yaml").write_text('variables: {version: 0.4, technology: "45nm"}')
    assert run(files | {"arch": str(folder)}, "--json").output == run(files, "--json").output


def test_the_table_shows_the_counts(files):
    output = run(files).output
    assert "76 cycles (bound by buf), 24 MACs, utilization 31.58%" in output
    rows = {line.split()[0]: line.split()[1:] for line in output.splitlines() if line.strip()}
    assert rows["buf"][:2] == ["1/1", "76"]
    assert "Outputs" in rows
    assert "…" not in output


def test_bad_input_is_an_input_error_with_its_place(files, tmp_path):
    outcome = run(files | {"mapping": files["arch"]}, "--json")
    assert isinstance(outcome.exception, SpecError)
    assert f"{files['arch']}: no mapping is given" in str(outcome.exception)
    outcome = run(files | {"arch": str(tmp_path / "absent.yaml")})
    assert isinstance(outcome.exception, SpecError)
    assert "absent.yaml: no such file" in str(outcome.exception)


def test_rules_can_be_switched_off(tmp_path):
    """A stride of two touches 4 of the 7 words in the box of the inputs."""
    strided = PROBLEM.replace("[[C]], [[P]]]}", "[[C]], [[P, step]]]}").replace(
        "    data_spaces:", "    coefficients: [{name: step, default: 2}]\n    data_spaces:"
    )
    files = {"arch": ARCH, "problem": strided, "mapping": MAPPING.replace("P=4", "P=1").replace("M=3, P=1", "M=3, P=4")}
    arguments = []
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
        arguments += [f"--{name}", str(tmp_path / f"{name}.yaml")]
    app = typer.Typer()
    app.command()(model_command)

    def tile(*options):
        answer = CliRunner().invoke(app, [*arguments, "--json", *options], catch_exceptions=False)
        return json.loads(answer.stdout)["levels"]["buf"]["tensors"]["Inputs"]["utilized_capacity"]

    assert (tile(), tile("--without", "count-gaps")) == (2 * 7, 2 * 4)
