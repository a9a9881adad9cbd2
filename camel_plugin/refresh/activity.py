"""What an eDRAM level holds during a step: the facts that refresh policies decide on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from camel_plugin.refresh.lifetime import Lifetime
from camel_plugin.schedule.banks import banks_of
from camel_plugin.schedule.timeline import Timeline
from camel_plugin.spec.machine import EdramCells, Storage
from camel_plugin.spec.plan import Block, Plan


@dataclass(frozen=True)
class LevelActivity:
    """What an eDRAM level holds during a step.

    Attributes:
        storage: the level.
        edram: its cells, one instance.
        instances: physical instances.
        cycle_s: seconds of a clock cycle.
        timeline: of the step.
        lifetimes: of all data in this level.
        live: operation -> (banks of one instance that hold live data, instances that hold any).
        holders: operation -> lifetimes of the data that are live then, as indices into ``lifetimes``.
    """

    storage: Storage
    edram: EdramCells
    instances: int
    cycle_s: float
    timeline: Timeline
    lifetimes: tuple[Lifetime, ...]
    live: Mapping[str, tuple[int, int]]
    holders: Mapping[str, tuple[int, ...]]

    @property
    def period_cycles(self) -> float:
        """Retention time in cycles: after that long a datum must have been written back."""
        return self.edram.retention_s / self.cycle_s

    @property
    def total_rows(self) -> int:
        """Rows of one instance."""
        return self.edram.banks * self.edram.rows_per_bank

    def rows(self, words: float) -> int:
        """Rows of one instance that ``words`` words fill."""
        return _rows(self.storage, self.edram, words)

    def periods(self, cycles: float) -> float:
        """Retention times in ``cycles``."""
        return cycles / self.period_cycles

    def refreshes(self, cycles: int) -> int:
        """Refreshes that a datum needs which lives for ``cycles``: none below the retention time, one at it."""
        # A billionth of a period absorbs the rounding of seconds into cycles.
        return math.floor(self.periods(cycles) + 1e-9)

    def total_time(self, operation: str) -> int:
        """Cycles of all runs of ``operation``."""
        slot = self.timeline.slots[operation]
        return slot.cycles * slot.repeats

    def availability(self, share: float) -> float:
        """Share of the time that a bank is free for accesses while the share ``share`` of its rows is kept alive.

        Raises:
            InfeasibleError: refreshing the rows takes as long as the data last.
        """
        return self.edram.availability(share, self.cycle_s, self.storage.name)


def activities(plan: Plan, timeline: Timeline, data: tuple[Lifetime, ...]) -> tuple[LevelActivity, ...]:
    """The activity of every eDRAM level.

    Args:
        plan: the placed step.
        timeline: of the step.
        data: lifetimes of all tensors and tiles.
    """
    return tuple(
        _activity(plan, storage, storage.edram, timeline, data)
        for storage in plan.machine.storages
        if storage.edram is not None
    )


def _rows(storage: Storage, edram: EdramCells, words: float) -> int:
    if storage.capacity_words is None:
        return math.ceil(storage.bits(words) / edram.row_bits)
    return math.ceil(words * edram.banks * edram.rows_per_bank / storage.capacity_words)


def _banks(storage: Storage, edram: EdramCells, blocks: Sequence[Block], tile_words: int) -> int:
    """Banks that hold residents or tiles; tiles fill begun banks first."""
    tile_rows = math.ceil(tile_words / storage.block_words)
    if storage.depth is None:
        return edram.banks if blocks or tile_rows else 0
    return banks_of(blocks, tile_rows, storage.depth, edram.banks)


def _activity(
    plan: Plan, storage: Storage, edram: EdramCells, timeline: Timeline, data: tuple[Lifetime, ...]
) -> LevelActivity:
    here = tuple(lifetime for lifetime in data if lifetime.level == storage.name)
    residents = {lifetime.tensor: number for number, lifetime in enumerate(here) if not lifetime.staged}
    tiles: dict[str, list[int]] = {}
    for number, lifetime in enumerate(here):
        if lifetime.staged:
            tiles.setdefault(lifetime.operation, []).append(number)

    live: dict[str, tuple[int, int]] = {}
    holders: dict[str, tuple[int, ...]] = {}
    for operation in plan.step.operations:
        names = plan.residents(storage.name, operation.name)
        present = [residents[name] for name in names] + tiles.get(operation.name, [])
        blocks = [plan.blocks[name] for name in names]
        words = sum(here[number].words for number in tiles.get(operation.name, ()))
        holders[operation.name] = tuple(present)
        live[operation.name] = (
            _banks(storage, edram, blocks, words),
            max((here[number].instances for number in present), default=0),
        )
    return LevelActivity(
        storage, edram, plan.machine.instances(storage.name), plan.machine.cycle_s, timeline, here, live, holders
    )
