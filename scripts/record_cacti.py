"""Record what CACTI says of SRAMs, as Accelergy's CACTI plug-in asks it, over a grid.

Needs that plug-in with its compiled CACTI (about 40 minutes of two cores):

    python scripts/record_cacti.py FOLDER_OF_THE_PLUG_IN camel_plugin/components/accelergy/cacti.csv

The folder holds ``cacti``, compiled, and ``default_cfg.cfg``.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from camel_plugin.components.accelergy.cacti import NODES_NM, QUANTITIES, Organisation

WHOLE_DEPTHS = tuple(64 * 2**octave for octave in range(11))
WHOLE_WIDTHS = (32, 64, 128, 256, 512)
DEPTHS = tuple(round(64 * 2 ** (quarter / 4) / 2) * 2 for quarter in range(41))
THIRDS = tuple(96 * 2**octave for octave in range(10))
WIDTHS = (*(octave * part // 4 for octave in WHOLE_WIDTHS[:-1] for part in (4, 5, 6, 7)), WHOLE_WIDTHS[-1])
SHAPES = tuple((banks, ports) for ports in (1, 2) for banks in (1, 2, 4, 8, 16, 32) if banks * ports > 1)
"""Banks and ports, recorded at whole octaves; one bank with one port is recorded at every width and depth."""
COLUMNS = (
    (" Dynamic read energy (nJ)", 1e-9),
    (" Dynamic write energy (nJ)", 1e-9),
    (" Standby leakage per bank(mW)", 1e-3),
    (" Area (mm2)", 1e-6),
)
TIMEOUT_S = 300


def lines() -> Iterator[tuple[Organisation, int, tuple[int, ...]]]:
    """Organisation, width and the depths that are recorded of it."""
    for node_nm in NODES_NM:
        for width in WIDTHS:
            thirds = THIRDS if width in WHOLE_WIDTHS else ()
            yield Organisation(node_nm), width, tuple(sorted({*DEPTHS, *thirds}))
    for banks, ports in SHAPES:
        for node_nm in NODES_NM:
            for width in WHOLE_WIDTHS:
                # The plug-in asks for 64 rows a bank at least.
                yield Organisation(node_nm, banks, ports), width, tuple(d for d in WHOLE_DEPTHS if d >= 64 * banks)


def main() -> None:
    """Ask CACTI and write the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("plug_in", type=Path)
    arguments.add_argument("table", type=Path)
    options = arguments.parse_args()
    columns = sorted({*DEPTHS, *THIRDS})
    with options.table.open("w", newline="") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["node_nm", "banks", "ports", "width", "quantity", *columns])
        for organisation, width, depths in lines():
            answers = dict(
                zip(depths, pool.map(partial(ask, options.plug_in, organisation, width), depths), strict=True)
            )
            key = (organisation.node_nm, organisation.banks, organisation.ports, width)
            for index, quantity in enumerate(QUANTITIES):
                cells = (f"{answers[d][index]:.4g}" if answers.get(d) else "" for d in columns)
                writer.writerow([*key, quantity, *cells])
            file.flush()


def ask(plug_in: Path, organisation: Organisation, width: int, depth: int) -> tuple[float, ...]:
    """QUANTITIES of one SRAM; nothing where CACTI finds no such array."""
    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder, "in.cfg")
        given.write_text(
            (plug_in / "default_cfg.cfg").read_text()
            + f"\n-size (bytes) {width * depth // 8}\n-read-write port {organisation.ports}\n"
            + f"-block size (bytes) {width // 8}\n-technology (u) {organisation.node_nm / 1000}\n"
            + f"-output/input bus width {width}\n-UCA bank {organisation.banks}\n"
            + '-cache type "ram"\n-tag size (b) 0\n-associativity 1\n'
        )
        command = [str((plug_in / "cacti").resolve()), "-infile", str(given)]
        subprocess.run(command, cwd=plug_in, capture_output=True, timeout=TIMEOUT_S, check=False)  # noqa: S603
        answer = Path(f"{given}.out")
        if not answer.is_file():
            return ()
        row = list(csv.DictReader(answer.read_text().splitlines()))[-1]
        return tuple(float(row[name]) * unit for name, unit in COLUMNS)


if __name__ == "__main__":
    main()
