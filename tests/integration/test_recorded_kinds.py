"""Native model against real Timeloop on every kind of loop nest that a network can become, in every pass.

Convolutions of one to three dimensions, strided, dilated, grouped, depthwise and transposed, attention, linear layers.
The archive was made as test_recorded_timeloop.py says, from every_kind.yaml in tests/support, with --budget 6
--patience 60. Grouped problems have a dimension G that camel's constraints do not name.
"""

import tarfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from timeloop_parity import differences, given

from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.timeloop.stats import parse_stats
from camel_plugin.files.v04 import read_mapping, read_problem
from camel_plugin.spec.task import Task
from camel_plugin.workload.load import load_network

ARCHIVE = Path(__file__).parents[1] / "recorded" / "timeloop-camel-kinds.tar.xz"
TOOLS = {"mapper": "timeloop-mapper", "model": "timeloop-model"}


@cache
def recorded():
    """Operation -> tool -> file name -> text."""
    found = defaultdict(lambda: defaultdict(dict))
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            operation, tool, name = member.name.split("/")
            found[operation][tool][name] = archive.extractfile(member).read().decode()
    return found


def test_every_kind_is_recorded():
    step = load_network(str(Path(__file__).parents[1] / "support" / "every_kind.yaml")).step(strict=True)
    asked = {operation.problem for operation in step.operations if operation.problem}
    problems = {read_problem([("problem.yaml", run["mapper"]["problem.yaml"])]) for run in recorded().values()}
    assert asked == problems and len(asked) > 30
    shapes = {problem.shape for problem in asked}
    assert shapes == {"conv", "grouped-conv", "transposed-conv", "conv3d", "transposed-conv3d"}


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("operation", sorted(recorded()))
def test_native_counts_are_timeloop_s(operation, tool, tmp_path):
    run = recorded()[operation][tool]
    machine, problem = given(run, tmp_path)
    theirs = parse_stats(run[f"{TOOLS[tool]}.stats.txt"], machine, problem)
    name = "timeloop-mapper.map.yaml" if tool == "mapper" else "mapping.yaml"
    mapping = read_mapping([(name, run[name])], machine, problem)
    assert differences(evaluate(Task(machine, problem), mapping), theirs) == []


@pytest.mark.parametrize("operation", sorted(recorded()))
def test_the_native_mapper_is_no_worse(operation, tmp_path):
    run = recorded()[operation]["mapper"]
    machine, problem = given(run, tmp_path)
    theirs = parse_stats(run["timeloop-mapper.stats.txt"], machine, problem)
    found = NativeEngine().map(Task(machine, problem), "edp", 1.0)
    printed = 1 + 5e-4  # Timeloop prints the few pJ of the smallest ones with two decimals
    assert found.value <= theirs.energy_J * theirs.cycles * machine.cycle_s * printed
