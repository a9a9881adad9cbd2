"""Why data are refreshed, and what would spare it: lifetimes against the retention time, tensor by tensor.

Four changes are computed for each tensor that outlives the retention time, each with the mappings as they are: the die
temperature at which its cells retain for as long, the micro-batch if time goes with samples, the order in which it is
used up in time, and the array if operations get faster until a memory port holds them up.
"""

import math
import sys
from collections import Counter
from collections.abc import Mapping

from camel_plugin.components.scaling import TEMPERATURE_C, current_ratio
from camel_plugin.refresh.activity import LevelActivity
from camel_plugin.refresh.lifetime import Lifetime, resting_cycles
from camel_plugin.result import LevelLifetimes, LifetimeClass, OperationCost, Remedy
from camel_plugin.schedule.copies import without_copies
from camel_plugin.schedule.order import ORDERS, ordered
from camel_plugin.schedule.residency import spared_J
from camel_plugin.spec.liveness import users
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import PERSISTENT_KINDS, Operation, Step, TensorKind

EDGES = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0, math.inf)
"""Upper ends of the classes of the histogram, in retention times."""


SAMPLELESS = PERSISTENT_KINDS | {TensorKind.WEIGHT_GRAD}
"""Kinds of tensors whose size does not go with samples."""


def level_lifetimes(plan: Plan, activity: LevelActivity, costs: Mapping[str, OperationCost]) -> LevelLifetimes:
    """The report of one level.

    Args:
        plan: the placed step.
        activity: what the level holds.
        costs: of one run of every operation, refresh left out.
    """
    machine, step, written = plan.machine, plan.step, dict.fromkeys(EDGES, 0.0)
    worst: dict[str, Lifetime] = {}
    rows: Counter[str] = Counter()
    refreshes: Counter[str] = Counter()
    for data in activity.lifetimes:
        held = activity.rows(data.words) * data.instances
        for span in data.spans:
            edge = next(edge for edge in EDGES if activity.periods(span.cycles) < edge)
            written[edge] += held * span.times
            rows[data.tensor] += held * span.times
            refreshes[data.tensor] += held * span.times * activity.refreshes(span.cycles)
        if data.tensor not in worst or worst[data.tensor].cycles < data.cycles:
            worst[data.tensor] = data
    total = sum(written.values()) or 1.0
    by_order = _by_order(step, activity) if any(refreshes.values()) else {}
    here = {name for name, home in plan.homes.items() if home.level == activity.storage.name}
    uses = users(step)
    remedies = [
        Remedy(
            tensor=name,
            resident=name in here,
            spared_J=spared_J(machine, step, uses[name], name) if name in here else 0.0,
            lifetime_s=worst[name].cycles * machine.cycle_s,
            rows=rows[name],
            row_refreshes=count,
            refresh_J=count * activity.edram.row_energy_J,
            temperature_C=_temperature(machine, activity, worst[name].cycles),
            micro_batch=_micro_batch(plan, activity, worst[name]),
            order=None if worst[name].staged else _order(activity, by_order, name),
            array=_array(machine, activity, costs, worst[name]),
        )
        for name, count in refreshes.items()
        if count
    ]
    return LevelLifetimes(
        activity.storage.name,
        activity.edram.retention_s,
        tuple(LifetimeClass(edge if edge < math.inf else None, rows / total) for edge, rows in written.items()),
        tuple(sorted(remedies, key=lambda remedy: -remedy.row_refreshes)),
    )


def _temperature(machine: Machine, activity: LevelActivity, cycles: int) -> int | None:
    """Retention follows the leakage of the cells (exact at the yield for which the retention time was published)."""
    coldest, hottest = map(int, TEMPERATURE_C)
    if machine.temperature_C > hottest:
        return None
    for degrees in range(math.ceil(machine.temperature_C) - 1, coldest - 1, -1):
        longer = 1 / current_ratio(machine.temperature_C, degrees)
        if activity.periods(cycles) < longer:
            return degrees
    return None


def _during(activity: LevelActivity, data: Lifetime) -> list[tuple[float, str]]:
    """The operations during the longest stretch, with the share of a run that falls into it."""
    longest = max(data.spans, key=lambda span: span.cycles)
    start, stop = longest.written, longest.written + longest.cycles
    return [
        ((min(end, stop) - max(begin, start)) / max(1, end - begin), name)
        for name, begin, end in activity.timeline.runs(start, stop)
    ]


def _micro_batch(plan: Plan, activity: LevelActivity, data: Lifetime) -> int | None:
    """The largest divisor of the batch with which the data die in time, if time goes with samples."""
    step = plan.step
    sizes = [size for size in range(step.micro_batch - 1, 0, -1) if step.batch % size == 0]
    if not sizes:
        return None
    operations = {operation.name: operation for operation in step.operations}
    slots = activity.timeline.slots
    during = [
        (share, slots[name].cycles, _sampleless(plan, operations[name])) for share, name in _during(activity, data)
    ]

    def lasts(size: int) -> float:
        return sum(share * max(least, cycles * size / step.micro_batch) for share, cycles, least in during)

    return next((size for size in sizes if lasts(size) < activity.period_cycles), None)


def _sampleless(plan: Plan, operation: Operation) -> float:
    """Cycles of a run however few samples it has: parameters and their gradients pass from and to their homes."""
    busiest = 0.0
    for names, port in ((operation.reads, "read_bandwidth"), (operation.writes, "write_bandwidth")):
        words: Counter[str] = Counter()
        for name in dict.fromkeys(names):
            if plan.step.tensors[name].kind in SAMPLELESS:
                words[plan.home_levels[name]] += plan.step.tensors[name].words(operation.touched.get(name))
        for home, moved in words.items():
            bandwidth = getattr(plan.machine.storage(home), port)
            busiest = max(busiest, moved / bandwidth if bandwidth else 0.0)
    return busiest


def _by_order(step: Step, activity: LevelActivity) -> dict[str, dict[str, int]]:
    """Order -> tensor -> lifetime in it if every operation takes as long as it does now."""
    plain = without_copies(step)
    cycles = {name: slot.cycles for name, slot in activity.timeline.slots.items()}
    return {order: resting_cycles(ordered(plain, order), cycles) for order in ORDERS}


def _order(activity: LevelActivity, by_order: Mapping[str, Mapping[str, int]], name: str) -> str | None:
    return next((o for o, cycles in by_order.items() if not activity.refreshes(cycles.get(name, sys.maxsize))), None)


def _array(
    machine: Machine, activity: LevelActivity, costs: Mapping[str, OperationCost], data: Lifetime
) -> float | None:
    """The least factor of more multiply-accumulate units with which the data die in time, in steps of a tenth."""
    shares = [(share, costs[name]) for share, name in _during(activity, data)]
    units = machine.units

    def lasts(factor: float) -> float:
        return sum(share * _held_up(cost, units, factor) for share, cost in shares)

    if lasts(math.inf) >= activity.period_cycles:
        return None
    factor = 1.0
    while lasts(factor) >= activity.period_cycles:
        factor += 0.1
    return round(factor, 1)


def _held_up(cost: OperationCost, units: int, factor: float) -> float:
    """Cycles of an operation on an array ``factor`` times larger: its ports and vector lanes stay what they are."""
    ports = max((traffic.port_cycles for traffic in cost.levels.values()), default=0.0)
    if not cost.macs:
        return float(cost.cycles)
    return max(ports, cost.macs / units / factor, cost.cycles / factor)
