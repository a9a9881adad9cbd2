"""Where to end one loop over the micro-batches and begin the next: the cuts with the least traffic in closed form.

A long loop sees more weights than fit on chip, so that they pass by for every micro-batch; a short one has more values
at its borders, which are stored and fetched once each. The traffic of a loop does not depend on the other cuts, so the
best cuts of all follow by dynamic programming over the places where a branch of a block ends.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from camel_plugin.schedule.order import cut, looped, parts, starts
from camel_plugin.schedule.placement import Holders
from camel_plugin.schedule.plan import VALUES
from camel_plugin.schedule.residency import WORKING_SHARE
from camel_plugin.spec.machine import Machine
from camel_plugin.spec.step import Operation, Step, TensorKind


def best_cut(machine: Machine, step: Step) -> Step:
    """The step with the loops whose estimated traffic to the outermost level is least."""
    repeated = looped(step)
    if not repeated:
        return step
    labels = starts(parts(step, "branch"))
    stops = [*labels[1:], len(repeated)]
    heads = [0, *(i for i, j in zip(labels, stops, strict=True) if i and _works(repeated[i:j]))]
    model = _Model(machine, step, repeated, heads)
    costs = [model.costs(first) for first in range(len(heads))]
    return cut(step, [heads[start] for start in least_costs(costs)[1]])


def least_costs(costs: Sequence[Sequence[float]]) -> tuple[float, list[int]]:
    """The cheapest way to cut a row of atoms into stretches, and where the stretches start.

    Args:
        costs: ``costs[first][length - 1]`` of each stretch.
    """
    least, came_from = [0.0], [0]
    for stop in range(1, len(costs) + 1):
        total, start = min((least[first] + costs[first][stop - first - 1], first) for first in range(stop))
        least.append(total)
        came_from.append(start)
    starts_, stop = [], len(costs)
    while stop > 0:
        stop = came_from[stop]
        starts_.append(stop)
    return least[-1], starts_[::-1]


def _works(operations: Sequence[Operation]) -> bool:
    return any(operation.problem is not None for operation in operations)


@dataclass
class _Atom:
    """Operations that are never torn apart.

    Attributes:
        weights: weight -> reads of it in one run.
        gradients: gradient of a weight -> accumulations in one run.
        inner_words: most words of values that it alone makes and uses.
    """

    weights: dict[str, int] = field(default_factory=dict)
    gradients: dict[str, int] = field(default_factory=dict)
    inner_words: int = 0


class _Model:
    """Traffic of a loop over any stretch of atoms, in words of a step."""

    def __init__(self, machine: Machine, step: Step, operations: Sequence[Operation], heads: Sequence[int]) -> None:
        self.runs = step.trips(operations[0].name)
        self.words = {name: tensor.words() for name, tensor in step.tensors.items()}
        holders = Holders(machine, step)
        self.weight_room = holders.room(TensorKind.WEIGHT)
        self.value_room = holders.room(TensorKind.ACTIVATION) * (1 - WORKING_SHARE)
        stops = [*heads[1:], len(operations)]
        self.atoms = [_atom(step, operations[i:j]) for i, j in zip(heads, stops, strict=True)]
        self.crossing: list[list[tuple[str, list[int]]]] = [[] for _ in heads]
        for name, at in _users(step, operations, stops).items():
            for atom in at if len(at) > 1 else ():
                self.crossing[atom].append((name, at))
        self.refresh = _refresh_run_cycles(machine, holders)
        lanes, units = machine.vector_unit.lanes, machine.units
        self.cycles = [
            sum(max(1.0, op.macs / units, op.vector_ops / lanes) for op in operations[i:j])
            for i, j in zip(heads, stops, strict=True)
        ]

    def costs(self, first: int) -> list[float]:
        """Words moved by a loop of the atoms from ``first``, by its length."""
        weights: dict[str, int] = {}
        gradients: dict[str, int] = {}
        held = [0] * len(self.atoms)
        used: dict[str, int] = {}
        border = 0
        found = []
        for last in range(first, len(self.atoms)):
            atom = self.atoms[last]
            for name, uses in atom.weights.items():
                weights[name] = weights.get(name, 0) + uses
            for name, uses in atom.gradients.items():
                gradients[name] = gradients.get(name, 0) + uses
            for name, at in self.crossing[last]:
                used[name] = used.get(name, 0) + 1
                border += self.words[name] * ((used[name] == 1) - (used[name] == len(at)))
                if used[name] == len(at):
                    for index in range(at[0], last + 1):
                        held[index] += self.words[name]
            peak = max(self.atoms[i].inner_words + held[i] for i in range(first, last + 1))
            worth = sum(self.cycles[first : last + 1]) < self.refresh
            gradient_room = self.value_room - peak if worth else 0.0
            found.append(
                border * self.runs
                + self._streamed(weights, self.weight_room, 1)
                + self._streamed({name: 2 * uses for name, uses in gradients.items()}, gradient_room, 0)
                + 2 * max(0.0, peak - self.value_room) * self.runs
            )
        return found

    def _streamed(self, uses: dict[str, int], room: float, once: int) -> float:
        """Words moved if what is used most stays in ``room``, moved ``once``, and the rest moves in every run."""
        moved = 0.0
        for name in sorted(uses, key=lambda name: (-uses[name], self.words[name])):
            stays = self.words[name] <= room
            room -= self.words[name] * stays
            moved += self.words[name] * (once if stays else uses[name] * self.runs)
        return moved


def _atom(step: Step, operations: Sequence[Operation]) -> _Atom:
    atom = _Atom()
    for operation in operations:
        values = 0
        for name in dict.fromkeys(operation.reads + operation.writes):
            kind = step.tensors[name].kind
            if kind is TensorKind.WEIGHT:
                atom.weights[name] = atom.weights.get(name, 0) + 1
            elif kind is TensorKind.WEIGHT_GRAD:
                atom.gradients[name] = atom.gradients.get(name, 0) + 1
            else:
                values += step.tensors[name].words()
        atom.inner_words = max(atom.inner_words, values)
    return atom


def _users(step: Step, operations: Sequence[Operation], stops: Sequence[int]) -> dict[str, list[int]]:
    """Value -> the atoms that use it, in order."""
    found: dict[str, list[int]] = {}
    for atom, operation in _in_atoms(operations, stops):
        for name in operation.reads + operation.writes:
            at = found.setdefault(name, [])
            if step.tensors[name].kind in VALUES and atom not in at[-1:]:
                at.append(atom)
    return found


def _refresh_run_cycles(machine: Machine, holders: Holders) -> float:
    """Duration of a run up to which it pays to keep a gradient refreshed that is read and written once in each."""
    outermost = machine.storages[0]
    saved_J = (outermost.energy.read_J + outermost.energy.write_J) / outermost.block_words
    best = 0.0
    for storage in holders.of(TensorKind.WEIGHT_GRAD):
        if storage.edram is None:
            return math.inf
        word_J = storage.edram.row_energy_J / storage.block_words
        best = max(best, saved_J / word_J * storage.edram.retention_s / machine.cycle_s)
    return best


def _in_atoms(operations: Sequence[Operation], stops: Sequence[int]) -> Iterator[tuple[int, Operation]]:
    atom = 0
    for index, operation in enumerate(operations):
        while index >= stops[atom]:
            atom += 1
        yield atom, operation
