"""The plug-in by its path, and energies of compound components, with the Accelergy that is present."""

import shutil
import subprocess

import pytest

from camel_plugin.components import estimate
from camel_plugin.components.resolve import read_machine
from camel_plugin.engine.timeloop import tools
from camel_plugin.engine.timeloop.energies import with_accelergy_energies
from camel_plugin.errors import EngineError
from camel_plugin.files.v04.ert import read_ert
from camel_plugin.interop.accelergy import plug_in_path
from camel_plugin.interop.accelergy.architecture import write_accelergy

EDRAM = {"technology": "16nm", "depth": 1024, "width": 54, "row_bits": 58, "voltage": "700mV"}
COMPOUND = """
variables: {version: 0.4, technology: "16nm", global_cycle_seconds: 1e-9, temperature: 25}
components:
  version: 0.4
  classes:
  - name: pair
    attributes: {technology: must_specify, depth: must_specify, width: must_specify, row_bits: 58, voltage: 0.7}
    subcomponents:
    - name: left
      class: edram
      attributes: {technology: technology, depth: depth, width: width, row_bits: row_bits, voltage: voltage}
    - name: right
      class: logic_regfile
      attributes: {technology: technology, depth: 1, width: width}
    actions:
    - {name: read, subcomponents: [{name: left, actions: [{name: read}]}, {name: right, actions: [{name: write}]}]}
    - {name: write, subcomponents: [{name: left, actions: [{name: write}]}]}
    - {name: update, subcomponents: [{name: left, actions: [{name: write}]}]}
    - {name: leak, subcomponents: [{name: left, actions: [{name: leak}]}]}
architecture:
  version: 0.4
  nodes:
  - !Component {name: back, class: storage, subclass: edram, attributes: {depth: 1024, width: 54, datawidth: 6}}
  - !Component {name: front, class: storage, subclass: pair, attributes: {depth: 1024, width: 54, datawidth: 6}}
  - !Component {name: mac, class: intmac, subclass: integer_mac, attributes: {datawidth: 8}}
"""
NAMED = f"globals: {{version: 0.4, accelergy_plug_ins: [{plug_in_path()}]}}\n"


@pytest.fixture(autouse=True)
def accelergy():
    if (found := shutil.which("accelergy")) is None:
        pytest.skip(f"no accelergy is on PATH; {tools.CONTAINER}")
    return found


def test_the_file_named_in_the_input(accelergy, tmp_path):
    machine = read_machine(
        [("arch.yaml", COMPOUND.replace("depth: 1024,", 'depth: 1024, voltage: "700mV", row_bits: 58,', 1))]
    )
    (tmp_path / "arch.yaml").write_text(write_accelergy(machine) + NAMED)
    subprocess.run([accelergy, "arch.yaml", "-o", "."], cwd=tmp_path, check=True, capture_output=True)
    table = read_ert(tmp_path / "ERT.yaml")["back"].energies_J
    expected = estimate("edram", EDRAM).actions_J
    assert table["read"] == pytest.approx(expected["read"], rel=1e-5)
    assert "refresh" not in table


def test_refresh_is_counted_where_the_leakage_holds_none(accelergy, tmp_path):
    counted = COMPOUND.replace("depth: 1024,", 'depth: 1024, refresh_policy: "none",', 1)
    (tmp_path / "arch.yaml").write_text(write_accelergy(read_machine([("arch.yaml", counted)])) + NAMED)
    subprocess.run([accelergy, "arch.yaml", "-o", "."], cwd=tmp_path, check=True, capture_output=True)
    table = read_ert(tmp_path / "ERT.yaml")["back"].energies_J
    cost = estimate("edram", {"technology": "16nm", "depth": 1024, "width": 54})
    assert table["refresh"] == pytest.approx(cost.edram.row_energy_J, rel=1e-5)
    assert table["leak"] == pytest.approx(cost.leakage_W * 1e-9, rel=1e-5)


def test_energies_of_a_compound_component(accelergy):
    try:
        tools.front_end()
    except EngineError as error:
        pytest.skip(str(error))
    machine = with_accelergy_energies(read_machine([("arch.yaml", COMPOUND + NAMED)]))
    read_J = estimate("edram", EDRAM).actions_J["read"]
    read_J += estimate("logic_regfile", {"technology": "16nm", "depth": 1, "width": 54}).actions_J["write"]
    assert machine.storage("front").energy.read_J == pytest.approx(read_J, rel=1e-5)
