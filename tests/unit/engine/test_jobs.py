"""Deduplication, cache and failures of the job runner, with an engine that counts its calls."""

from dataclasses import replace
from typing import ClassVar

import pytest

from camel_plugin.cache import Cache, content_key
from camel_plugin.engine import jobs
from camel_plugin.errors import InfeasibleError, Shortfall
from camel_plugin.spec.evaluation import Evaluation, MapResult
from camel_plugin.spec.machine import Compute, Machine, Storage
from camel_plugin.spec.mapping import Mapping, NodeMapping
from camel_plugin.spec.problem import Dataspace, Problem
from camel_plugin.spec.settings import Settings
from camel_plugin.spec.task import Task

DRAM = Storage("dram", "DRAM", "dram", 64, 8, None, keep=frozenset({"O", "A", "B"}), is_dram=True)
MACHINE = Machine("m", (DRAM, Compute("mac", "intmac")), cycle_s=1e-9)


def dot(length, name="dot"):
    spaces = (Dataspace("A", ((("K", 1),),)), Dataspace("B", ((("K", 1),),)), Dataspace("O", (), read_write=True))
    return Problem(("K",), (length,), spaces, name=name)


class CountingEngine:
    name = "counting"
    calls: ClassVar[list[int]] = []

    def version(self):
        return "1"

    def map(self, task, objective, budget_s):
        problem = task.problem
        self.calls.append(problem.macs)
        if problem.macs == 13:
            raise InfeasibleError("dot13", [Shortfall("capacity of x", 13, 12, "words", "grow it")])
        mapping = Mapping((NodeMapping("dram", {"K": problem.macs}, ("K",), keep=frozenset({"A", "B", "O"})),))
        evaluation = Evaluation(problem.macs, problem.macs, 1.0, 1e-12, 1e-12, "compute", {})
        return MapResult(mapping, evaluation, objective, 1e-12 * problem.macs, 0.0, 1, 0.1)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    CountingEngine.calls = []
    monkeypatch.setattr(jobs, "load", lambda group, name: CountingEngine)
    return CountingEngine


def run(lengths, **options):
    work = [Task(MACHINE, dot(length, name=f"{index}"), name=str(index)) for index, length in enumerate(lengths)]
    return jobs.map_all(work, Settings(engine="counting", budget_s=1.0), workers=1, **options)


def test_equal_problems_are_mapped_once_whatever_their_names(engine):
    results = run([4, 8, 4, 4, 8])
    assert sorted(engine.calls) == [4, 8]
    assert [result.evaluation.cycles for result in results] == [4, 8, 4, 4, 8]


def test_cache_returns_what_was_stored(engine, tmp_path):
    first = run([4, 8], cache=Cache(tmp_path))
    second = run([8, 4], cache=Cache(tmp_path))
    assert sorted(engine.calls) == [4, 8]
    assert second == [first[1], first[0]]


def test_finished_work_survives_a_failure(engine, tmp_path):
    with pytest.raises(InfeasibleError):
        run([4, 8, 13, 16], cache=Cache(tmp_path))
    run([4, 8], cache=Cache(tmp_path))
    assert engine.calls == [4, 8, 13]


def test_a_torn_cache_entry_is_mapped_again(engine, tmp_path):
    run([4], cache=Cache(tmp_path))
    (entry,) = tmp_path.glob("*.json")
    entry.write_text(entry.read_text()[:40])
    run([4], cache=Cache(tmp_path))
    assert engine.calls == [4, 4]


def test_progress_counts_distinct_problems():
    seen = []
    run([4, 8, 4], progress=lambda done, total, label: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_no_jobs_no_results():
    assert run([]) == []


def test_keys_follow_content_and_nothing_else():
    machine = replace(MACHINE, yaml="other text", unconfirmed=("x",))
    assert content_key(MACHINE, dot(4)) == content_key(machine, dot(4, name="other"))
    assert content_key(MACHINE, dot(4)) != content_key(replace(MACHINE, cycle_s=2e-9), dot(4))
    assert content_key(frozenset({"a", "b"})) == content_key(frozenset({"b", "a"}))
    assert content_key(1) != content_key(1.0)
