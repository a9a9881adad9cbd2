"""Native model against real Timeloop on every distinct operation of RevNet-38's training step, on our machine file.

The archive was made by scripts/record_timeloop.py with Timeloop 4cf6d4c and pytimeloop b8aaf2c. Machine, problem and
mapping are read back from the very files that Timeloop was given and wrote, so this tests the readers and writers too.
"""

import tarfile
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest
from timeloop_parity import differences, given

from camel_plugin.engine.native.model import evaluate
from camel_plugin.engine.timeloop.stats import parse_stats
from camel_plugin.files.v04 import read_mapping, read_problem
from camel_plugin.spec.task import Task
from camel_plugin.workload.load import load_network

ARCHIVE = Path(__file__).parents[1] / "recorded" / "timeloop-camel-revresnet.tar.xz"


@cache
def runs() -> dict[str, dict[str, str]]:
    """Operation and tool -> file name -> text."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            content = archive.extractfile(member)
            assert content is not None
            found[folder][name] = content.read().decode()
    return found


MAPPED = sorted(name for name in runs() if name.endswith("/mapper"))


def test_every_distinct_operation_is_recorded():
    asked = {operation.problem for operation in load_network("revresnet").step().operations if operation.problem}
    assert asked <= {read_problem([("problem.yaml", runs()[name]["problem.yaml"])]) for name in MAPPED}


@pytest.mark.parametrize("name", MAPPED)
def test_the_mapping_that_timeloop_chose(name, tmp_path):
    run = runs()[name]
    machine, problem = given(run, tmp_path)
    theirs = parse_stats(run["timeloop-mapper.stats.txt"], machine, problem)
    mapping = read_mapping([("map.yaml", run["timeloop-mapper.map.yaml"])], machine, problem)
    assert differences(evaluate(Task(machine, problem), mapping), theirs) == []


@pytest.mark.parametrize("name", [name.replace("/mapper", "/model") for name in MAPPED])
def test_the_mapping_that_the_native_engine_chose(name, tmp_path):
    run = runs()[name]
    machine, problem = given(run, tmp_path)
    theirs = parse_stats(run["timeloop-model.stats.txt"], machine, problem)
    mapping = read_mapping([("mapping.yaml", run["mapping.yaml"])], machine, problem)
    assert differences(evaluate(Task(machine, problem), mapping), theirs) == []


@pytest.mark.parametrize("name", MAPPED)
def test_a_resident_tensor_causes_no_traffic_outside_its_home(name, tmp_path):
    """Its home is never filled, and holds all of it: no loop outside runs over its dimensions."""
    run = runs()[name]
    machine, problem = given(run, tmp_path)
    theirs = parse_stats(run["timeloop-mapper.stats.txt"], machine, problem)
    resident = machine.storages[0].bypass
    assert resident
    for tensor in resident:
        assert tensor not in theirs.levels["dram"].tensors
        home = next(level.tensors[tensor] for level in theirs.levels.values() if tensor in level.tensors)
        assert home.fills == 0
        assert home.utilized_capacity == problem.volume(tensor)
