"""Record what Accelergy's own command line makes of a rendered machine and of action counts.

Needs ``accelergy`` on PATH, camel-plugin installed beside it, and its CACTI plug-in:

    python scripts/record_accelergy.py --arch camel tests/recorded/accelergy-camel.tar.xz

The archive holds the two files given, the console and what Accelergy wrote; places on this computer are written as
``$PREFIX`` and ``~``. tests/integration/test_accelergy_command.py compares it with the component models.
"""

from __future__ import annotations

import argparse
import subprocess
import tarfile
import tempfile
from pathlib import Path

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.timeloop.tools import program
from camel_plugin.interop.accelergy.architecture import write_accelergy
from camel_plugin.spec.machine import Compute, Fanout, Machine

STORAGE_COUNTS = {"read": 1000, "write": 100, "update": 10, "leak": 500}
COMPUTE_COUNTS = {"compute": 9000, "leak": 300}
KEPT = ("architecture.yaml", "counts.yaml", "console.log", "ERT.yaml", "ERT_summary.yaml", "energy_estimation.yaml")


def main() -> None:
    """Run Accelergy and pack what it wrote."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--arch", default="camel")
    arguments.add_argument("archive", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_accelergy(load_machine(options.arch), folder)
        with tarfile.open(options.archive, "w:xz") as archive:
            for path in sorted(folder.rglob("*")):
                if path.name in KEPT:
                    archive.add(path, path.name)


def run_accelergy(machine: Machine, folder: Path) -> None:
    """Leave input, console and output of a run in ``folder`` (CalledProcessError if it fails)."""
    (folder / "architecture.yaml").write_text(write_accelergy(machine), encoding="utf-8")
    (folder / "counts.yaml").write_text(write_counts(machine), encoding="utf-8")
    accelergy = program("accelergy")
    ran = subprocess.run(  # noqa: S603
        [accelergy, "architecture.yaml", "counts.yaml", "-o", "."],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True,
    )  # fmt: skip
    console = ran.stdout.replace(str(Path(accelergy).resolve().parents[1]), "$PREFIX").replace(str(Path.home()), "~")
    (folder / "console.log").write_text(console, encoding="utf-8")


def write_counts(machine: Machine) -> str:
    """The same action counts for every storage, others for the compute unit."""
    lines = ["action_counts:", '  version: "0.4"', "  subtree:", f"  - name: {machine.name}", "    local:"]
    for node in machine.nodes:
        if isinstance(node, Fanout):
            continue
        lines += [f"    - name: {node.name}[1..{machine.instances(node.name)}]", "      action_counts:"]
        counts = COMPUTE_COUNTS if isinstance(node, Compute) else STORAGE_COUNTS
        lines += [f"      - {{name: {action}, counts: {count}}}" for action, count in counts.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
