"""docs/validation.md: published, ours, ratio, and what it hangs on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from . import headlines, lifetimes, sensitivity
from .runs import Runs

INTRODUCTION = """# Validation against published figures

Made by `python scripts/reproduce_camel.py` (camel-plugin {version}): every number in a table is computed by that
command but those in the column *published*. No constant was chosen to make a row fit. *agrees*: within 20 %; *same
order*: within a factor of 3; **differs**: further away; **opposite**: on the other side of 1, what helps there
hurts here. Figures marked as recalled are unconfirmed.

What is checked elsewhere and agrees exactly: cycles, access counts and energy of mappings against Timeloop
([model.md](model.md)), multiply-accumulates and parameters of the networks against their papers
([workloads.md](workloads.md)). [ingredients.md](ingredients.md) changes one factor of CAMEL at a time.

In short: the factors of DuDNN on CAMEL over a fine-tuned network on the SRAM machine come out near the published
ones, mostly because a small branch is trained instead of a whole network: they hardly test the machine. CAMEL's
advantage in *time* over the SRAM machine with the same network comes out too. Its advantage in *energy* does not: with
DuDNN the two machines come out about equal, with RevNet-38 the SRAM machine is ahead. At 100 C much of the data
rests longer than 3.35 us and is refreshed, both machines leak, and neither cheaper accesses nor less DRAM traffic make
up for that. RANA's share of refreshes removed comes out, its energy does not.
"""

TABLE_V = """## Lifetimes (CAMEL, Table V)

Published: 2.66 to 3.10 us and no refresh for four smaller models, 3.40 to 4.13 us and one refresh for the larger
ones, at a retention time of 3.35 us. *Formula* is CAMEL's own for convolutions, B Cin W H k^2 / R, on the largest
layer of our branch at 324 MAC a cycle; the other columns are lifetimes from our mappings, for all data of the
branch in eDRAM, tiles included.
"""

TABLE_V_TEXT = """
The sizes of the branch cannot be read in the paper; ours are assumed such that the formula falls into the published
range, so that column tests nothing but arithmetic. Where we do not agree is the meaning of a lifetime. The formula
has no output channels in it: it is the time in which one output channel is computed. A layer's input is read until
its *last* output channel is done, and a forward activation until its block's gradient, so that data which rest on
chip live longer by the number of output channels and more. Partial sums, tiles and short-lived intermediates die
within 3.35 us, whole activations do not, in any order of whole operations. Lifetimes like the published ones need
producer and consumer to be fused tile by tile, which this model does not do.
"""

ARRAY_TEXT = """
A larger array shortens lifetimes while it is the array that limits; the buffers here keep the bandwidth of 6x6. The
published figures do not follow work over throughput either, and what else changed with the array is not readable.
"""

TEMPERATURE_TEXT = """
Refresh does not rise with temperature throughout: a tensor is kept in eDRAM only where its refresh costs less than
the DRAM traffic that it saves, so that a hotter machine keeps less there and moves more.
"""

REASONS_TEXT = """More capacity, a colder die, a smaller micro-batch or a larger array can mean more refresh. The report
of a machine with a baseline then names why (`--baseline`, `report/refresh_reasons.py`); the reasons add up.
"""

HEADLINES_TEXT = """
Time: the SRAM machine has 16 elements to CAMEL's 36, hence up to 2.25 times; it is less where CAMEL's array is used
worse (extents that 6 does not divide are padded, or leave rows idle) or refresh stalls. Energy: leaving refresh out
altogether does not bring the published factor either, so it does not hang on the policy alone, and a die at 25 C, which
hardly leaks or refreshes, does not bring it. An access is somewhat cheaper in our eDRAM, but an array used worse makes
more of them; and DRAM traffic, which the paper counts on, differs little once one sample is run at a time in the
order that moves least on each machine. It differs with larger micro-batches, where the smaller SRAM spills; how many
samples the paper runs at once is not readable, nor are its energies per access, its DRAM traffic and the temperature
of its energies, so that none of these can be told to be the reason. Published factors for TTA and ETA also contain the
number of steps to the target, which is equal where the network is.
"""

NETWORKS_TEXT = """
Reversible training saves DRAM traffic in the RevNets and costs time, as published (store-all is 3 forward units,
reversible 4). In our DuDNN it does not save traffic: the backbone's is not changed by it, and with one sample at a time
the activations of the branch are small.
"""

RANA_TEXT = """
Forward pass of ResNet-50, batch 1; RANA's mean is over four networks. Off-chip accesses fall less here because
weights, which dominate them at batch 1, are read once with either memory. Refresh is a small part of the energy
here even when conventional: DDR3 outweighs it.
"""

EYERISS_TEXT = """
The example says 65 nm, but the log of its reference run says 32 nm, and its areas fit 32 nm only. Our SRAM and register
models are anchored on these very figures at 32 nm ([components.md](components.md)), so that the factors of the memories
above are the step from 32 to 65 nm at nominal voltages, not a test. The MAC is an independent comparison: Accelergy's
table lends the multiplier the energy of an adder. Absolute energies hold to a factor of a few.
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
        ARRAY_TEXT,
        "## Temperature, RevNet-38\n",
        lifetimes.temperature(runs),
        TEMPERATURE_TEXT,
        "## Why refresh rises or falls\n",
        REASONS_TEXT,
        lifetimes.reasons_why(runs),
        "## Time and energy of a step (CAMEL, Table VI and headline factors)\n",
        f"Batch 64, micro-batch 1, `--depth-first {headlines.ORDER}`, 100 C.\n",
        headlines.camel(runs),
        headlines.parts(runs),
        HEADLINES_TEXT,
        "## Networks and machines\n",
        f"Batch 64, micro-batch 1, `--depth-first {headlines.ORDER}`, 100 C.\n",
        headlines.overview(runs),
        NETWORKS_TEXT,
        "## Sensitivity of the ratio of camel-sram to camel\n",
        f"Network {sensitivity.NET}; *FI energy* is that of FI on camel-sram over DuDNN on camel (published 2.8). "
        "Energies enter linearly at fixed mappings, those of FI too; parameters are mapped anew. At 100 C and 99.9 % "
        "the spread of the cells does not enter.\n",
        sensitivity.section(runs, folder),
        "## RANA\n",
        headlines.rana(runs),
        RANA_TEXT,
        "## Energies of the Eyeriss-like example\n",
        headlines.eyeriss(),
        EYERISS_TEXT,
    ]
    return "\n".join(sections)
