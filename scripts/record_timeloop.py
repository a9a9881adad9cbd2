"""Record what real Timeloop makes of every distinct operation of a training step.

Needs timeloop-mapper, timeloop-model and Timeloop's front end (`camel doctor` says what is missing):

    python scripts/record_timeloop.py --arch camel --net revresnet tests/recorded/timeloop-camel-revresnet.tar.xz

The archive holds a folder for each operation: in ``mapper`` the files given to timeloop-mapper, its console, the chosen
mapping and its stats; in ``model`` the same of timeloop-model for the mapping that the native engine chose.
tests/integration/test_recorded_timeloop.py compares them with the native model.
"""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from pathlib import Path

from camel_plugin.components.machines import load_machine
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.timeloop import TimeloopEngine
from camel_plugin.schedule.residency import place, task
from camel_plugin.spec.objective import Objective
from camel_plugin.workload.load import load_network

KEPT: tuple[str, ...] = ("architecture.yaml", "problem.yaml", "mapper.yaml", "mapping.yaml", "ERT.yaml", "console.log")
KEPT += tuple(f"timeloop-{tool}.{what}" for tool in ("mapper", "model") for what in ("map.yaml", "stats.txt"))


def main() -> None:
    """Run the tools and pack what they wrote."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--arch", default="camel")
    arguments.add_argument("--net", default="revresnet")
    arguments.add_argument("--budget", type=float, default=30.0, help="seconds of timeloop-mapper for one operation")
    arguments.add_argument("--patience", type=int, default=100, help="valid mappings without an improvement")
    arguments.add_argument("archive", type=Path)
    options = arguments.parse_args()
    machine, step = load_machine(options.arch), load_network(options.net).step()
    plan = place(machine, step)
    with tempfile.TemporaryDirectory() as folder:
        done: set[str] = set()
        for operation in step.operations:
            if operation.problem is None:
                continue
            sought = task(plan, operation)
            key = sought.content
            if key in done:
                continue
            done.add(key)
            place_of = Path(folder) / operation.name.replace(":", "_")
            place_of.mkdir()
            engine = TimeloopEngine(patience=options.patience, keep=place_of)
            found = engine.map(sought, Objective.EDP, options.budget)
            next(place_of.iterdir()).rename(place_of / "mapper")
            native = NativeEngine().map(sought, Objective.EDP, 2.0)
            engine.evaluate(sought, native.mapping)
            next(path for path in place_of.iterdir() if path.name != "mapper").rename(place_of / "model")
            print(f"{operation.name}: {found.evaluated} mappings, {found.value:.3g} J s; native {native.value:.3g} J s")
        with tarfile.open(options.archive, "w:xz") as archive:
            for path in sorted(Path(folder).rglob("*")):
                if path.name in KEPT:
                    archive.add(path, path.relative_to(folder))


if __name__ == "__main__":
    main()
