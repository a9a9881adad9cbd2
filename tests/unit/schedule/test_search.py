from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from schedule_builders import machine, step, training_step, vector

from camel_plugin.schedule.cost import operation_cost
from camel_plugin.schedule.estimate import estimate
from camel_plugin.schedule.order import ORDERS, loops, ordered
from camel_plugin.schedule.plan import plan
from camel_plugin.schedule.search import search
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.refresh import LifetimeRefresh
from camel_plugin.spec.settings import Order


def chain(micro_batch=1, batch=8, words=12, ops=4):
    """Vector operations in a row; a micro-batch of m samples has m times the words."""
    names = [f"v{i}" for i in range(ops)]
    reads = ["x", *names[:-1]]
    work = step(
        [
            vector(f"l.{i}.op", (source, f"w{i}"), (name,), words * micro_batch, repeats=batch // micro_batch)
            for i, (source, name) in enumerate(zip(reads, names, strict=True))
        ],
        x=("input", (micro_batch, words)),
        **dict.fromkeys(names, ("activation", (micro_batch, words))),
        **{f"w{i}": ("weight", (40,)) for i in range(ops)},
    )
    return replace(work, batch=batch, micro_batch=micro_batch)


def test_the_most_promising_comes_first_and_equal_orders_once():
    found = search(machine(60, 30), chain, [1, 2, 4, 8], Order.AUTO, Objective.ENERGY, LifetimeRefresh())
    values = [candidate.estimate.energy_J for candidate in found]
    assert values == sorted(values)
    # With one micro-batch all orders are one.
    assert sum(candidate.plan.step.micro_batch == 8 for candidate in found) <= 1
    assert len({(c.plan.step.micro_batch, tuple(loops(c.plan.step))) for c in found}) == len(found)


def test_the_search_stops_when_larger_micro_batches_promise_less():
    asked = []

    def step_of(size):
        asked.append(size)
        return chain(size, batch=64, words=400)

    search(machine(80, 60), step_of, [1, 2, 4, 8, 16, 32, 64], Order.NETWORK, Objective.ENERGY, LifetimeRefresh())
    assert asked == [1, 2, 4] or len(asked) < 7


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 30), st.sampled_from([1, 2, 4]))
def test_the_cut_order_moves_no_more_than_any_named_one(act, weight, size):
    arch = machine(act, weight)
    (cut,) = search(arch, chain, [size], Order.CUT, Objective.EDP, LifetimeRefresh())
    named = [search(arch, chain, [size], order, Objective.EDP, LifetimeRefresh())[0] for order in ORDERS]
    assert cut.plan.order == "cut"
    assert cut.estimate.dram_bytes <= min(each.estimate.dram_bytes for each in named)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(ORDERS))
def test_the_estimate_is_a_bound_that_vector_operations_meet(act, weight, order):
    # Each tensor moves once: closed form and account must count the same words; cycles round up.
    placed = plan(machine(act, weight), ordered(chain(2), order))
    costs = [(operation_cost(placed, op, None), placed.step.trips(op.name)) for op in placed.step.operations]
    found = estimate(placed, LifetimeRefresh())
    moved = sum((cost.dram_read_bytes + cost.dram_written_bytes) * runs for cost, runs in costs)
    assert found.dram_bytes <= moved
    assert found.latency_s <= sum(cost.latency_s * runs for cost, runs in costs) * (1 + 1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 16), st.integers(1, 10))
def test_in_a_roomy_machine_every_order_has_the_compulsory_traffic(c, p):
    # What comes from outside is read where it is used; nothing else goes off chip but waiting values that do not fit.
    work = training_step(c, p, repeats=4)
    placed = plan(machine(10**6, 10**6), ordered(work, "none"))
    outside = {name for name, home in placed.home_levels.items() if home == "dram"}
    assert outside == {"x"}
