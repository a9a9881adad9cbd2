"""What a mapper is told of refresh, against the account of a step that consists of the mapped operation alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_nests import nests
from schedule_builders import CAMEL_REFRESH, CYCLE_S, conv, mac, machine, step, training_step

from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.task_refresh import refreshed
from camel_plugin.errors import InfeasibleError
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.plugins import load
from camel_plugin.refresh.account import account
from camel_plugin.refresh.duty import duties, idle_duties
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.machine import EdramCells
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.task import Task

POLICIES = ("none", "lifetime", "occupied", "conventional")


class Nervous(RefreshPolicy):
    """By age and standing at once, as a user may have it."""

    name = "nervous"

    def refreshes(self, ages):
        return np.floor(4 * ages)

    def standing(self, total, occupied):
        return 0.25 * occupied


def edram(retention_cycles, row_cycles=0.0):
    """8 banks of 64 rows in the activation buffer."""
    return EdramCells(8, 1, 64, 96, 3e-12, row_cycles, retention_cycles * CYCLE_S, 9 * retention_cycles * CYCLE_S, 0.3)


def alone(problem, arch):
    """A step of one operation, all its tensors off chip."""
    shapes = {name: problem.dataspace(name).box(problem.size) for name in ("Inputs", "Weights", "Outputs")}
    kinds = {
        "x": ("input", shapes["Inputs"]),
        "w": ("weight", shapes["Weights"]),
        "y": ("activation", shapes["Outputs"]),
    }
    work = step([mac("conv", problem, "x", "w", "y")], **kinds)
    return Plan(arch, work, {})


@pytest.mark.parametrize("policy", [*POLICIES, "nervous"])
@settings(max_examples=40, deadline=None)
@given(nests(), st.sampled_from([1, 2, 3.5, 7, 16, 50, 200]), st.sampled_from([0, 0.2, 0.9]))
def test_the_mapper_weighs_what_the_account_charges(policy, nest, retention_cycles, busy):
    problem, found = nest
    arch = machine(1024, edram=edram(retention_cycles, busy * retention_cycles / 64), act_bandwidth=2)
    rules = Nervous() if policy == "nervous" else load("refresh", policy)()
    model = Model(Task(arch, problem))
    result = model.evaluate(MappingBatch.from_mappings(arch, problem, [found]))
    weighed = refreshed(Task(arch, problem, duties=idle_duties(arch, rules)), result)

    placed = alone(problem, arch)
    (operation,) = placed.step.operations
    cost = operation_cost(placed, operation, model.report(result, 0))
    charged = account(placed, {"conv": cost}, rules)
    assert weighed.cycles[0] == charged.operations[0].totals.cycles
    assert weighed.refresh_J[0] == pytest.approx(charged.totals.refresh_J, rel=1e-9, abs=1e-30)


def test_refresh_that_takes_all_the_time_is_refused():
    with pytest.raises(InfeasibleError, match="act"):
        arch = machine(1024, edram=edram(64, 1))
        Task(arch, conv(4, 4, 4), duties=idle_duties(arch, load("refresh", "conventional")()))


def test_a_tile_that_would_block_its_own_port_is_no_candidate():
    problem = conv(4, 4, 4)
    arch = machine(1024, edram=edram(64, 64), act_bandwidth=1)
    with_lifetimes = Task(arch, problem, duties=idle_duties(arch, load("refresh", "lifetime")()))
    found = NativeEngine().map(with_lifetimes, Objective.LATENCY, 10)
    assert np.isfinite(found.value)
    assert found.value == pytest.approx((found.evaluation.cycles + found.evaluation.stall_cycles) * CYCLE_S)


def test_a_refresh_aware_mapping_lets_tiles_die_young():
    # The blind optimum holds a tile beyond the retention time; the aware one pays a few accesses more and no refresh.
    problem = conv(8, 8, 8, 3)
    arch = machine(1024, edram=replace(edram(150), row_energy_J=2e-10))
    lifetime = load("refresh", "lifetime")()
    blind = NativeEngine().map(Task(arch, problem), Objective.ENERGY, 10)
    aware = NativeEngine().map(Task(arch, problem, duties=idle_duties(arch, lifetime)), Objective.ENERGY, 10)
    totals = {}
    for name, found in (("blind", blind), ("aware", aware)):
        placed = alone(problem, arch)
        cost = operation_cost(placed, placed.step.operations[0], found.evaluation)
        totals[name] = account(placed, {"conv": cost}, lifetime)
    assert aware.evaluation.energy_J > blind.evaluation.energy_J
    assert totals["aware"].totals.refresh_J < totals["blind"].totals.refresh_J
    assert totals["aware"].totals.energy_J < totals["blind"].totals.energy_J


@pytest.mark.parametrize("policy", POLICIES)
def test_residents_are_known_before_mapping(policy):
    work = training_step(c=8, p=8)
    arch = machine(4096, edram=CAMEL_REFRESH)
    placed = plan(arch, work)
    told = duties(placed, load("refresh", policy)())
    assert list(told) == [operation.name for operation in placed.step.operations]
    rows = {name: duty["act"].rows / CAMEL_REFRESH.rows for name, duty in told.items()}
    assert all(0 <= share <= 1 for share in rows.values())
    if policy == "conventional":
        assert set(rows.values()) == {1}
    if policy == "none":
        assert set(rows.values()) == {0}


def test_colder_residents_need_no_duty():
    work = training_step(c=8, p=8)
    hot, cold = (replace(CAMEL_REFRESH, retention_s=time) for time in (1e-7, 10.0))
    for refresh, wanted in ((hot, True), (cold, False)):
        told = duties(plan(machine(400, edram=refresh), work), load("refresh", "lifetime")())
        assert any(duty["act"].rows for duty in told.values()) == wanted
    assert not list(itertools.chain(*duties(plan(machine(400), work), load("refresh", "lifetime")()).values()))
