"""docs/validation.md: published, ours, ratio, and what it hangs on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from . import headlines, lifetimes, sensitivity
from .runs import Runs

INTRODUCTION = """# Validation against published figures

Made by `python scripts/reproduce_camel.py` (camel-plugin {version}): every number below is computed by that
command, none is typed in but the published ones. No constant was chosen to make a row fit. *agrees*: within 20 %;
*same order*: within a factor of 3; **differs**: further away. Figures of the papers marked as recalled in the
machine files are unconfirmed.

What is checked elsewhere and agrees exactly: cycles, access counts and energy of mappings against Timeloop
([model.md](model.md)), multiply-accumulates and parameters of the networks against their papers
([workloads.md](workloads.md)).
"""

TABLE_V = """## Lifetimes (CAMEL, Table V)

Published: 2.66 to 3.10 us and no refresh for four smaller models, 3.40 to 4.13 us and one refresh for the larger
ones, at a retention time of 3.35 us. *Formula* is CAMEL's own, B Cin W H k^2 / R, on the largest layer of our
branch at 324 MAC a cycle; the other columns are lifetimes from our mappings, for all data of the branch in eDRAM.
"""

TABLE_V_TEXT = """
The sizes of the branch cannot be read in the paper; ours are assumptions, so the formula's column tests the formula
and our throughput, not the models. Where we do not agree is the meaning of a lifetime. The formula has no output
channels in it: it is the time in which one output channel is computed. A layer's input is read until its *last*
output channel is done, a forward activation until its block's gradient, so that data which rest on chip live longer
by the number of output channels and more. Only partial sums, tiles and short-lived intermediates die within 3.35
us. We find no order of whole operations in which a branch of this size needs no refresh at 100 C; the paper's
result needs operations that are fused tile by tile, which neither its text nor this model describes.
"""

HEADLINES_TEXT = """
Time: the SRAM machine has 16 elements to CAMEL's 36, and is slower by less than their ratio because both wait for
their activation buffers for much of a step. Energy: in our model CAMEL saves DRAM traffic and leakage time, and
pays refresh, because data live longer than 3.35 us (above); the published advantage in energy supposes that almost
none are refreshed. Without refresh (`none`, [ingredients.md](ingredients.md)) the machines differ mostly by DRAM
traffic. Published factors for TTA and ETA also contain the number of steps to the target accuracy, which is equal
where the network is.
"""

RANA_TEXT = """
RANA's reference point and its networks differ from ours: forward pass of ResNet-50 here, batch 1. Off-chip accesses
fall less here because weights, which dominate them at batch 1, are read once with either memory.
"""

EYERISS_TEXT = """
The buffer of 128 KB is dearer here: our SRAM model is anchored on other macros and rises with capacity, Accelergy's
figure comes from CACTI. Registers agree in order. Machines that share our models can be compared; absolute energies
hold to a factor of a few.
"""


def page(runs: Runs, folder: Path) -> str:
    """The page."""
    sections = [
        INTRODUCTION.format(version=version("camel-plugin")),
        TABLE_V,
        lifetimes.table_v(runs),
        TABLE_V_TEXT,
        "## Lifetime against array size\n",
        lifetimes.array_size(runs),
        "## Temperature, RevNet-38\n",
        lifetimes.temperature(runs),
        "## Time and energy of a step (CAMEL, Table VI and headline factors)\n",
        headlines.camel(runs),
        HEADLINES_TEXT,
        "## Networks and machines\n",
        f"Batch 64, micro-batch 1, `--depth-first {headlines.ORDER}`, 100 C.\n",
        headlines.overview(runs),
        "## Sensitivity of the ratio of camel-sram to camel\n",
        f"Network {sensitivity.NET}. Energies enter linearly at fixed mappings; parameters are mapped anew.\n",
        sensitivity.section(runs, folder),
        "## RANA\n",
        headlines.rana(runs),
        RANA_TEXT,
        "## Energies of the Eyeriss-like example\n",
        headlines.eyeriss(),
        EYERISS_TEXT,
    ]
    return "\n".join(sections)
