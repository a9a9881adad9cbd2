"""README.md: the output of its first command, and the table of networks and machines."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console

from camel_plugin import compare
from camel_plugin.report.table import render

from .headlines import DUDNN, ORDER
from .runs import Runs, figure, table

NETS = {"revresnet": "RevNet-38", "revnet110": "RevNet-110", DUDNN: "DuDNN, branch 6 + ResNet-50"}
SCHEDULES = ("reversible", "store-all")
MACHINES = ("camel", "camel-sram", "eyeriss-16nm")
SAMPLE_BUDGET_S = 10.0
"""The command line's own."""


def networks(runs: Runs) -> str:
    """Each network and its store-all counterpart on each machine."""
    head = ["network", "schedule"]
    for arch in MACHINES:
        head += [f"{arch} ms", "mJ", *(["refresh mJ"] if arch == "camel" else []), "DRAM MB"]
    rows = []
    for net, name in NETS.items():
        for schedule in SCHEDULES:
            row = [name, schedule]
            for arch in MACHINES:
                found = runs(arch, net, schedule=schedule, depth_first=ORDER).totals
                row += [figure(found.latency_s * 1e3), figure(found.energy_J * 1e3)]
                row += [figure(found.refresh_J * 1e3)] if arch == "camel" else []
                row.append(figure(found.dram_bytes / 1e6))
            rows.append(row)
    return table(head, rows)


def sample(runs: Runs) -> str:
    """What the first command prints; the list of unconfirmed constants is cut short."""
    result = compare(MACHINES, "revresnet", budget_s=SAMPLE_BUDGET_S, cache=runs.cache)
    out = io.StringIO()
    render(result, Console(file=out, width=80, highlight=False))
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines())
    return (
        "```\n"
        + re.sub(r"\n- ([^\n]*unconfirmed[^;]*;[^;]*;)(?:(?!\n- ).)*", r"\n- \1 ...", text, flags=re.S)
        + "\n```\n"
    )


def update(runs: Runs, path: Path) -> None:
    """Put both between their marks in README.md."""
    text = path.read_text()
    for mark, block in {"sample": sample(runs), "networks": networks(runs)}.items():
        start, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        text = before + start + block + end + after
        if not found:
            raise ValueError(f"{path}: marks of {mark} are missing")
    path.write_text(text)
