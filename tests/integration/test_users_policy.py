"""A refresh policy that a package of a user's registers: mapper, placement and account weigh it."""

from dataclasses import replace

import pytest
from schedule_builders import CAMEL_REFRESH, CYCLE_S, conv, machine, step, vector

from camel_plugin.engine.native import NativeEngine
from camel_plugin.pipeline import evaluate
from camel_plugin.plugins import load, registered
from camel_plugin.refresh.account import account
from camel_plugin.refresh.duty import idle_duties
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.residency import place
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.task import Task

MODULE = """
import numpy as np

class Nervous:
    name = "nervous"
    restores = True
    fallback = None

    def refreshes(self, ages):
        return np.floor(4 * ages)

    def standing(self, total, occupied):
        return 0.25 * occupied
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package that is installed beside ours: a module, and metadata with its entry point."""
    (tmp_path / "nervous.py").write_text(MODULE)
    metadata = tmp_path / "nervous-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: nervous\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[camel_plugin.refresh]\nnervous = nervous:Nervous\n")
    monkeypatch.syspath_prepend(tmp_path)
    registered.cache_clear()
    yield
    registered.cache_clear()


def waiting(row_J):
    """A value of 60 words that waits for 2002 cycles."""
    work = step(
        [vector("make", ("x",), ("a",)), vector("pause", ("x",), ("p",), 16000), vector("use", ("a",), ("b",))],
        x=("input", (60,)),
        a=("activation", (60,)),
        b=("activation", (1,)),
        p=("activation", (1,)),
    )
    return machine(weight_depth=1, edram=replace(CAMEL_REFRESH, row_energy_J=row_J, row_cycles=0)), work


def test_the_placement_weighs_it():
    # 2002 of 1675 cycles: floor(4 x 1.195) = 4 refreshes of 480/58 rows, and a quarter of them all the time.
    # DRAM: 8 accesses of 64 bits at 512 pJ each way.
    break_even_J = 2 * 8 * 512e-12 / ((4 + 0.25 * 2002 / 1675) * 480 / 58)
    policy = load("refresh", "nervous")()
    for factor, home in ((0.99, "act"), (1.01, "dram")):
        assert place(*waiting(factor * break_even_J), policy).home_levels["a"] == home
    # By age alone one refresh is due: that would be worth it.
    assert place(*waiting(1.01 * break_even_J)).home_levels["a"] == "act"


def test_the_account_charges_it():
    arch, work = waiting(1e-15)
    plan, policy = place(arch, work), load("refresh", "nervous")()
    cycles = {"make": 1, "pause": 2000, "use": 1}
    costs = {op.name: replace(operation_cost(plan, op, None), cycles=cycles[op.name]) for op in work.operations}
    found = account(plan, costs, policy)
    # Rows of 58 bits that hold a, b and p: 86016 rows hold 49152 words. Quarters of 1675 cycles that pass: a waits for
    # 2002 cycles, p from the start of "pause" for 2000 (nobody reads it), b not at all.
    by_age = 105 * 4
    assert sum(plan.home_levels[name] == "act" for name in "abp") == 3
    occupied = dict.fromkeys(cycles, 1 * 7 * 1024)  # all of it lies in the first bank
    standing = sum(0.25 * occupied[name] * cycles[name] / 1675 for name in cycles)
    assert found.totals.refresh_count == pytest.approx(by_age + standing, rel=1e-9)


def test_the_mapper_weighs_it():
    # A row is so dear that no tile may reach a quarter of the retention time if another mapping can do without.
    cells = replace(CAMEL_REFRESH, banks=8, arrays_per_bank=1, rows_per_array=64, row_bits=96, row_energy_J=2e-10)
    arch = machine(1024, edram=replace(cells, row_cycles=0, retention_s=150 * CYCLE_S))
    problem = conv(8, 8, 8, 3)
    duties = {name: idle_duties(arch, load("refresh", name)()) for name in ("none", "lifetime", "nervous")}
    tasks = {name: Task(arch, problem, duties=duty) for name, duty in duties.items()}
    found = {name: NativeEngine().map(task, Objective.ENERGY, 10) for name, task in tasks.items()}
    assert found["none"].value < found["lifetime"].value < found["nervous"].value
    assert found["nervous"].mapping != found["none"].mapping
    nervous = found["nervous"].evaluation
    assert nervous.refresh_J > 0 and found["nervous"].value == pytest.approx(nervous.energy_J + nervous.refresh_J)


def test_a_whole_run_knows_it_by_name():
    found = {
        name: evaluate("camel", "lenet5", refresh=name, budget_s=0.0, pad=False, workers=1).totals
        for name in ("lifetime", "nervous")
    }
    assert found["nervous"].refresh_J > found["lifetime"].refresh_J
