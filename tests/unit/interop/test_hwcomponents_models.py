"""The hwcomponents models behind a stand-in for hwcomponents' interface; a real one is used where it is installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import camel_plugin.interop
from camel_plugin.components import estimate, refresh_power
from camel_plugin.errors import SpecError

FILE = Path(camel_plugin.interop.__file__).with_name("hwcomponents_camel.py")
EDRAM = {"width": 58, "depth": 6780, "banks": 12, "temperature": 100.0}
REFERENCE = estimate("edram", {"technology": "16nm", **EDRAM})


class ActionCost:
    def __init__(self, energy, latency, throughput):
        self.energy, self.latency, self.throughput = energy, latency, throughput


class ComponentModel:
    def __init__(self, leak_power=None, area=None, subcomponents=None):
        self.leak_power, self.area = leak_power, area


def action(func=None, bits_per_action=None):
    return func if func is not None else lambda func: func


@pytest.fixture
def models(monkeypatch):
    interface = ModuleType("hwcomponents")
    vars(interface).update(ActionCost=ActionCost, ComponentModel=ComponentModel, action=action)
    monkeypatch.setitem(sys.modules, "hwcomponents", interface)
    spec = importlib.util.spec_from_file_location("hwcomponents_camel", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_edram_costs_what_the_component_does(models):
    model = models.Edram(tech_node=16e-9, **EDRAM)
    assert model.read().energy == REFERENCE.actions_J["read"]
    assert model.write().energy == REFERENCE.actions_J["write"]
    assert model.area == REFERENCE.area_m2
    assert model.leak_power == REFERENCE.leakage_W + refresh_power(REFERENCE.edram)


def test_refresh_may_be_left_to_another_accounting(models):
    model = models.Edram(tech_node=16e-9, refresh_policy="none", **EDRAM)
    assert model.leak_power == REFERENCE.leakage_W
    assert model.refresh().energy == REFERENCE.edram.row_energy_J
    with pytest.raises(SpecError, match="in the leakage already"):
        models.Edram(tech_node=16e-9, **EDRAM).refresh()


def test_size_in_bits(models):
    given = {name: value for name, value in EDRAM.items() if name != "depth"}
    assert models.Edram(tech_node=16e-9, size=6780 * 58, **given).read().energy == REFERENCE.actions_J["read"]
    with pytest.raises(SpecError, match="multiple of the width"):
        models.Edram(tech_node=16e-9, size=6780 * 58 + 1, **given)
    with pytest.raises(SpecError, match="either depth"):
        models.Edram(tech_node=16e-9, size=6780 * 58, **EDRAM)


@pytest.mark.parametrize("name", ["yield", "yield_fraction"])
def test_yield_shortens_the_retention(models, name):
    sure = estimate("edram", {"technology": "16nm", **EDRAM, "yield": 0.99999})
    assert sure.edram.retention_s < REFERENCE.edram.retention_s
    model = models.Edram(tech_node=16e-9, **EDRAM, **{name: 0.99999})
    assert model.leak_power == sure.leakage_W + refresh_power(sure.edram)


def test_bad_attributes_are_refused(models):
    with pytest.raises(SpecError, match="refresh policy"):
        models.Edram(tech_node=16e-9, refresh_policy="worst", **EDRAM)
    with pytest.raises(SpecError, match="technology"):
        models.Edram(tech_node=16e-6, **EDRAM)


def test_attributes_that_no_parameter_takes_or_that_are_missing_are_named(models):
    with pytest.raises(TypeError, match=r"Edram has no attribute bank$"):
        models.Edram(tech_node=16e-9, bank=12, **EDRAM)
    with pytest.raises(TypeError, match=r"Edram needs width$"):
        models.Edram(tech_node=16e-9, depth=6780, width=None)


def test_bfp_mac(models):
    reference = estimate("bfp_mac", {"technology": "16nm", "group": 9})
    model = models.BfpMac(tech_node=16e-9, group=9)
    assert model.compute().energy == reference.actions_J["compute"]
    assert (model.area, model.leak_power) == (reference.area_m2, reference.leakage_W)


REAL = """
import json, sys
import accelforge
text = open(sys.argv[1]).read()
spec = accelforge.Spec.from_yaml(sys.argv[1]).calculate_component_costs()
act, mac = spec.arch.find("act"), spec.arch.find("mac")
energies = [component.actions[name].energy for component, name in ((act, "read"), (act, "write"), (mac, "compute"))]
print(json.dumps([*energies, act.leak_power]))
"""
NAMED = f'config: {{component_models: ["{FILE}"]}}'
SPECIFICATION = """
arch:
  extra_attributes_for_all_component_models: {tech_node: 16e-9}
  nodes:
  - !Memory
    name: act
    component_class: edram
    size: 6780*58
    tensors: {keep: All}
    extra_attributes_for_component_model: {width: 58, banks: 12, temperature: 100}
    actions:
    - {name: read, bits_per_action: 58}
    - {name: write, bits_per_action: 58}
  - !Compute
    name: mac
    component_class: bfp_mac
    actions:
    - {name: compute}
"""


@pytest.mark.parametrize("how", ["named", "found"])
def test_in_a_real_specification(tmp_path, how):
    """Named in the specification, or found as an installed module of hwcomponents' prefix."""
    python = os.environ.get("CAMEL_ACCELFORGE_PYTHON", sys.executable)
    needed = "accelforge, hwcomponents" + ("" if how == "named" else ", hwcomponents_camel")
    if subprocess.run([python, "-c", f"import {needed}"], capture_output=True).returncode:
        pytest.skip(f"{python} lacks {needed}: pip install 'camel-plugin[accelforge]' in a Python 3.12")
    file = tmp_path / "edram.yaml"
    file.write_text(SPECIFICATION + (NAMED if how == "named" else ""))
    environment = {**os.environ, "PYTHONPATH": str(Path(camel_plugin.__file__).parents[1])}
    answer = subprocess.run(
        [python, "-c", REAL, str(file)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    mac = estimate("bfp_mac", {"technology": "16nm"}).actions_J["compute"]
    leak_W = REFERENCE.leakage_W + refresh_power(REFERENCE.edram)
    assert json.loads(answer.stdout.splitlines()[-1]) == pytest.approx(
        [REFERENCE.actions_J["read"], REFERENCE.actions_J["write"], mac, leak_W], rel=1e-12
    )
