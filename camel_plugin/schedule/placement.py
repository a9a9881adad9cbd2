"""Where tensors rest: the result of residency, and what a machine's storages may hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from camel_plugin.schedule.banks import Block
from camel_plugin.schedule.liveness import LiveRange
from camel_plugin.spec.machine import Fanout, Machine, Storage


@dataclass(frozen=True)
class Spill:
    """A tensor that rests in the outermost level.

    Attributes:
        tensor: its name.
        bytes: its size there.
        reason: why no on-chip storage holds it.
    """

    tensor: str
    bytes: float
    reason: str


@dataclass(frozen=True)
class Placement:
    """Where every tensor of a step rests.

    Attributes:
        homes: tensor -> storage level.
        words: tensor -> words of one copy (bounding box, padding included).
        words_per_value: tensor -> words that one of its values takes.
        ranges: tensor -> live range.
        blocks: resident tensor -> the rows of its home that it holds, all copies.
        overlays: resident tensor -> resident tensor of the same level whose words it takes over.
        operation_homes: operation -> dataspace -> on-chip home, for :meth:`Machine.with_homes`.
        peak_bytes: on-chip level -> most bytes of residents at any moment (tiles not counted).
        spills: every tensor in the outermost level.
        index: operation -> its place in the order.
        spared_J: resident tensor -> energy of the accesses to the outermost level that it saves.
    """

    homes: Mapping[str, str]
    words: Mapping[str, int]
    words_per_value: Mapping[str, float]
    ranges: Mapping[str, LiveRange]
    blocks: Mapping[str, Block]
    overlays: Mapping[str, str]
    operation_homes: Mapping[str, Mapping[str, str]]
    peak_bytes: Mapping[str, float]
    spills: tuple[Spill, ...]
    index: Mapping[str, int]
    spared_J: Mapping[str, float]

    def residents(self, level: str, operation: str) -> tuple[str, ...]:
        """Tensors that live in ``level`` during ``operation``, operands and results included."""
        return self._present[self.index[operation]].get(level, ())

    @cached_property
    def _present(self) -> list[dict[str, tuple[str, ...]]]:
        """Of each operation, level -> residents. Looked up for every operation and level of long steps."""
        present: list[dict[str, tuple[str, ...]]] = [{} for _ in self.index]
        for name, level in self.homes.items():
            live = self.ranges[name]
            for here in present[live.first : live.last + 1]:
                here[level] = (*here.get(level, ()), name)
        return present


def shared_storages(machine: Machine) -> tuple[Storage, ...]:
    """On-chip storages that the whole machine shares (outside any fanout), outermost first."""
    shared: list[Storage] = []
    for node in machine.nodes:
        if isinstance(node, Fanout) and node.size > 1:
            break
        if isinstance(node, Storage) and node != machine.storages[0] and not node.is_dram:
            shared.append(node)
    return tuple(shared)


def may_keep(machine: Machine, storage: Storage, dataspace: str) -> bool:
    """The specification lets ``storage`` keep ``dataspace``: no bypass, no parallel peer that must keep it."""
    if dataspace in storage.keep:
        return True
    peers = (s for s in machine.storages if storage.parallel is not None and s.parallel == storage.parallel)
    return dataspace not in storage.bypass and not any(dataspace in peer.keep for peer in peers)


def rows(storage: Storage, words: float) -> int:
    """Accesses (rows of ``width`` bits) that ``words`` words fill."""
    return math.ceil(words / storage.block_words)
