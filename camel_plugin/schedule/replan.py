"""A plan from its file: the tree, homes and mappings that somebody wrote, checked against machine and step."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from camel_plugin.errors import InputError, nearest
from camel_plugin.files.plan_file import HomeEntry, PlanFile, TreeEntry
from camel_plugin.files.v04.mapping_file import parse_mapping
from camel_plugin.files.yaml_source import YamlNode
from camel_plugin.schedule.banks import Rows
from camel_plugin.schedule.copies import Stay, with_copies
from camel_plugin.schedule.estimate import estimate
from camel_plugin.schedule.formats import in_words
from camel_plugin.schedule.order import ORDERS, cut, looped, ordered
from camel_plugin.schedule.placement import Holders
from camel_plugin.schedule.plan import stay_of
from camel_plugin.schedule.residency import takeovers
from camel_plugin.schedule.search import Candidate
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.plan import ChosenMapping, Plan, Resting
from camel_plugin.spec.refresh import RefreshPolicy
from camel_plugin.spec.settings import Order, Settings
from camel_plugin.spec.step import Operation, Step

_COPY = re.compile(r"(.+)@(\d+)")


def with_plan(file: PlanFile, settings: Settings, recipe: Mapping[str, object]) -> dict[str, object]:
    """Fields of a run's recipe: batch, micro-batch and schedule are the plan's unless they are given.

    Raises:
        InputError: an order that is not the plan's, or an engine that cannot evaluate its mappings.
    """
    if file.mappings and settings.engine != "native":
        raise InputError(
            "mappings of a plan are evaluated by the native model", field="engine", value=settings.engine,
            suggestion="use native, or take the mappings out of the plan",
        )  # fmt: skip
    if settings.depth_first not in (Order.NETWORK, file.order):
        raise InputError(
            "a plan has its order", field="depth_first", value=settings.depth_first.value, suggestion=file.order
        )
    own = {"batch": file.batch, "micro_batch": file.micro_batch, "schedule": file.schedule}
    return {**recipe, **{name: recipe.get(name) or value for name, value in own.items()}}


def replanned(file: PlanFile, machine: Machine, step: Step, policy: RefreshPolicy) -> Candidate:
    """The plan of a file as a candidate; arguments and errors as in :func:`replan`, ``step`` not sized yet."""
    plan = replan(file, machine, in_words(machine, step))
    return Candidate(plan, estimate(plan, policy))


def replan(file: PlanFile, machine: Machine, step: Step) -> Plan:
    """The plan that a file describes.

    Args:
        file: as it was read.
        machine: that it belongs to.
        step: that it belongs to, in no order yet, sized in words of the machine.

    Raises:
        SpecError: it belongs to something else, names what there is not, or cannot work; with file, line and field.
    """
    _check_owner(file, machine, step)
    work = _in_order(file, step)
    work = with_copies(work, sorted(_stays(file, work)))
    homes, outside = _Layout(file, machine, work).run()
    plan = Plan(machine, work, homes, outside, order=file.order)
    return replace(plan, mappings=dict(_mappings(file, plan)))


def _check_owner(file: PlanFile, machine: Machine, step: Step) -> None:
    actual = {
        "arch": machine.name,
        "net": step.network,
        "schedule": step.schedule,
        "batch": step.batch,
        "micro_batch": step.micro_batch,
    }
    for word, value in actual.items():
        if getattr(file, word) != value:
            raise file.at(word).error(
                f"this plan belongs to another {word}",
                value=getattr(file, word),
                suggestion=f"what was asked for has {value}",
            )


def _in_order(file: PlanFile, step: Step) -> Step:
    """The step with the loops of the tree."""
    repeated = looped(step)
    for entry in _operations(file.tree):
        if entry.operation not in step.index:
            suggestion = nearest(entry.operation, list(step.index))
            raise entry.node.error("unknown operation", value=entry.operation, suggestion=suggestion)
    loops = [entry for entry in file.tree if not entry.operation]
    trips = step.trips(repeated[0].name) if repeated else 1
    expected = iter(repeated)
    for loop in loops:
        if loop.over != "samples" or loop.trips != trips or not loop.body:
            raise loop.node.error(
                f"a loop runs {trips} times over samples here, and has a body",
                value=f"{loop.trips} times over {loop.over}",
            )
        for entry in loop.body:
            if not entry.operation:
                raise entry.node.error("loops inside loops are not evaluated yet")
            _check_next(entry, next(expected, None))
    if (missing := next(expected, None)) is not None:
        raise file.node.at(["tree"]).error(f"{missing.name} runs in no loop")
    starts = [sum(len(loop.body) for loop in loops[:index]) for index in range(len(loops))]
    work = cut(step, starts)
    _check_tree(file, work)
    if file.order in ORDERS and ordered(step, file.order) != work:
        raise file.at("order").error(
            "the tree has other loops than this order", value=file.order, suggestion="call it cut"
        )
    return work


def _operations(tree: Sequence[TreeEntry]) -> Iterator[TreeEntry]:
    for entry in tree:
        if entry.operation:
            yield entry
        yield from _operations(entry.body)


def _check_next(entry: TreeEntry, operation: Operation | None) -> None:
    if operation is None:
        raise entry.node.error("this operation runs in no loop, or stands twice", value=entry.operation)
    if entry.operation != operation.name:
        raise entry.node.error(
            "stands out of its order", value=entry.operation, suggestion=f"{operation.name} runs here"
        )


def _check_tree(file: PlanFile, work: Step) -> None:
    """What runs once stands behind the last loop that uses any of its tensors."""
    for entry, member in zip(file.tree, work.body, strict=False):
        if isinstance(member, Operation):
            _check_next(entry, member)
        elif entry.operation:
            raise entry.node.error(
                "stands out of its order",
                value=entry.operation,
                suggestion="it runs behind the last loop that uses any of its tensors",
            )
    if len(file.tree) != len(work.body):
        rest = sorted(set(work.index) - {entry.operation for entry in _operations(file.tree)})
        hint = f"missing: {', '.join(rest)}" if rest else None
        message = f"has {len(file.tree)} members where the step has {len(work.body)}"
        raise file.node.at(["tree"]).error(message, suggestion=hint)


def _stays(file: PlanFile, work: Step) -> Iterator[Stay]:
    """The copies that have homes."""
    for name, entry in file.homes.items():
        match = _COPY.fullmatch(name)
        if name in work.tensors or match is None or match[1] not in work.tensors:
            continue
        stay = stay_of(work, match[1], int(match[2]))
        if stay is None:
            hint = "copies of weights begin with a loop that uses them, copies of values with a block"
            raise entry.node.error("no copy can begin there", value=name, suggestion=hint)
        yield stay


class _Layout:
    """Homes as they are given, and rows for those that leave them open."""

    def __init__(self, file: PlanFile, machine: Machine, step: Step) -> None:
        self.file, self.step, self.machine = file, step, machine
        self.plan = Plan(machine, step, {})
        self.holders = Holders(machine, step)
        self.partners = takeovers(step, self.plan.ranges)
        self.rows = {level.name: Rows(level.depth, len(step.operations)) for level in self.holders.levels}
        self.homes: dict[str, Resting] = {}

    def run(self) -> tuple[dict[str, Resting], dict[str, str]]:
        """Tensor -> home on chip, and the other tensors with the reason that the file gives."""
        outermost = self.machine.storages[0].name
        given = {name: entry for name, entry in self.file.homes.items() if self._level(name, entry) != outermost}
        for name, entry in sorted(given.items(), key=lambda item: item[1].rows is None):
            self._settle(name, entry)
        for name in self.file.outside:
            place = self.file.node.at(["outside", name])
            if name not in self.plan.ranges:
                raise place.error("unknown tensor", value=name, suggestion=nearest(name, list(self.plan.ranges)))
            if name in self.homes:
                raise place.error("this tensor has a home on chip", value=name, suggestion="give one of the two")
        homes = {name: self.homes[name] for name in self.plan.ranges if name in self.homes}
        outside = {n: self.file.outside.get(n, "the plan puts it there") for n in self.plan.ranges if n not in homes}
        return homes, outside

    def _level(self, name: str, entry: HomeEntry) -> str:
        """The level of a home, which exists and may keep the tensor."""
        if name not in self.plan.ranges:
            known = nearest(name, list(self.plan.ranges))
            raise entry.node.error("unknown tensor", value=name, suggestion=known)
        names = [storage.name for storage in self.machine.storages]
        place = entry.node.at(["level"])
        if entry.level not in names:
            raise place.error("unknown level", value=entry.level, suggestion=nearest(entry.level, names))
        if entry.level == names[0]:
            return entry.level
        if not self.plan.ranges[name].produced:
            raise entry.node.error(
                "this tensor comes from outside the step and rests there", value=name, suggestion=f"level: {names[0]}"
            )
        kind = self.step.tensors[name].kind
        valid = [storage.name for storage in self.holders.of(kind)]
        if entry.level not in valid:
            raise place.error(
                f"this level may not keep {kind.value} tensors",
                value=entry.level,
                suggestion="valid: " + ", ".join([*valid, names[0]]),
            )
        return entry.level

    def _settle(self, name: str, entry: HomeEntry) -> None:
        live, level = self.plan.ranges[name], self.machine.storage(entry.level)
        need, taken = level.rows(self.plan.words[name]) * live.copies, self.rows[entry.level]
        moments = {other: at for other, at in self.partners.get(name, ()) if other in taken.blocks}
        if entry.rows is None:
            found = taken.find(need, live, moments)
            if found is None:
                raise entry.node.error(
                    f"no {need} free rows in a row in {level.name}, which has {level.depth}", value=name
                )
            start, partner = found
        else:
            start, stop = entry.rows
            place = entry.node.at(["rows"])
            if stop - start != need:
                raise place.error(f"{name} takes {need} rows in {level.name}", value=list(entry.rows))
            if level.depth is not None and stop > level.depth:
                raise place.error(f"{level.name} has {level.depth} rows", value=list(entry.rows))
            partner = self._shared(start, stop, taken, name, moments, place)
        taken.take(name, start, partner, need, live)
        self.homes[name] = Resting(level.name, start, start + need)

    def _shared(
        self, start: int, stop: int, taken: Rows, name: str, moments: Mapping[str, int], place: YamlNode
    ) -> tuple[str, int] | None:
        """The resident whose rows the tensor takes over in place, at the one moment at which both live."""
        partner = None
        for block in taken.meeting(self.plan.ranges[name]):
            if block.stop <= start or stop <= block.start:
                continue
            if block.name not in moments or block.start != start or partner is not None:
                raise place.error(
                    f"these rows are held by {block.name} at the same time",
                    value=[start, stop],
                    suggestion="give the level alone to have the tensor laid out",
                )
            partner = block.name, moments[block.name]
        return partner


def _mappings(file: PlanFile, plan: Plan) -> Iterator[tuple[str, ChosenMapping]]:
    for name, entry in file.mappings.items():
        if name not in plan.step.index:
            suggestion = nearest(name, list(plan.step.index))
            raise entry.node.error("unknown operation", value=name, suggestion=suggestion)
        problem = plan.step.operations[plan.step.index[name]].problem
        if problem is None:
            raise entry.node.error("a vector operation has no mapping", value=name)
        for dimension, bound in entry.padded.items():
            if dimension not in problem.dimensions or bound < problem.size[dimension]:
                raise entry.node.error(
                    f"{name} cannot be padded so", value=f"{dimension}={bound}", suggestion=f"it has {problem.size}"
                )
        found = parse_mapping(entry.directives, plan.machine, problem.with_bounds(entry.padded))
        yield name, ChosenMapping(found, entry.padded, entry.lower_bound, entry.found_for)
