"""Where each energy comes from, and energy reference tables that do not fit their machine."""

import json

import pytest
from v04_cases import ARCH, fake_estimate

from camel_plugin import components
from camel_plugin.components.machines import load_machine
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError

STORAGES = ("dram", "glb", "wreg", "oreg")
ROWS = {
    **{f"system.{name}[1..4]": {"read": 1, "write": 2, "update": 3, "leak": 4} for name in STORAGES},
    "system.mac[1..32]": {"compute": 5, "leak": 6},
}


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Writes an ERT of rows and reads the small machine with it."""
    monkeypatch.setattr(components, "estimate", fake_estimate)

    def read(rows, arch=ARCH, **options):
        path = tmp_path / "ERT.yaml"
        tables = [
            {"name": name, "actions": [{"name": action, "energy": pJ} for action, pJ in actions.items()]}
            for name, actions in rows.items()
        ]
        path.write_text(json.dumps({"ERT": {"tables": tables}}))
        return read_machine([("a.yaml", arch)], ert=path, **options)

    return read


def without(name):
    return {key: value for key, value in ROWS.items() if key != name}


def test_scales_are_in_a_table_already(table):
    arch = ARCH.replace("class: regfile", "class: regfile\n      energy_scale: 2").replace(
        "class: intmac", "class: intmac\n    energy_scale: 3"
    )
    machine = table(ROWS, arch)
    assert machine.storage("wreg").energy.read_J == 1e-12
    assert machine.storage("wreg").energy.leakage_J_per_cycle == 4e-12
    assert machine.compute.energy_J == 5e-12
    estimated = read_machine([("a.yaml", arch)])
    assert estimated.storage("wreg").energy.read_J == pytest.approx(2 * 0.5e-12)
    assert estimated.compute.energy_J == pytest.approx(3e-12)


def test_a_component_without_a_row_is_refused_with_the_nearest_row(table):
    rows = {**without("system.wreg[1..4]"), "system.wregs[1..4]": ROWS["system.wreg[1..4]"]}
    with pytest.raises(SpecError, match=r"a.yaml:\d+: .*no row for this component \(got 'wreg'\).*'wregs'"):
        table(rows)


def test_a_row_without_a_component_is_refused_with_the_nearest_component(table):
    rows = {**ROWS, "system.glbb[1..1]": ROWS["system.glb[1..4]"]}
    with pytest.raises(SpecError, match=r"ERT.yaml:1: .*no component.*\(got 'glbb'\); did you mean 'glb'"):
        table(rows)


def test_rows_of_the_fanouts_between_are_no_strangers(table):
    assert table({**ROWS, "system.inter_pe_spatial[1..1]": {"read": 0}, "system.pe[1..1]": {"read": 0}})


def test_a_table_may_be_filled_up_if_asked(table):
    rows = {**without("system.oreg[1..4]"), "system.noc[1..1]": {"read": 1}}
    machine = table(rows, fill_ert=True)
    assert machine.storage("oreg").energy.read_J == 0.25e-12
    assert "oreg: not in the energy reference table, so estimated here" in machine.unconfirmed
    assert "row noc of the energy reference table belongs to no component" in machine.unconfirmed


def test_a_table_without_rows_prices_nothing(table):
    with pytest.raises(SpecError, match="has no row for this component"):
        table({})
    assert "area: not in" not in " ".join(table({}, fill_ert=True).unconfirmed)


def test_a_row_is_named_as_the_source(table):
    machine = table(ROWS)
    assert machine.storage("dram").energy_source == "ERT row system.dram[1..4]"
    assert machine.compute.energy_source == "ERT row system.mac[1..32]"


def test_our_machines_name_our_models():
    camel = load_machine("camel")
    sources = {storage.name: storage.energy_source for storage in camel.storages}
    assert sources == {
        "dram": "built-in model: packed_dram",
        "act_edram": "built-in model: edram",
        "w_sram": "built-in model: logic_sram",
        "oreg": "built-in model: logic_regfile",
        "wreg": "built-in model: logic_regfile",
    }
    assert camel.compute.energy_source == "built-in model: bfp_mac"
    assert camel.vector is not None
    assert camel.vector.energy_source == "built-in model: vector_alu"


STOCK = """\
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip, attributes: {technology: "NODE", global_cycle_seconds: 1e-9}}
  - !Component {name: dram, class: DRAM, attributes: {width: 64, datawidth: 8}}
  - !Component {name: glb, class: smartbuffer_SRAM, attributes: {width: 64, depth: 1024, datawidth: 8}}
  - !Component {name: reg, class: storage, subclass: aladdin_register, attributes: {width: 8, depth: 1, datawidth: 8}}
  - !Component {name: mac, class: CLASS, attributes: {multiplier_width: 8, adder_width: 16}}
"""


def test_a_stock_machine_is_priced_by_accelergys_rules_without_a_note():
    machine = read_machine([("a.yaml", STOCK.replace("NODE", "45nm").replace("CLASS", "intmac"))])
    assert [storage.energy_source for storage in machine.storages] == [
        "Accelergy's rules (DRAM by type)",
        "Accelergy's rules (Aladdin tables); Accelergy's rules (CACTI table)",
        "Accelergy's rules (library)",
    ]
    assert machine.compute.energy_source == "Accelergy's rules (library)"
    assert machine.unconfirmed == ()


def test_what_accelergy_could_not_price_is_noted():
    """Its Aladdin plug-in has 40 and 45 nm only, and no plug-in has a class ``mac``."""
    machine = read_machine([("a.yaml", STOCK.replace("NODE", "65nm").replace("CLASS", "mac"))])
    assert any(note.startswith("glb: Accelergy has no estimator for intadder at 65 nm") for note in machine.unconfirmed)
    assert any("have no class mac" in note for note in machine.unconfirmed)
    assert machine.compute.energy_source == "built-in model: integer_mac"


def test_a_storage_has_the_two_banks_of_the_front_end():
    """Timeloop's front end hands ``n_banks: 2`` to Accelergy where a storage does not say."""
    text = STOCK.replace("NODE", "45nm").replace("CLASS", "intmac").replace("smartbuffer_SRAM", "SRAM")
    two, one = (
        read_machine([("a.yaml", text.replace("depth: 1024", depth))]).storage("glb").energy
        for depth in ("depth: 1024", "depth: 1024, n_banks: 1")
    )
    assert two == components_energy(2, 1e-9)
    assert one == components_energy(1, 1e-9)
    assert one != two


def components_energy(banks, cycle_s):
    from camel_plugin.spec.machine import StorageEnergy

    cost = components.estimate("SRAM", {"technology": "45nm", "width": 64, "depth": 1024, "n_banks": banks})
    actions = cost.actions_J
    return StorageEnergy(actions["read"], actions["write"], actions["update"], cost.leakage_W * cycle_s)
