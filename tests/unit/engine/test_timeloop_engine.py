"""The Timeloop engine behind fake tools: small programs that fail as the real ones do, most of them silently.

What the fakes write when all is well is a recorded run of the real timeloop-mapper, tests/recorded/timeloop-small.
"""

import os
import re
import signal
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from camel_plugin.components.resolve import read_machine
from camel_plugin.engine.timeloop import TimeloopEngine, process, tools
from camel_plugin.errors import EngineError, InfeasibleError
from camel_plugin.files.v04 import read_problem
from camel_plugin.spec.machine import FactorBound, LoopConstraints, Storage
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

RECORDED = Path(__file__).parents[2] / "recorded" / "timeloop-small"
MACHINE = read_machine([RECORDED / "given.yaml"], ert=RECORDED / "ERT.yaml", name="small")
PROBLEM = read_problem([RECORDED / "given.yaml"])
STATS = (RECORDED / "timeloop-mapper.stats.txt").read_text()
MAP = (RECORDED / "timeloop-mapper.map.yaml").read_text()

FRONT_END = """\
class Specification:
    @classmethod
    def from_yaml_files(cls, *paths):
        self = cls()
        self.text = "".join(open(path).read() for path in paths)
        return self
    def _process(self):
        return self
"""
SETUP = "pwd > {seen}; test ! -e timeloop-mapper.stats.txt || exit 9; echo '[0] INVALID 41 3 7'; "
WELL = SETUP + "cp {good}/timeloop-mapper.* ."


class Bench:
    """An environment with fake tools in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.programs, self.good, self.seen = folder / "bin", folder / "good", folder / "seen"
        self.jobs, packages = folder / "jobs", folder / "packages"
        for each in (self.programs, self.good, self.jobs):
            each.mkdir(parents=True)
        self.write_output(STATS, MAP)
        package = packages / "pytimeloop" / "timeloopfe"
        (package / "common" / "version_transpilers").mkdir(parents=True)
        (package / "v4.py").write_text(FRONT_END)
        self.transpiler = package / "common" / "version_transpilers" / "v4_to_v3.py"
        self.transpiler.write_text("def transpile(specification, for_model):\n    return specification.text\n")
        (packages / "accelergy" / "utils").mkdir(parents=True)
        (packages / "accelergy" / "utils" / "yaml.py").write_text("def to_yaml_string(text):\n    return text\n")
        monkeypatch.setenv("PYTHONPATH", str(packages))
        monkeypatch.setenv(tools.PYTHON_VARIABLE, sys.executable)
        monkeypatch.setenv("PATH", f"{self.programs}:/usr/bin:/bin")
        monkeypatch.setattr("tempfile.tempdir", str(self.jobs))
        tools._front_end.cache_clear()
        self.mapper(WELL)

    def write_output(self, stats: str, mapping: str) -> None:
        (self.good / "timeloop-mapper.stats.txt").write_text(stats)
        (self.good / "timeloop-mapper.map.yaml").write_text(mapping)

    def mapper(self, script: str, name: str = "timeloop-mapper") -> None:
        path = self.programs / name
        text = script.format(good=f"'{self.good}'", seen=f"'{self.seen}'")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def map(self, machine=MACHINE, problem=PROBLEM, objective=Objective.EDP, budget_s=30.0):
        return TimeloopEngine().map(Task(machine, problem), objective, budget_s)

    def fails(self, match: str, **given):
        """The run fails, says why, and leaves its folder with the log."""
        with pytest.raises(EngineError, match=match) as caught:
            self.map(**given)
        (folder,) = self.jobs.iterdir()
        assert str(folder) in str(caught.value)
        assert (folder / process.LOG).exists()


@pytest.fixture
def bench(tmp_path, monkeypatch):
    yield Bench(tmp_path / "plain", monkeypatch)
    tools._front_end.cache_clear()


def test_the_recorded_run(bench):
    result = bench.map()
    # 8 * 4 * 16 multiply-accumulates on four units; pJ from the recorded console, 8.11 pJ/compute, and its ERT.
    assert result.evaluation.computes == 512
    assert result.evaluation.compute_J == pytest.approx(512 * 0.5e-12)
    printed = re.findall(r"Utilization = (\S+) \| pJ/Compute = +(\S+) \| Cycles = (\d+)", console())[-1]
    assert result.evaluation.cycles == int(printed[2])
    assert result.evaluation.energy_J / 512 == pytest.approx(float(printed[1]) * 1e-12, abs=1e-15)
    assert result.evaluation.utilization == pytest.approx(float(printed[0]), abs=0.005)
    assert result.evaluation.levels["dram"].leakage_J == pytest.approx(0.5e-12 * result.evaluation.cycles)
    assert result.value == pytest.approx(result.evaluation.energy_J * result.evaluation.cycles * 2e-9)
    assert result.lower_bound == pytest.approx(512 * 0.5e-12 * 128 * 2e-9)
    assert result.evaluated == 42
    assert not list(bench.jobs.iterdir())


def console():
    return (RECORDED / process.LOG).read_text()


@pytest.mark.parametrize(("objective", "metrics"), [("energy", "[energy, delay]"), ("latency", "[delay, energy]")])
def test_the_objective_reaches_the_mapper(bench, objective, metrics):
    bench.mapper(f"grep -qF 'optimization_metrics: {metrics}' input.yaml || exit 3; {WELL}")
    assert bench.map(objective=objective).objective == objective


def test_a_front_end_that_ignores_an_attribute(bench):
    bench.transpiler.write_text(
        "def transpile(specification, for_model):\n    return specification.text.replace('_metrics', '_metric')\n"
    )
    bench.fails("ignored mapper.optimization_metrics")


@pytest.mark.parametrize(
    ("printed", "instead", "reason"),
    [
        ("Read bandwidth                  : 8.00", "Read bandwidth                  : -", "ignored.*Read bandwidth"),
        ("Size                            : 256", "Size                            : 64", "ignored.*Size"),
        ("energy source     : ERT", "energy source     : PAT", "not that of the energy reference table"),
        ("Computes (total)        : 512", "Computes (total)        : 256", "256 multiply-accumulates"),
        ("Cycles: ", "Cycles: -", "cannot be true"),
        ("Scalar fills (per-instance)              : ", "Other : ", "lack 'Scalar fills"),
        (
            "Energy (total)                           : ",
            "Energy (total)                           : nan",
            "no number|true",
        ),
        ("    Z:", "    Y:", "lost Z: no level holds it"),
        ("    Total      ", "    Total = 9\n    Other", "parts of Timeloop's energy"),
        ("=== buffer ===", "=== buffet ===", "lack buffer"),
    ],
)
def test_stats_that_cannot_be_true(bench, printed, instead, reason):
    assert printed in STATS
    bench.write_output(STATS.replace(printed, instead), MAP)
    bench.fails(reason)


def test_underflowed_counts(bench):
    stats, count = re.subn(r"(Scalar reads \(per-instance\) +: )\d+", rf"\g<1>{2**64 - 512}", STATS, count=1)
    assert count == 1
    bench.write_output(stats, MAP)
    bench.fails("went below zero")


def test_empty_output(bench):
    bench.write_output("", MAP)
    bench.fails("empty stats file")


def test_exit_0_without_a_mapping(bench):
    bench.write_output("", "")
    bench.mapper(
        "if grep -q diagnostics input.yaml; then echo no luck; touch timeloop-mapper.map.yaml; else " + WELL + "; fi"
    )
    bench.fails("no valid mapping within 30 s; it says 'no luck'")


DIAGNOSTICS = """
Fail class: Capacity

  Level: regs
    Fail count: 12
    Sample mapping that experienced this fail class:
      regs [ Z:8 (8) ]
    Fail reason: mapped tile size 8 exceeds buffer capacity 4

  Level: buffer
    Fail count: 305
    Sample mapping that experienced this fail class:
      buffer [ Z:800 (800) ]
    Fail reason: mapped tile size 800 exceeds buffer capacity 256
"""


def test_what_the_mapper_refuses_is_told(bench):
    bench.write_output("", "")
    (bench.good / "console").write_text(DIAGNOSTICS)
    bench.mapper("if grep -q 'timeout: 1000$' input.yaml; then cat {good}/console; else " + WELL + "; fi")
    bench.fails(
        r"refuses 305 at buffer \(mapped tile size 800 exceeds buffer capacity 256\), 12 at regs \(.*capacity 4\);"
    )


def test_a_mapper_that_fails_when_asked_why(bench):
    bench.write_output("", "")
    bench.mapper("if grep -q diagnostics input.yaml; then echo error: none; exit 3; else " + WELL + "; fi")
    bench.fails("no valid mapping within 30 s; nor can it say why: .*status 3: error: none")


def test_exit_0_without_a_mapping_where_none_exists(bench):
    bench.write_output("", "")
    nodes = tuple(
        replace(node, temporal=LoopConstraints({"K": FactorBound("=", 5)})) if node.name == "dram" else node
        for node in MACHINE.nodes
    )
    with pytest.raises(InfeasibleError, match="loops over K"):
        bench.map(replace(MACHINE, nodes=nodes))


def test_exit_0_without_any_file(bench):
    bench.mapper("echo Failed to run Accelergy; exit 0")
    bench.fails("wrote no timeloop-mapper.map.yaml: Failed to run Accelergy")


def test_a_crash(bench):
    bench.mapper("echo assertion; kill -ABRT $$")
    bench.fails("SIGABRT: assertion")


ROW = "=" * 60
STAMP = "2026-01-01 10:00:00"


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        # Accelergy: an exception it did not expect, an error of its own; Python; C++; a program that only talks.
        (
            f"{STAMP} INFO  start\n{ROW}\nAccelergy has encountered an error and crashed. Error below: \n{ROW}\n"
            '|| Traceback (most recent call last):\n||   File "a.py", line 3, in run\n||     raise ValueError(\n'
            f'|| ValueError: Required key "k" not found\n{ROW}\nStack with local variables:\n'
            "| Local var d1 = {}\n| ERROR >> 132:     raise ValueError(\n|          133: f'Required'\n"
            f"{ROW}\nAccelergy has encountered an error and crashed. Error above. \n{ROW}\n",
            'ValueError: Required key "k" not found',
        ),
        (
            f"{STAMP} ERROR       ===== An error has caused Accelergy to crash. Error below =====\n"
            f"{STAMP} ERROR       Can not find an energy estimator for adder\n{STAMP} ERROR       | Library:\n"
            f"{STAMP} ERROR       |  | ValueError: Could not find energy\n{STAMP} ERROR       .\n"
            f"{STAMP} ERROR       To see a list, run -h.\n",
            "Can not find an energy estimator for adder",
        ),
        ("Traceback (most recent call last):\n  x\npkg.mod.ParserError: no\nmore\n", "pkg.mod.ParserError: no"),
        ("terminate called\n  what():  bad conversion, at line: 14\n\n", "what():  bad conversion, at line: 14"),
        ("execute:accelergy\nERROR: no mappings found\nbye\n", "ERROR: no mappings found"),
        (f"reading\ndone\n{ROW}\n", "done"),
        ("", "it printed nothing"),
    ],
)
def test_the_cause_is_found_in_the_log(tmp_path, log, cause):
    (tmp_path / process.LOG).write_text(log)
    assert process.cause(tmp_path) == cause


def test_a_mapping_of_another_problem(bench):
    bench.write_output(STATS, MAP)
    bench.fails("multiply to", problem=replace(PROBLEM, bounds=(8, 4, 32)))


def test_runs_do_not_collide(bench):
    bench.mapper("sleep 0.2; " + WELL.replace("> {seen}", ">> {seen}"))
    bench.map()  # finds the front end once, before the threads
    with ThreadPoolExecutor(3) as pool:
        values = {result.value for result in pool.map(lambda _: bench.map(), range(3))}
    folders = bench.seen.read_text().split()
    assert len(values) == 1
    assert len(folders) == len(set(folders)) == 4


def test_paths_with_spaces(tmp_path, monkeypatch):
    bench = Bench(tmp_path / "a folder", monkeypatch)
    bench.mapper('for each in "$@"; do case "$each" in *[\\ /]*) exit 7;; esac; done; ' + WELL)
    assert bench.map().evaluation.computes == 512


@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN], ids=["in front", "in the background"])
def test_the_budget_interrupts_the_mapper(bench, monkeypatch, handler):
    """A job in the background ignores interrupts, and so would what it starts. The mapper here never ends by itself."""
    before = signal.signal(signal.SIGINT, handler)
    monkeypatch.setattr(process, "GRACE_S", 5.0)
    bench.mapper(f"stop() {{{{ {WELL}; exit 0; }}}}; trap stop INT; while :; do sleep 0.05; done")
    try:
        result = bench.map(budget_s=0.5)
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.evaluation.computes == 512


def test_a_mapper_that_does_not_stop(bench, monkeypatch):
    monkeypatch.setattr(process, "GRACE_S", 0.2)
    bench.mapper("trap '' INT; while :; do sleep 0.05; done")
    bench.fails("did not stop", budget_s=0.1)


def test_no_timeloop(bench):
    (bench.programs / "timeloop-mapper").unlink()
    with pytest.raises(EngineError, match=r"timeloop-mapper is not on PATH; the container .*camel doctor"):
        TimeloopEngine().version()


def test_no_front_end(bench, monkeypatch):
    monkeypatch.setenv(tools.PYTHON_VARIABLE, str(bench.programs / "python"))
    with pytest.raises(EngineError, match=r"front end .* none of the Pythons .*CAMEL_TIMELOOP_PYTHON"):
        bench.map()


def test_the_binaries_alone(bench, monkeypatch):
    """Without a front end the engine writes their input itself; a Python that was named must have one."""
    monkeypatch.delenv(tools.PYTHON_VARIABLE)
    monkeypatch.setattr(tools, "_pythons", lambda: iter([str(bench.programs / "python")]))
    bench.mapper(f"grep -q '^architecture_constraints: ' input.yaml || exit 3; {WELL}")
    assert bench.map().evaluation.computes == 512
    assert "without front end" in TimeloopEngine().version()


def test_the_older_front_end(bench):
    old = bench.folder / "packages" / "pytimeloop" / "timeloopfe"
    old.rename(bench.folder / "packages" / "timeloopfe")
    (old.parent / "__init__.py").touch()  # hides one that is installed
    tools._front_end.cache_clear()
    assert tools.front_end().package == "timeloopfe"
    assert bench.map().evaluation.computes == 512


def test_the_version_changes_with_the_binary(bench):
    before = TimeloopEngine().version()
    bench.mapper(WELL + "\n# newer")
    assert TimeloopEngine().version() != before
    assert os.fspath(bench.programs) not in before


@pytest.mark.parametrize("depth", [None, 2**32, 2**40])
def test_a_dram_beyond_32_bits_is_given_as_many_rows_as_timeloop_can_read(bench, depth):
    bench.mapper("grep -q 'depth: 4294967295' architecture.yaml || exit 5; " + WELL)
    nodes = tuple(
        replace(node, depth=depth) if isinstance(node, Storage) and node.is_dram else node for node in MACHINE.nodes
    )
    bench.fails(f"ignored an attribute of dram: Size is {1048576 * 8}", machine=replace(MACHINE, nodes=nodes))
