"""How far the ratio of camel-sram to camel moves when a constant is halved or doubled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from camel_plugin.result import StepResult

from .runs import Runs, figure, table

NET = "revresnet"
ORDER = "cut"
Part = Callable[[StepResult], float]


def _level(name: str) -> Part:
    return lambda result: sum(
        op.cost.levels[name].energy_J * op.repeats for op in result.operations if name in op.cost.levels
    )


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

ARCHS = ("camel", "camel-sram")
PARAMETERS: Mapping[str, tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]]] = {
    **{
        f"{name} = {low} .. {high}": ({arch: {name: low} for arch in ARCHS}, {arch: {name: high} for arch in ARCHS})
        for name, low, high in (
            ("dram_transfer_rate", "1600e6", "6400e6"),
            ("activation_blocks_per_bank", "1", "2"),
            ("weight_blocks_per_bank", "1", "2"),
            ("accumulator_words", "1", "2"),
            ("accumulator_bits", "16", "64"),
            ("weight_register_blocks", "1", "2"),
            ("vector_lanes_per_column", "4", "18"),
        )
    },
    "throughput of the array, half the rows .. twice": (
        {"camel": {"array_rows": "3"}, "camel-sram": {"array_rows": "2"}},
        {"camel": {"array_rows": "12"}, "camel-sram": {"array_rows": "8"}},
    ),
}
"""Unconfirmed machine parameters, halved (where that is possible) and doubled; mapped anew."""


def rows(runs: Runs) -> list[tuple[Any, ...]]:
    """Name; ratios of time, energy and (fixed mappings) FI's energy, at half and double the constant; its source."""
    edram, sram, own_net, tuned = (
        runs(arch, net, depth_first=ORDER)
        for arch, net in (("camel", NET), ("camel-sram", NET), ("camel", DUDNN), ("camel-sram", FINE_TUNED))
    )
    time = sram.totals.latency_s / edram.totals.latency_s
    found: list[tuple[Any, ...]] = []
    for name, (part, behind) in ENERGIES.items():
        ratios = [
            _energy(other, part, factor) / _energy(own, part, factor)
            for own, other in ((edram, sram), (own_net, tuned))
            for factor in (0.5, 2.0)
        ]
        found.append((name, time, time, *ratios, behind))
    for name, values in PARAMETERS.items():
        pairs = [
            [runs(arch, NET, depth_first=ORDER, overrides=overrides[arch]).totals for arch in ARCHS]
            for overrides in values
        ]
        times = [equal.latency_s / ours.latency_s for ours, equal in pairs]
        energies = [equal.energy_J / ours.energy_J for ours, equal in pairs]
        found.append((name, *times, *energies, "", "", "machine parameter"))
    return found


DUDNN, FINE_TUNED = "dudnn-branch6-resnet50", "dudnn-fi-resnet50"


def _energy(result: StepResult, part: Part, factor: float) -> float:
    return result.totals.energy_J + (factor - 1) * part(result)


def section(runs: Runs, folder: Path) -> str:
    """Table, and a plot where matplotlib is installed."""
    found = rows(runs)
    head = (
        "constant",
        "time at half",
        "at double",
        "energy at half",
        "at double",
        "FI energy at half",
        "at double",
        "behind it",
    )
    text = table(head, found)
    if _plot(found, runs, folder / "sensitivity.svg"):
        text += "\n![Energy ratio against each constant](sensitivity.svg)\n"
    assumed = sorted(
        {*runs("camel", NET, depth_first=ORDER).unconfirmed, *runs("camel-sram", NET, depth_first=ORDER).unconfirmed}
    )
    return (
        text
        + "\nUnconfirmed constants behind these two machines:\n\n"
        + "\n".join(f"- {each}" for each in assumed)
        + "\n"
    )


def _plot(found: list[tuple[str, float, float, float, float, float, float, str]], runs: Runs, path: Path) -> bool:
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
    for position, (name, _, _, low, high, *_) in enumerate(ordered):
        axes.barh(position, high - low, left=low, color="tab:blue")
        axes.text(max(low, high), position, f" {name}", va="center", fontsize=7)
    axes.axvline(base, color="black", linewidth=1)
    axes.set_yticks([])
    axes.set_xlabel(f"energy of camel-sram / camel ({figure(base)}), constant halved and doubled; published 2.34")
    axes.margins(x=0.5)
    figure_.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure_)
    return True
