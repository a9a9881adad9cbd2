"""Rows of a storage over the operations of a step: an address for every resident, hence its banks.

Banks are filled one after the other: row ``r`` of a storage of ``depth`` rows in ``banks`` banks lies in bank
``r // ceil(depth / banks)``. A resident lies in consecutive rows and never moves. What waits from run to run is put
at the far end, so that the short-lived ones at the near end do not cut the room between into pieces.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from camel_plugin.spec.liveness import LiveRange
from camel_plugin.spec.plan import Block


class Rows:
    """The rows of one storage.

    Args:
        depth: rows of the storage, None for unlimited.
        operations: of the step.
    """

    def __init__(self, depth: int | None, operations: int) -> None:
        self.depth = depth
        self.used = np.zeros(operations, int)
        self.blocks: dict[str, Block] = {}
        self._at: list[list[Block]] = [[] for _ in range(operations)]

    def find(
        self, need: int, live: LiveRange, partners: Mapping[str, int]
    ) -> tuple[int, tuple[str, int] | None] | None:
        """First of ``need`` consecutive rows that are free as long as ``live``, and the partner it shares them with.

        Args:
            need: rows.
            live: when they must be free.
            partners: residents that may share their rows, from the first one on, with the one moment at which.

        Returns:
            None if there are no such rows.
        """
        others = list(self.meeting(live))
        for partner, moment in partners.items():
            start = self.blocks[partner].start
            busy = (block for block in others if block.name != partner)
            if self._within(start + need) and all(block.stop <= start or block.start >= start + need for block in busy):
                return start, (partner, moment)
        gaps = [(start, stop) for start, stop in _gaps(others, self.depth) if stop - start >= need]
        if not gaps:
            return None
        if live.carried and self.depth is not None:
            return int(gaps[-1][1]) - need, None
        return int(gaps[0][0]), None

    def take(self, name: str, start: int, partner: tuple[str, int] | None, need: int, live: LiveRange) -> None:
        """Settle a resident in rows that :meth:`find` found."""
        block = Block(name, start, start + need, live)
        self.used[live.first : live.last + 1] += need
        if partner is not None:
            other = self.blocks[partner[0]]
            self.used[partner[1]] -= min(need, other.stop - other.start)
        for index in range(live.first, live.last + 1):
            self._at[index].append(block)
        self.blocks[name] = block

    def _within(self, stop: int) -> bool:
        return self.depth is None or stop <= self.depth

    def meeting(self, live: LiveRange) -> Iterator[Block]:
        """Residents that live at the same time at some moment."""
        if 2 * (live.last - live.first) > len(self.blocks):
            yield from (b for b in self.blocks.values() if b.live.first <= live.last and live.first <= b.live.last)
            return
        seen: set[str] = set()
        for index in range(live.first, live.last + 1):
            for block in self._at[index]:
                if block.name not in seen:
                    seen.add(block.name)
                    yield block


def _gaps(blocks: Iterable[Block], depth: int | None) -> Iterator[tuple[int, float]]:
    """Free rows between blocks, lowest first."""
    low = 0
    for block in sorted(blocks, key=lambda block: block.start):
        if block.start > low:
            yield low, block.start
        low = max(low, block.stop)
    if depth is None or depth > low:
        yield low, math.inf if depth is None else depth


def banks_of(blocks: Sequence[Block], extra_rows: int, depth: int, banks: int) -> int:
    """Banks that hold any of the ``blocks`` or of ``extra_rows`` further rows, which fill begun banks first."""
    size = math.ceil(depth / banks)
    begun: set[int] = set()
    for block in blocks:
        begun.update(range(block.start // size, math.ceil(block.stop / size)))
    held = _covered(blocks)
    return min(banks, len(begun) + math.ceil(max(0, extra_rows - (len(begun) * size - held)) / size))


def _covered(blocks: Iterable[Block]) -> int:
    """Rows that are held by at least one block."""
    covered, low = 0, 0
    for block in sorted(blocks, key=lambda block: block.start):
        covered += max(0, block.stop - max(low, block.start))
        low = max(low, block.stop)
    return covered
