"""What a mapper is told of refresh, against the account of a step that consists of the mapped operation alone."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapped_nests import nests
from schedule_builders import CAMEL_REFRESH, CYCLE_S, conv, mac, machine, mapped, step, training_step

from camel_plugin.components.base import Refresh
from camel_plugin.engine.native import NativeEngine
from camel_plugin.engine.native.model import Model
from camel_plugin.engine.native.refresh import refreshed
from camel_plugin.errors import InfeasibleError
from camel_plugin.mapspace.batch import MappingBatch
from camel_plugin.plugins import load
from camel_plugin.refresh.account import account
from camel_plugin.refresh.duty import duties, idle_duties
from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.plan import plan
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.plan import Plan

POLICIES = ("none", "lifetime", "occupied", "conventional")


def edram(retention_cycles, row_cycles=0.0):
    """8 banks of 64 rows in the activation buffer."""
    return Refresh(8, 1, 64, 96, 3e-12, row_cycles, retention_cycles * CYCLE_S, 9 * retention_cycles * CYCLE_S, 0.3)


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


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=40, deadline=None)
@given(nests(), st.sampled_from([1, 2, 3.5, 7, 16, 50, 200]), st.sampled_from([0, 0.2, 0.9]))
def test_the_mapper_weighs_what_the_account_charges(policy, nest, retention_cycles, busy):
    problem, found = nest
    arch = machine(1024, refresh=edram(retention_cycles, busy * retention_cycles / 64), act_bandwidth=2)
    rules = load("refresh", policy)()
    model = Model(arch, problem)
    result = model.evaluate(MappingBatch.from_mappings(arch, problem, [found]))
    weighed = refreshed(arch.with_duties(idle_duties(arch, rules)), result)

    placed = alone(problem, arch)
    (operation,) = placed.step.operations
    cost = operation_cost(placed, operation, model.report(result, 0))
    charged = account(mapped(placed, {"conv": found}), {"conv": cost}, rules)
    assert weighed.cycles[0] == charged.operations[0].cycles
    assert weighed.refresh_J[0] == pytest.approx(charged.refresh_J, rel=1e-9, abs=1e-30)


def test_refresh_that_takes_all_the_time_is_refused():
    with pytest.raises(InfeasibleError, match="act"):
        arch = machine(1024, refresh=edram(64, 1))
        arch.with_duties(idle_duties(arch, load("refresh", "conventional")()))


def test_a_tile_that_would_block_its_own_port_is_no_candidate():
    problem = conv(4, 4, 4)
    arch = machine(1024, refresh=edram(64, 64), act_bandwidth=1)
    with_lifetimes = arch.with_duties(idle_duties(arch, load("refresh", "lifetime")()))
    found = NativeEngine().map(with_lifetimes, problem, Objective.LATENCY, 10)
    assert np.isfinite(found.value)
    assert found.value == pytest.approx((found.evaluation.cycles + found.evaluation.stall_cycles) * CYCLE_S)


def test_a_refresh_aware_mapping_lets_tiles_die_young():
    # The blind optimum holds a tile beyond the retention time; the aware one pays a few accesses more and no refresh.
    problem = conv(8, 8, 8, 3)
    arch = machine(1024, refresh=replace(edram(150), row_energy_J=2e-10))
    lifetime = load("refresh", "lifetime")()
    aware_machine = arch.with_duties(idle_duties(arch, lifetime))
    blind = NativeEngine().map(arch, problem, Objective.ENERGY, 10)
    aware = NativeEngine().map(aware_machine, problem, Objective.ENERGY, 10)
    totals = {}
    for name, found in (("blind", blind), ("aware", aware)):
        placed = mapped(alone(problem, arch), {"conv": found.mapping})
        cost = operation_cost(placed, placed.step.operations[0], found.evaluation)
        totals[name] = account(placed, {"conv": cost}, lifetime)
    assert aware.evaluation.energy_J > blind.evaluation.energy_J
    assert totals["aware"].refresh_J < totals["blind"].refresh_J
    assert totals["aware"].energy_J < totals["blind"].energy_J


@pytest.mark.parametrize("policy", POLICIES)
def test_residents_are_known_before_mapping(policy):
    work = training_step(c=8, p=8)
    arch = machine(4096, refresh=CAMEL_REFRESH)
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
        told = duties(plan(machine(400, refresh=refresh), work), load("refresh", "lifetime")())
        assert any(duty["act"].rows for duty in told.values()) == wanted
    assert not list(itertools.chain(*duties(plan(machine(400), work), load("refresh", "lifetime")()).values()))
