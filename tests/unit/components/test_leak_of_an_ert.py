"""An ERT whose ``leak`` of an eDRAM holds worst-case refresh, as our plug-in for Accelergy writes it by default."""

import pytest

from camel_plugin.components import estimate, refresh_power
from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import SpecError

CYCLE_S = 2e-9
ATTRIBUTES = {"technology": "16nm", "depth": 1024, "width": 54, "temperature": 100}
MACHINE = """
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip, attributes: {technology: "16nm", temperature: 100, global_cycle_seconds: 2e-9}}
  - !Component {name: dram, class: DRAM, attributes: {type: "LPDDR4", width: 54, datawidth: 6}}
  - !Component {name: buffer, class: storage, subclass: edram, attributes: {depth: 1024, width: 54, datawidth: 6%s}}
  - !Component {name: mac, class: intmac, attributes: {width: 16}}
"""
ERT = """
ERT:
  version: "0.4"
  tables:
  - name: chip.buffer[1..1]
    actions:
    - {name: read, arguments: {}, energy: 1.0}
    - {name: write, arguments: {}, energy: 1.0}
    - {name: leak, arguments: {}, energy: %s}
"""
COST = estimate("edram", ATTRIBUTES)
STATIC_PJ = COST.leakage_W * CYCLE_S * 1e12
REFRESH_PJ = refresh_power(COST.edram) * CYCLE_S * 1e12
NOTE = "buffer: leak of the ERT, taken to hold no refresh"


def resolved(tmp_path, leak_pJ: float, policy: str):
    (tmp_path / "ERT.yaml").write_text(ERT % f"{leak_pJ:.6g}")
    return read_machine([("arch.yaml", MACHINE % policy)], ert=tmp_path / "ERT.yaml", name="small", fill_ert=True)


@pytest.mark.parametrize(
    ("leak_pJ", "policy", "expected_pJ", "noted"),
    [
        (STATIC_PJ + REFRESH_PJ, "", STATIC_PJ, False),
        (STATIC_PJ, "", STATIC_PJ, False),
        (STATIC_PJ + REFRESH_PJ, "worst_case", STATIC_PJ, False),
        (STATIC_PJ, "worst_case", STATIC_PJ, False),
        (STATIC_PJ, "none", STATIC_PJ, False),
        # Another leakage than the model's: what the policy says, and a note where there is none.
        (3 * STATIC_PJ + REFRESH_PJ, "worst_case", 3 * STATIC_PJ, False),
        (3 * STATIC_PJ + REFRESH_PJ, "none", 3 * STATIC_PJ + REFRESH_PJ, False),
        (3 * STATIC_PJ + REFRESH_PJ, "", 3 * STATIC_PJ + REFRESH_PJ, True),
        (0.5 * REFRESH_PJ, "", 0.5 * REFRESH_PJ, False),
    ],
)
def test_refresh_is_not_accounted_again(tmp_path, leak_pJ, policy, expected_pJ, noted):
    machine = resolved(tmp_path, leak_pJ, f', refresh_policy: "{policy}"' if policy else "")
    leak_J = machine.storage("buffer").energy.leakage_J_per_cycle
    assert leak_J * 1e12 == pytest.approx(expected_pJ, rel=1e-3)
    assert (NOTE in machine.unconfirmed) == noted


def test_a_leak_that_cannot_hold_the_refresh_it_is_said_to(tmp_path):
    with pytest.raises(SpecError, match=r"ERT.yaml:5: .*leak of buffer cannot hold .*worst-case.*none"):
        resolved(tmp_path, 0.5 * REFRESH_PJ, ', refresh_policy: "worst_case"')
