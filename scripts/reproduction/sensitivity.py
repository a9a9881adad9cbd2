"""How far the ratio of camel-sram to camel moves when a constant is halved or doubled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from camel_plugin.result import StepResult

from .runs import Runs, figure, table

NET = "dudnn-branch6-resnet50"
ORDER = "cut"
Part = Callable[[StepResult], float]


def _level(name: str) -> Part:
    return lambda result: sum(op.levels[name].energy_J for op in result.operations if name in op.levels)


ENERGIES: Mapping[str, tuple[Part, str]] = {
    "DRAM energy": (lambda result: result.totals.dram_J, "dram_type"),
    "eDRAM access energy": (_level("act_edram"), "width of the access of the 3T macro"),
    "eDRAM refresh energy": (lambda result: result.totals.refresh_J, "3T refresh"),
    "activation SRAM energy": (_level("act_sram"), "SRAM model"),
    "weight SRAM energy": (_level("w_sram"), "SRAM model"),
    "register energy": (lambda r: _level("oreg")(r) + _level("wreg")(r), "scratchpad model"),
    "array and vector energy": (lambda result: result.totals.compute_J, "MAC and vector unit models"),
    "leakage of everything": (lambda result: result.totals.leakage_J, "leakage constants"),
}
"""Energies enter linearly at fixed mappings: the part of the result that each scales, and the constants behind it."""

PARAMETERS = {
    "dram_transfer_rate": ("1600e6", "6400e6"),
    "activation_blocks_per_bank": ("1", "2"),
    "weight_blocks_per_bank": ("1", "2"),
    "accumulator_words": ("1", "2"),
    "accumulator_bits": ("16", "64"),
    "weight_register_blocks": ("1", "2"),
    "vector_lanes_per_column": ("4", "18"),
}
"""Unconfirmed machine parameters, halved (where that is possible) and doubled; mapped anew."""


def rows(runs: Runs) -> list[tuple[str, float, float, float, float, str]]:
    """Name, time ratio and energy ratio at half and at double the constant, constants behind it."""
    edram, sram = (runs(arch, NET, depth_first=ORDER) for arch in ("camel", "camel-sram"))
    time = sram.totals.latency_s / edram.totals.latency_s
    found = []
    for name, (part, behind) in ENERGIES.items():
        low, high = (_energy(sram, part, factor) / _energy(edram, part, factor) for factor in (0.5, 2.0))
        found.append((name, time, time, low, high, behind))
    for name, values in PARAMETERS.items():
        pairs = [
            [runs(arch, NET, depth_first=ORDER, overrides={name: value}).totals for arch in ("camel", "camel-sram")]
            for value in values
        ]
        times = [other.latency_s / ours.latency_s for ours, other in pairs]
        energies = [other.energy_J / ours.energy_J for ours, other in pairs]
        found.append(
            (f"{name} = {values[0]} .. {values[1]}", times[0], times[1], energies[0], energies[1], "machine parameter")
        )
    return found


def _energy(result: StepResult, part: Part, factor: float) -> float:
    return result.totals.energy_J + (factor - 1) * part(result)


def section(runs: Runs, folder: Path) -> str:
    """Table, and a plot where matplotlib is installed."""
    found = rows(runs)
    head = ("constant", "time ratio at half", "at double", "energy ratio at half", "at double", "behind it")
    text = table(head, found)
    if _plot(found, runs, folder / "sensitivity.svg"):
        text += "\n![Energy ratio against each constant](sensitivity.svg)\n"
    return text


def _plot(found: list[tuple[str, float, float, float, float, str]], runs: Runs, path: Path) -> bool:
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "camel"
    from matplotlib import pyplot as plt

    edram, sram = (runs(arch, NET, depth_first=ORDER).totals for arch in ("camel", "camel-sram"))
    base = sram.energy_J / edram.energy_J
    ordered = sorted(found, key=lambda row: abs(row[4] - row[3]))
    figure_, axes = plt.subplots(figsize=(8, 0.35 * len(found) + 1))
    for position, (name, _, _, low, high, _) in enumerate(ordered):
        axes.barh(position, high - low, left=low, color="tab:blue")
        axes.text(max(low, high), position, f" {name}", va="center", fontsize=7)
    axes.axvline(base, color="black", linewidth=1)
    axes.set_yticks([])
    axes.set_xlabel(f"energy of camel-sram / camel ({figure(base)}), constant halved and doubled; published 2.34")
    axes.margins(x=0.5)
    figure_.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure_)
    return True
