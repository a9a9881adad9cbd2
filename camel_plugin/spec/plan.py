"""A plan: a step in its order on a machine, where its tensors rest, and the mappings once they are found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from camel_plugin.spec.liveness import LiveRange, live_ranges
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.mapping import Mapping as LoopMapping
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.step import Operation, Step


@dataclass(frozen=True)
class Resting:
    """The home of a tensor on chip: rows of one instance for all its copies, from its first write to its last use.

    Attributes:
        level: storage level.
        start: first row.
        stop: row after the last one.
    """

    level: str
    start: int
    stop: int


@dataclass(frozen=True)
class Block:
    """Consecutive rows that a resident holds while it lives.

    Attributes:
        name: of the tensor.
        start: first row.
        stop: row after the last one.
        live: when it lives.
    """

    name: str
    start: int
    stop: int
    live: LiveRange


@dataclass(frozen=True)
class ChosenMapping:
    """The mapping of an operation.

    Attributes:
        mapping: of its problem.
        padded: dimension -> bound that was mapped, where that is not the problem's own.
        lower_bound: of the objective (J s, J or s) in the map space of the task ``found_for``; 0 for none known.
        found_for: content key of the task that it was found for; empty for one that nobody searched for.
    """

    mapping: LoopMapping
    padded: Mapping[str, int] = field(default_factory=dict)
    lower_bound: float = 0.0
    found_for: str = ""


@dataclass(frozen=True)
class Plan:
    """A step placed on a machine. Plain data: what else is asked of it follows from the step.

    Attributes:
        machine: as specified.
        step: in its order, with the operations that move copies.
        homes: tensor -> where it rests on chip; the other tensors rest in the outermost level.
        reasons: why each of those does.
        mappings: operation -> its mapping, as far as they are found.
        order: name of the order of the step. A label.
    """

    machine: Machine
    step: Step
    homes: Mapping[str, Resting]
    reasons: Mapping[str, str] = field(default_factory=dict)
    mappings: Mapping[str, ChosenMapping] = field(default_factory=dict)
    order: str = field(default="", compare=False)

    @cached_property
    def ranges(self) -> Mapping[str, LiveRange]:
        """Tensor -> when it lives, in the order of first use."""
        return live_ranges(self.step)

    @cached_property
    def home_levels(self) -> Mapping[str, str]:
        """Tensor -> storage level where it rests, in the order of first use."""
        outermost = self.machine.storages[0].name
        return {name: self.homes[name].level if name in self.homes else outermost for name in self.ranges}

    @cached_property
    def words(self) -> Mapping[str, int]:
        """Tensor -> words of one copy, see :func:`resting_words`."""
        return resting_words(self.step)

    @cached_property
    def blocks(self) -> Mapping[str, Block]:
        """Resident -> the rows of its home that it holds, all copies."""
        return {name: Block(name, home.start, home.stop, self.ranges[name]) for name, home in self.homes.items()}

    def operand_homes(self, operation: Operation) -> dict[str, str]:
        """Dataspace -> on-chip level where the operand rests that plays it."""
        return {space: self.homes[name].level for space, name in operation.roles.items() if name in self.homes}

    def residents(self, level: str, operation: str) -> tuple[str, ...]:
        """Tensors that live in ``level`` during ``operation``, operands and results included."""
        return tuple(self._present[self.step.index[operation]].get(level, ()))

    @cached_property
    def _present(self) -> list[dict[str, list[str]]]:
        """Of each operation, level -> tensors. Looked up for every operation and level of long steps."""
        present: list[dict[str, list[str]]] = [{} for _ in self.step.operations]
        for name, level in self.home_levels.items():
            live = self.ranges[name]
            for here in present[live.first : live.last + 1]:
                here.setdefault(level, []).append(name)
        return present

    def mapped_problem(self, operation: Operation) -> Problem | None:
        """The problem of ``operation`` as it is mapped, padded or not; None for a vector operation."""
        chosen = self.mappings.get(operation.name)
        if operation.problem is None or chosen is None:
            return operation.problem
        return operation.problem.with_bounds(chosen.padded)


def resting_words(step: Step) -> dict[str, int]:
    """Words of every tensor: of its values, or of the largest box that an operation touches in it."""
    words = {name: tensor.words() for name, tensor in step.tensors.items()}
    for operation in step.operations:
        if operation.problem is None:
            continue
        boxes: dict[str, int] = {}
        for dataspace, name in operation.roles.items():
            boxes[name] = boxes.get(name, 0) + operation.problem.volume(dataspace)
        for name, box in boxes.items():
            words[name] = max(words[name], step.tensors[name].words(box))
    return words
