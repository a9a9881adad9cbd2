"""Recorded runs of Timeloop: what it was given, and where the native model says another cost."""

import pytest

from camel_plugin.components.resolve import read_machine
from camel_plugin.files.v04 import read_problem

COUNTS = ("utilized_capacity", "reads", "fills", "updates", "temporal_reductions")


def differences(mine, theirs):
    """What is not the same: cycles and counts exactly, energies beyond what two printed decimals of a pJ hide."""
    found = []
    if (mine.cycles, mine.computes) != (theirs.cycles, theirs.computes):
        found.append(f"{mine.cycles} cycles, Timeloop {theirs.cycles}")
    for name, level in theirs.levels.items():
        own = mine.levels[name]
        if (own.instances, own.utilized_instances) != (level.instances, level.utilized_instances):
            found.append(f"{name} instances")
        assert own.tensors.keys() == level.tensors.keys()
        for tensor, stats in level.tensors.items():
            for count in COUNTS:
                if getattr(own.tensors[tensor], count) != getattr(stats, count):
                    ours, counted = getattr(own.tensors[tensor], count), getattr(stats, count)
                    found.append(f"{name} {tensor} {count}: {ours}, Timeloop {counted}")
        if own.energy_J != pytest.approx(level.energy_J, rel=1e-6, abs=2e-14):
            found.append(f"{name} energy: {own.energy_J}, Timeloop {level.energy_J}")
        if own.leakage_J != pytest.approx(level.leakage_J, rel=1e-6, abs=2e-14 + 1e-17 * mine.computes):
            found.append(f"{name} leakage: {own.leakage_J}, Timeloop {level.leakage_J}")
    if mine.energy_J != pytest.approx(theirs.energy_J, rel=1e-5):
        found.append(f"{mine.energy_J} J, Timeloop {theirs.energy_J} J")
    return found


def given(run, tmp_path):
    """Machine and problem as Timeloop was given them."""
    ert = tmp_path / "ERT.yaml"
    ert.write_text(run["ERT.yaml"])
    problem = read_problem([("problem.yaml", run["problem.yaml"])])
    return read_machine([("architecture.yaml", run["architecture.yaml"])], ert=ert, problem=problem), problem
