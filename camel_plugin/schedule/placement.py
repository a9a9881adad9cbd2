"""Where tensors may rest: the storages that a machine shares, what each may hold, and how full a plan makes them."""

import math

import numpy as np

from camel_plugin.spec.liveness import in_place
from camel_plugin.spec.machine import Machine, Storage
from camel_plugin.spec.plan import Plan
from camel_plugin.spec.step import Pass, Step, TensorKind


class Holders:
    """Which shared storages of a machine may hold which kind of tensor.

    Weights and optimizer state belong where forward operations may keep their weights, all other
    values where they may keep their inputs and outputs alike. The gradient of a weight is a
    gradient by nature and a weight by shape: it may rest in either.
    """

    def __init__(self, machine: Machine, step: Step) -> None:
        self.machine = machine
        self.levels = machine.shared_storages
        weights, everything = set(), set()
        for operation in step.operations:
            if operation.pass_ is Pass.FORWARD:
                everything |= set(operation.roles)
                kinds = {space: step.tensors[name].kind for space, name in operation.roles.items()}
                weights |= {space for space, kind in kinds.items() if kind is TensorKind.WEIGHT}
        self.weights, self.data = frozenset(weights), frozenset(everything - weights)

    def of(self, kind: TensorKind) -> list[Storage]:
        """Storages that may hold tensors of that kind, the preferred one first."""
        by_kind = {
            TensorKind.WEIGHT: (self.weights,),
            TensorKind.OPTIMIZER_STATE: (self.weights,),
            TensorKind.WEIGHT_GRAD: (self.data, self.weights),
        }
        found = {
            level.name: level
            for spaces in by_kind.get(kind, (self.data,))
            for level in self.levels
            if all(self.machine.may_keep(level, space) for space in spaces)
        }
        return list(found.values())

    def room(self, kind: TensorKind) -> float:
        """Words that fit on chip."""
        sizes = (storage.capacity_words for storage in self.of(kind))
        return sum(math.inf if words is None else words for words in sizes)


def peak_bytes(plan: Plan) -> dict[str, float]:
    """Shared on-chip level -> most bytes of residents at any moment (tiles not counted; rows taken over once)."""
    return {
        level.name: level.bits(int(rows_held(plan, level.name).max(initial=0)) * level.block_words) / 8
        for level in plan.machine.shared_storages
    }


def rows_held(plan: Plan, level: str) -> np.ndarray[tuple[int], np.dtype[np.int_]]:
    """Rows of residents of ``level`` during each operation."""
    held = np.zeros(len(plan.step.operations), int)
    here = {name: block for name, block in plan.blocks.items() if plan.homes[name].level == level}
    for block in here.values():
        held[block.live.first : block.live.last + 1] += block.stop - block.start
    for output, dying in in_place(plan.step, plan.ranges).items():
        if output in here and dying in here:
            shared = min(here[output].stop, here[dying].stop) - max(here[output].start, here[dying].start)
            held[here[output].live.first] -= max(0, shared)
    return held
