"""docs/ingredients.md: what each ingredient of CAMEL brings, one factor changed at a time."""

from __future__ import annotations

from pathlib import Path

from .runs import Runs, table

NETS = ("revresnet", "revnet110", "dudnn-branch6-resnet50")
ORDER = "cut"

FACTORS: dict[str, tuple[str, dict[str, object]]] = {
    "all of CAMEL": ("camel", {}),
    "not reversible: everything is stored": ("camel", {"schedule": "store-all"}),
    "not reversible: checkpoints": ("camel", {"schedule": "checkpoint"}),
    "half the eDRAM and its bandwidth (as SRAM of equal area)": ("camel", {"overrides": {"activation_banks": "6"}}),
    "half the eDRAM, bandwidth kept": (
        "camel",
        {"overrides": {"activation_banks": "6", "activation_blocks_per_bank": "2"}},
    ),
    "SRAM of the same capacity, twice the area": ("camel", {"overrides": {"activation_memory": "sram"}}),
    "array 4x4": ("camel", {"overrides": {"array_rows": "4", "array_columns": "4"}}),
    "array 12x12": ("camel", {"overrides": {"array_rows": "12", "array_columns": "12"}}),
    "refresh: conventional": ("camel", {"refresh": "conventional"}),
    "refresh: occupied banks": ("camel", {"refresh": "occupied"}),
    "refresh: none, data are lost": ("camel", {"refresh": "none"}),
    "order: whole network for each sample": ("camel", {"depth_first": "network"}),
    "order: stage after stage": ("camel", {"depth_first": "stage"}),
    "order: block after block": ("camel", {"depth_first": "block"}),
    "order: layer after layer": ("camel", {"depth_first": "none"}),
    "micro-batch 4": ("camel", {"micro_batch": 4}),
    "25 C": ("camel", {"temperature_C": 25.0}),
    "the SRAM machine": ("camel-sram", {}),
}


def page(runs: Runs, folder: Path) -> str:
    """The page."""
    parts = [
        "# What each ingredient brings\n",
        "Made by `python scripts/reproduce_camel.py`. The first row of each table is `camel` with every ingredient: "
        "reversible training, eDRAM, a 6x6 array, refresh by lifetime, and loops cut where the traffic is least "
        f"(`--depth-first {ORDER}`). Each other row changes one factor and keeps the rest; factors relative to the "
        "first row. Batch 64, micro-batch 1, 100 C.\n",
    ]
    for net in NETS:
        parts += [f"## {net}\n", _table(runs, net), _words(runs, net)]
    return "\n".join(parts)


def _table(runs: Runs, net: str) -> str:
    rows = []
    first = None
    for name, (arch, choices) in FACTORS.items():
        found = runs(arch, net, **{"depth_first": ORDER, **choices}).totals
        first = first or found
        rows.append(
            (
                name,
                found.latency_s * 1e3,
                found.energy_J * 1e3,
                found.refresh_J * 1e3,
                found.dram_J * 1e3,
                found.dram_bytes / 1e6,
                found.latency_s / first.latency_s,
                found.energy_J / first.energy_J,
            )
        )
    return table(("", "ms", "mJ", "refresh mJ", "DRAM mJ", "DRAM MB", "time x", "energy x"), rows)


def _words(runs: Runs, net: str) -> str:
    """The same in words, factor by factor."""
    found = {
        name: runs(arch, net, **{"depth_first": ORDER, **choices}).totals for name, (arch, choices) in FACTORS.items()
    }
    full = found["all of CAMEL"]

    def against(name: str, part: str = "energy_J") -> str:
        return f"{getattr(found[name], part) / getattr(full, part):.2f}"

    stored, same = "not reversible: everything is stored", "SRAM of the same capacity, twice the area"
    half = "half the eDRAM, bandwidth kept"
    return (
        f"- Reversibility: storing all takes {against(stored, 'latency_s')} x the time, "
        f"{against(stored, 'dram_bytes')} x the DRAM traffic and {against(stored)} x the energy.\n"
        f"- eDRAM: SRAM of the same capacity takes {against(same)} x the energy; half the eDRAM at the same bandwidth "
        f"{against(half)} x, with {against(half, 'dram_bytes')} "
        f"x the DRAM traffic.\n"
        f"- Array: 4x4 takes {against('array 4x4', 'latency_s')} x the time and {against('array 4x4')} x the energy.\n"
        f"- Refresh: conventional refresh takes {against('refresh: conventional', 'latency_s')} x the time and "
        f"{against('refresh: conventional')} x the energy; none at all {against('refresh: none, data are lost')} x.\n"
        f"- Residency: without cuts {against('order: whole network for each sample', 'dram_bytes')} x the DRAM traffic "
        f"and {against('order: whole network for each sample')} x the energy, layer after layer "
        f"{against('order: layer after layer', 'dram_bytes')} x and {against('order: layer after layer')} x.\n"
    )
