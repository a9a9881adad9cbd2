"""Energies from Accelergy behind a fake one, which fails as the real one does."""

import re
import stat
import sys
from dataclasses import replace

import pytest

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.timeloop import tools
from camel_plugin.engine.timeloop.energies import with_accelergy_energies
from camel_plugin.errors import EngineError
from camel_plugin.files.v04 import write_ert
from camel_plugin.spec.machine import Compute, Storage

CAMEL = load_machine("camel")
ESTIMATORS = {"dram": "CactiDRAM", "act_edram": "Edram", "w_sram": "CactiSRAM", "mac": "BfpMac"}
NAMES = [node.name for node in CAMEL.nodes if isinstance(node, Storage | Compute)]


def doubled(machine):
    """What the fake Accelergy says: twice the built-in energies."""
    nodes = []
    for node in machine.nodes:
        if isinstance(node, Storage):
            each = node.energy
            energy = replace(each, read_J=2 * each.read_J, write_J=2 * each.write_J, update_J=2 * each.update_J)
            node = replace(node, energy=replace(energy, leakage_J_per_cycle=2 * each.leakage_J_per_cycle))
        elif isinstance(node, Compute):
            node = replace(node, energy_J=2 * node.energy_J)
        nodes.append(node)
    return replace(machine, nodes=tuple(nodes))


def summary(names, estimators=ESTIMATORS):
    lines = ["ERT_summary:", "  version: '0.4'", "  table_summary:"]
    for name in names:
        lines += [f"  - name: chip.{name}[1..1]", "    primitive_estimation(s):"]
        lines += [f"    - chip.{name}[1..1]: {{estimator: {estimators.get(name, 'Regfile')}}}"]
    return "\n".join(lines) + "\n"


def compound_summary(names, estimators=ESTIMATORS, parts=("CactiSRAM", "Aladdin_table")):
    """With ``w_sram`` in the form of a compound component: an entry for each action, with those of its parts."""
    actions = "".join(
        f"    - action_name: {action}\n      arguments: {{}}\n      energy: 1.0\n      subaction_estimations:\n"
        + "".join(
            f"      - {{subcomponent_name: part{i}, energy: 0.5, estimator: {part}}}\n" for i, part in enumerate(parts)
        )
        for action in ("read", "write")
    )
    text = summary(names, estimators)
    primitive = f"    - chip.w_sram[1..1]: {{estimator: {estimators['w_sram']}}}\n"
    assert primitive in text
    return text.replace(primitive, actions)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("bin", "good", "jobs"):
        (tmp_path / name).mkdir()
    (tmp_path / "good" / "ERT.yaml").write_text(write_ert(doubled(CAMEL)))
    (tmp_path / "good" / "ERT_summary_verbose.yaml").write_text(summary(NAMES))
    fake = tmp_path / "front_end.py"
    fake.write_text("import sys\nopen(sys.argv[2], 'w').write(''.join(open(name).read() for name in sys.argv[3:]))\n")
    monkeypatch.setattr(tools, "FRONT_END", fake)
    monkeypatch.setattr(tools, "front_end", lambda: tools.FrontEnd(sys.executable, "fake"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "jobs"))
    accelergy(tmp_path, f"cp -r '{tmp_path}/good' out")
    return tmp_path


def accelergy(folder, script):
    path = folder / "bin" / "accelergy"
    path.write_text(f"#!/bin/sh\ngrep -q 'subclass: edram' input.yaml || exit 4\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def fails(folder, match):
    with pytest.raises(EngineError, match=match) as caught:
        with_accelergy_energies(CAMEL)
    (job,) = (folder / "jobs").iterdir()
    assert str(job) in str(caught.value)


def test_their_energies_replace_ours(folder):
    machine = with_accelergy_energies(CAMEL)
    for ours, theirs in zip(CAMEL.nodes, machine.nodes, strict=True):
        if isinstance(ours, Storage):
            assert isinstance(theirs, Storage)
            assert theirs.energy.read_J == pytest.approx(2 * ours.energy.read_J)
            assert theirs.energy.write_J == pytest.approx(2 * ours.energy.write_J)
            # Worst-case refresh is in their leakage of an eDRAM; ours is accounted after mapping.
            factor = 1 if ours.edram else 2
            assert theirs.energy.leakage_J_per_cycle == pytest.approx(factor * ours.energy.leakage_J_per_cycle)
            assert (theirs.depth, theirs.area_m2, theirs.edram) == (ours.depth, ours.area_m2, ours.edram)
    assert machine.compute.energy_J == pytest.approx(2 * CAMEL.compute.energy_J)
    assert not list((folder / "jobs").iterdir())


def test_who_said_them_is_named(folder):
    file = folder / "good" / "ERT_summary_verbose.yaml"
    compound = """\
  - name: chip.w_sram[1..1]
    primitive_estimation(s):
    - action_name: read
      energy: 1.0
      subaction_estimations:
      - {subcomponent_name: storage, estimator: CactiSRAM}
      - {subcomponent_name: "address_generators[1]", estimator: Aladdin_table}
    - {action_name: write, energy: 1.0, subaction_estimations: [{subcomponent_name: storage, estimator: CactiSRAM}]}
"""
    file.write_text(re.sub(r"  - name: chip.w_sram.*\n.*\n.*\n", compound, file.read_text()))
    machine = with_accelergy_energies(CAMEL)
    assert machine.storage("w_sram").energy_source == "installed Accelergy (CactiSRAM, Aladdin_table)"
    assert machine.storage("act_edram").energy_source == "installed Accelergy (Edram)"
    assert machine.compute.energy_source == "installed Accelergy (BfpMac)"


def test_accelergy_missing_on_path(folder):
    (folder / "bin" / "accelergy").unlink()
    with pytest.raises(EngineError, match=r"accelergy is not on PATH; the container .*camel doctor"):
        with_accelergy_energies(CAMEL)


def test_a_dummy_estimator(folder):
    file = folder / "good" / "ERT_summary_verbose.yaml"
    file.write_text(file.read_text().replace("estimator: Edram", "estimator: dummy"))
    fails(folder, "energy of act_edram comes from dummy")


def test_a_compound_component(folder):
    (folder / "good" / "ERT_summary_verbose.yaml").write_text(compound_summary(NAMES))
    energy = with_accelergy_energies(CAMEL).storage("w_sram").energy
    assert energy.read_J == pytest.approx(2 * CAMEL.storage("w_sram").energy.read_J)


def test_a_dummy_estimator_of_one_part_of_a_compound_component(folder):
    text = compound_summary(NAMES, parts=("CactiSRAM", "dummy"))
    (folder / "good" / "ERT_summary_verbose.yaml").write_text(text)
    fails(folder, "energy of w_sram comes from CactiSRAM, dummy")


def test_a_component_that_nobody_answered_for(folder):
    file = folder / "good" / "ERT_summary_verbose.yaml"
    file.write_text(re.sub(r"  - name: chip.wreg.*\n.*\n.*\n", "", file.read_text()))
    fails(folder, "energy of wreg comes from nobody known")


def test_a_component_that_is_left_out(folder):
    file = folder / "good" / "ERT.yaml"
    file.write_text(file.read_text().replace("camel.oreg", "camel.other"))
    fails(folder, "left oreg out")


def test_exit_0_with_empty_files(folder):
    (folder / "good" / "ERT.yaml").write_text("")
    fails(folder, "exited well but wrote no ERT.yaml")


def test_a_crash(folder):
    accelergy(folder, "echo Can not find an energy estimator for DRAM; exit 1")
    fails(folder, "status 1: Can not find an energy estimator for DRAM")


def test_a_machine_without_files(folder):
    with pytest.raises(EngineError, match=r"not read from v0\.4 files"):
        with_accelergy_energies(replace(CAMEL, yaml=""))
