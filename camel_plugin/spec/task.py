"""What an engine maps: one problem on one machine, as one operation of a step finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from camel_plugin.cache import content_key
from camel_plugin.spec.constraint_macros import spelt_out
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.objective import Objective
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.refresh import RefreshTable


@dataclass(frozen=True)
class RefreshDuty:
    """What a refresh policy does to an eDRAM level while an operation runs.

    Attributes:
        rows: rows of one instance that are refreshed once a retention time, whatever the mapping.
        share: of the rows that accesses meet, those that are kept alive whatever the mapping; 0..1.
        tiles: what it does to the tiles of a mapping.
    """

    rows: float
    share: float
    tiles: RefreshTable


@dataclass(frozen=True)
class Task:
    """A problem on a machine.

    Attributes:
        machine: hardware alone.
        problem: the loop nest.
        homes: dataspace -> level where it rests WHOLE during the operation, whatever loops stand outside that level;
            names that are absent rest in the outermost level. Levels outside a home, and those parallel to it, never
            see the dataspace.
        room: level -> rows of an instance that are left; names that are absent have all of them.
        value_words: dataspace -> words that one of its values takes in the memories that the whole machine shares,
            where a recipe sets its format; else 1.
        duties: eDRAM level -> its refresh, for a mapper that weighs it; empty for one that does not.
        name: for messages.

    Raises:
        InfeasibleError: refreshing the rows of a level takes as long as its data last.
    """

    machine: Machine
    problem: Problem
    homes: Mapping[str, str] = field(default_factory=dict)
    room: Mapping[str, int] = field(default_factory=dict)
    value_words: Mapping[str, float] = field(default_factory=dict)
    duties: Mapping[str, RefreshDuty] = field(default_factory=dict)
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name, duty in self.duties.items():
            cells = self.machine.storage(name).edram
            if cells is not None:
                cells.availability(duty.share, self.machine.cycle_s, name)

    @cached_property
    def constrained(self) -> Machine:
        """The machine with keep and bypass as the homes ask, the rows that are left, and its constraints as factors."""
        machine, homes = spelt_out(self.machine, self.problem), self.homes
        order = {storage.name: index for index, storage in enumerate(machine.storages)}
        nodes = []
        for node in machine.nodes:
            if isinstance(node, Storage) and homes:
                keep, bypass = set(node.keep), set(node.bypass)
                for dataspace, home in homes.items():
                    outside = order[node.name] < order[home]
                    peer = node.parallel is not None and node.parallel == machine.storage(home).parallel
                    if node.name == home:
                        keep.add(dataspace)
                        bypass.discard(dataspace)
                    elif outside or peer:
                        keep.discard(dataspace)
                        bypass.add(dataspace)
                node = replace(node, keep=frozenset(keep), bypass=frozenset(bypass))
            if isinstance(node, Storage) and node.name in self.room:
                node = replace(node, depth=self.room[node.name])
            nodes.append(node)
        return replace(machine, nodes=tuple(nodes))

    @cached_property
    def content(self) -> str:
        """Equal for tasks with the same map space and costs, whatever their names."""
        machine = self.constrained
        return content_key(machine.nodes, machine.cycle_s, self.homes, self.value_words, self.duties, self.problem)

    def found_for(self, objective: Objective) -> str:
        """What stands beside a mapping that was found for this task."""
        return content_key(self.content, objective)[:16]

    def resident(self, level: str) -> frozenset[str]:
        """Dataspaces whose home is ``level``."""
        return frozenset(dataspace for dataspace, home in self.homes.items() if home == level)

    def words_per_value(self, level: str) -> tuple[float, ...]:
        """Words of ``level`` that a value of each dataspace takes, in the order of the problem."""
        if level not in self._shared:
            return (1.0,) * len(self.problem.dataspaces)
        return tuple(self.value_words.get(space.name, 1.0) for space in self.problem.dataspaces)

    @cached_property
    def _shared(self) -> frozenset[str]:
        return frozenset({self.machine.storages[0].name, *(each.name for each in self.machine.shared_storages)})

    def padded(self, bounds: Mapping[str, int]) -> Task:
        """The same with some bounds (dimension -> bound) of the problem replaced."""
        return replace(self, problem=self.problem.with_bounds(bounds))
