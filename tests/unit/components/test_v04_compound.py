"""Compound component classes: costs as explicit sums."""

import math

import pytest
from v04_cases import ARCH, fake_estimate

from camel_plugin import components
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError

CLASSES = """\
compound_components:
  version: 0.4
  classes:
  - name: smartbuffer_RF
    attributes:
      technology: "must_specify"
      width: "must_specify"
      depth: "must_specify"
      memory_width: max(32, width)
      scale: width / memory_width
    subcomponents:
    - name: storage
      class: regfile
      area_scale: scale
      attributes: {width: memory_width}
    - name: address[0..1]
      class: adder
      attributes: {width: "ceil(log2(depth))"}
    actions:
    - &write
      name: write
      subcomponents:
      - name: storage
        actions: [{name: write, energy_scale: scale}]
      - name: address[0]
        actions: [{name: add}]
    - name: read
      subcomponents:
      - name: storage
        actions: [{name: read, energy_scale: scale}]
      - name: address[1..depth]
        actions: [{name: add}, {name: add, arguments: {x: 1}}]
    - <<: *write
      name: update
    - name: leak
      subcomponents:
      - name: storage
        actions: [{name: leak, energy_scale: 0.5}]
      - name: address[0..1]
        actions: [{name: leak}]
"""


@pytest.fixture(autouse=True)
def _fake_components(monkeypatch):
    monkeypatch.setattr(components, "estimate", fake_estimate)


def machine(classes=CLASSES):
    return read_machine([("arch.yaml", ARCH), ("components.yaml", classes)])


def test_energies_areas_and_leakage_are_sums_over_the_subcomponents():
    """oreg is 24 bit wide and 16 deep; a regfile read costs 0.5 pJ, a write twice that, an adder 0.1 pJ."""
    oreg = machine().storage("oreg")
    scale = 24 / 32
    assert math.isclose(oreg.energy.read_J, scale * 0.5e-12 + 16 * 2 * 0.1e-12)
    assert math.isclose(oreg.energy.write_J, scale * 1e-12 + 0.1e-12)
    assert oreg.energy.update_J == oreg.energy.write_J
    assert math.isclose(oreg.energy.leakage_J_per_cycle, (0.5 * 1e-3 + 2 * 2e-6) * 2e-9)
    assert math.isclose(oreg.area_m2, scale * 2e-9 + 2 * 3e-11)


def test_a_compound_may_consist_of_compounds():
    outer = """\
  - name: smartbuffer_RF
    subcomponents:
    - {name: inner, class: leaf, attributes: {width: width}}
    actions:
    - {name: read, subcomponents: [{name: inner, actions: [{name: get, repeat: 3, energy_scale: 2}]}]}
    - {name: write, subcomponents: []}
  - - name: leaf
      attributes: {technology: "must_specify"}
      subcomponents:
      - {name: "cell[1..width]", class: regfile, energy_scale: 2, attributes: {width: 1}}
      actions:
      - {name: get, subcomponents: [{name: "cell[1..width]", actions: [{name: read}]}]}
"""
    oreg = machine("components:\n  classes:\n" + outer).storage("oreg")
    assert math.isclose(oreg.energy.read_J, 3 * 24 * 2 * 0.5e-12)
    assert oreg.energy.write_J == oreg.energy.update_J == oreg.energy.leakage_J_per_cycle == 0
    assert math.isclose(oreg.area_m2, 24 * 2e-9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("class: regfile", "class: regfil", "did you mean 'regfile'"),
        ("class: regfile", "class: smartbuffer_RF", "contains itself"),
        ("{width: memory_width}", "{with: memory_width}", "attributes.width: this attribute is needed"),
        ("{name: read, energy", "{name: reed, energy", "unknown action (got 'reed'); did you mean 'read'"),
        ("address[1..depth]", "adress[1..depth]", "unknown subcomponent (got 'adress'); did you mean 'address'"),
        ("address[1..depth]", "address[1..dept]", "nothing is called 'dept'; did you mean 'depth'"),
        ("address[1..depth]", "address[9..2]", "the range is empty"),
        ("max(32, width)", "max(32, widht)", "nothing is called 'widht'"),
        ("area_scale: scale", "area_share: scale", "unknown key (got 'area_share'); did you mean 'area_scale'"),
        ("energy_scale: 0.5", "energy_scale: -1", "must be at least 0"),
        ("    - name: read", "    - nam: read", "unknown key (got 'nam')"),
    ],
)
def test_mistakes_are_found_where_they_stand(old, new, message):
    text = CLASSES.replace(old, new, 1)
    line = text[: text.index(new)].count("\n") + 1
    with pytest.raises(SpecError) as error:
        machine(text)
    assert str(error.value).startswith(f"components.yaml:{line}: ")
    assert message in str(error.value)


def test_an_attribute_that_the_class_needs_is_asked_of_its_user():
    with pytest.raises(SpecError) as error:
        machine(CLASSES.replace("      depth: ", "      height: "))
    user = "attributes: {depth: 16"
    assert error.value.line == ARCH[: ARCH.index(user)].count("\n") + 1
    assert "height is missing, class 'smartbuffer_RF' (components.yaml:4) needs it" in str(error.value)


def test_a_class_is_defined_once():
    with pytest.raises(SpecError, match=r"b.yaml:4.*defined already in a.yaml:4"):
        read_machine([("a.yaml", CLASSES), ("b.yaml", CLASSES.replace("0.5}", "0.6}")), ("arch.yaml", ARCH)])
    assert read_machine([("a.yaml", CLASSES), ("b.yaml", CLASSES), ("arch.yaml", ARCH)])


def test_instances_go_down_to_the_parts(monkeypatch):
    """Accelergy multiplies leakage and area of every part by ``n_instances``, and hands that down."""
    seen = []

    def watched(kind, attributes):
        seen.append((kind, attributes.get("n_instances")))
        return fake_estimate(kind, attributes)

    monkeypatch.setattr(components, "estimate", watched)
    arch = ARCH.replace(
        "{depth: 16, width: 24, datawidth: 24}", "{depth: 16, width: 24, datawidth: 24, n_instances: 3}"
    )
    read_machine([("arch.yaml", arch), ("components.yaml", CLASSES)])
    assert ("regfile", 3) in seen
    assert ("adder", 3) in seen
