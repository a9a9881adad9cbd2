"""Whether the user's Accelergy finds our estimators, by asking it."""

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from camel_plugin.components.resolve import read_machine
from camel_plugin.errors import EngineError
from camel_plugin.interop.accelergy.architecture import write_accelergy
from camel_plugin.spec.machine import Machine

COMPONENTS = """
architecture:
  version: 0.4
  nodes:
  - !Container
    name: chip
    attributes: {technology: "16nm", temperature: 100, global_cycle_seconds: 2e-9}
  - !Component
    name: buffer
    class: storage
    subclass: edram
    attributes: {depth: 1024, width: 54, datawidth: 6, row_bits: 58}
  - !Component {name: mac, class: mac, subclass: bfp_mac}
"""
ANSWERS = {"buffer": "Edram", "mac": "BfpMac"}
TIMEOUT_S = 60.0
PRINTED = 1e-5
"""Accelergy prints six digits."""


def ask(accelergy: str) -> str:
    """``ok`` and the energy of a read, if the program at this path answers with our estimators.

    Raises:
        EngineError: it failed, or another estimator answered; says who, or why.
    """
    machine = read_machine([("components.yaml", COMPONENTS)], name="chip")
    with tempfile.TemporaryDirectory(prefix="camel-accelergy-") as folder:
        Path(folder, "components.yaml").write_text(write_accelergy(machine), encoding="utf-8")
        try:
            ran = subprocess.run(  # noqa: S603
                [accelergy, "components.yaml", "-o", "."],
                cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise EngineError(f"{accelergy}: {error}") from error
        written = Path(folder, "ERT_summary.yaml")
        # Accelergy exits well after some of its failures, and leaves empty files.
        if not written.is_file() or not (text := written.read_text(encoding="utf-8").strip()):
            unknown = re.search(r"Can not find an energy estimator for \w+", ran.stdout + ran.stderr)
            raise EngineError(
                unknown[0] if unknown else f"accelergy exited with {ran.returncode} and wrote no energies"
            )
    return _checked(yaml.safe_load(text)["ERT_summary"]["table_summary"], machine)


def _checked(tables: list[dict[str, Any]], machine: Machine) -> str:
    found = {table["name"].partition("[")[0].rpartition(".")[2]: table for table in tables}
    for name, estimator in ANSWERS.items():
        who = found[name]["primitive_estimation(s)"][0]["estimator"]
        if who != estimator:
            raise EngineError(f"{who} answers for {name}, not {estimator}")
    ours = machine.storage("buffer").energy.read_J * 1e12
    theirs = next(float(action["energy"]) for action in found["buffer"]["actions"] if action["name"] == "read")
    if abs(theirs - ours) > PRINTED * ours:
        raise EngineError(f"a read of its eDRAM takes {theirs:g} pJ, here {ours:g}: it has another version of us")
    return f"ok: its edram and bfp_mac are ours, {theirs:g} pJ a read"
