"""What was decided on the way to a result, in sentences made from it."""

from camel_plugin.report.refresh_reasons import level_notes
from camel_plugin.result import StepResult
from camel_plugin.schedule.formats import format_notes


def notes(result: StepResult) -> list[str]:
    """Search, formats, what spills and why, padded sizes, what was mapped anew, refresh, and the totals of a run."""
    return [
        *_search(result),
        *(format_notes(result.plan.machine, result.plan.step) if result.plan else ()),
        *_vector(result),
        *_spills(result),
        *_padding(result),
        *_anew(result),
        *(note for level in result.lifetimes for note in level_notes(level)),
        *_run(result),
    ]


def _search(result: StepResult) -> list[str]:
    found = result.search
    if not found:
        return []
    sizes = ", ".join(str(size) for size in sorted({each.micro_batch for each in found}))
    best = "; ".join(
        f"micro-batch {each.micro_batch} {each.order}: {each.latency_s * 1e3:.4g} ms, {each.energy_J * 1e3:.4g} mJ"
        for each in found
        if each.latency_s is not None and each.energy_J is not None
    )
    return [f"searched {len(found)} plans (micro-batch {sizes}), the most promising mapped: {best}"]


def _vector(result: StepResult) -> list[str]:
    """Element operations that the machine's description has no unit for."""
    if result.plan is None or result.plan.machine.vector is not None:
        return []
    if all(operation.problem is not None for operation in result.plan.step.operations):
        return []
    return ["no vector unit is described: element operations run on the MAC units, each at the energy of a MAC"]


def foreign(result: StepResult) -> bool:
    """Some energies come from elsewhere than our component models."""
    return any(entry.source and not entry.source.startswith("built-in model: ") for entry in result.energies)


def sources(result: StepResult) -> str:
    """Where the energies come from: who prices which components."""
    named: dict[str, list[str]] = {}
    for entry in result.energies:
        names = named.setdefault(entry.source or "unknown", [])
        if entry.component not in names:
            names.append(entry.component)
    return "; ".join(f"{', '.join(names)}: {source}" for source, names in named.items())


def _run(result: StepResult) -> list[str]:
    named = {"epoch": "an epoch", "target": "until the target (TTA, ETA)"}
    return [
        f"{words}: {result.run[name].latency_s:.4g} s, {result.run[name].energy_J:.4g} J"
        for name, words in named.items()
        if name in result.run
    ]


def _padding(result: StepResult) -> list[str]:
    plan = result.plan
    if plan is None:
        return []
    pairs = [
        (operation.macs * plan.step.trips(operation.name), problem.macs * plan.step.trips(operation.name))
        for operation in plan.step.operations
        if (problem := plan.mapped_problem(operation)) is not None and problem != operation.problem
    ]
    if not pairs:
        return []
    added = sum(mapped for _, mapped in pairs) / sum(asked for asked, _ in pairs) - 1
    return [f"{len(pairs)} operations are mapped on padded sizes: {added:.1%} more MACs there, not counted as work"]


def _anew(result: StepResult) -> list[str]:
    names = result.mapped_anew
    return [f"{len(names)} operations are mapped anew beside the plan's mappings: {', '.join(names)}"] if names else []


def _spills(result: StepResult) -> list[str]:
    plan = result.plan
    if plan is None or not plan.reasons:
        return []
    outermost = plan.machine.storages[0]
    sizes = {name: outermost.bits(plan.step.tensors[name].words()) / 8 for name in plan.reasons}
    largest = max(sizes, key=lambda name: sizes[name])
    return [
        f"{len(sizes)} of {len(plan.ranges)} tensors rest in {outermost.name}; "
        f"the largest is {largest} ({sizes[largest]:.0f} bytes: {plan.reasons[largest]})"
    ]
