"""A memory that runs a placed step and counts: written without the planner, it knows rows, banks and who reads what.

Every run of every operation reads and writes row by row. A row keeps the number of the value that stands in it; a value
is one tensor of one micro-batch (one of all for what is accumulated or outlives the step). It holds its rows from its
first write to its last use, which a first walk through the step finds.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

SHARED = frozenset({"weight", "weight_grad", "optimizer_state"})


@dataclass
class Level:
    """One storage: what stands in its rows, and the most that was ever held.

    Attributes:
        cells: number of the value in each row, -1 for none.
        bank_rows: rows of a bank.
        held: rows held in each bank now.
        peak: most rows held at any moment.
        bank_peaks: the same for each bank.
        fragmented: most rows that were free, but not in the largest free piece, when a loop began or ended.
        idle: operation -> most rows held meanwhile by values that it does not use.
    """

    cells: np.ndarray
    bank_rows: int
    held: np.ndarray
    peak: int = 0
    bank_peaks: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    fragmented: int = 0
    idle: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def change(self, rows: slice, old, new: int):
        """Rows that hold one of ``old`` hold ``new`` from now on."""
        part = self.cells[rows]
        changed = np.isin(part, old)
        part[changed] = new
        self.held += np.bincount(
            (rows.start + np.flatnonzero(changed)) // self.bank_rows, minlength=len(self.held)
        ) * ((new >= 0) - int(-1 not in old))  # fmt: skip

    def count(self, operation, used_rows: int, *, pieces: bool):
        """Occupancy while an operation runs; it is constant until the next one."""
        total = int(self.held.sum())
        self.peak = max(self.peak, total)
        self.bank_peaks = np.maximum(self.bank_peaks, self.held)
        self.idle[operation.name] = max(self.idle[operation.name], total - used_rows)
        if pieces:
            held = self.cells >= 0
            assert int(held.sum()) == total
            edges = np.flatnonzero(np.diff(np.concatenate(([True], held, [True])).astype(int)))
            largest = int((edges[1::2] - edges[::2]).max(initial=0))
            self.fragmented = max(self.fragmented, len(held) - total - largest)


@dataclass
class Replay:
    """What a replay saw: each storage, and the words that operations without a mapping moved outside."""

    levels: dict[str, Level]
    words: int = 0


def unrolled(step):
    """(operation, micro-batch) in the order of execution; None for what runs once."""
    for member in step.body:
        for run in range(getattr(member, "trips", 1)):
            for operation in getattr(member, "body", (member,)):
                yield operation, run if operation is not member else None


def replay(placed) -> Replay:
    """Run a plan; fails where a row is taken twice, is read after it was overwritten, or lies outside its storage."""
    step, outermost = placed.step, placed.machine.storages[0].name
    storages = {s.name: s for s in placed.machine.storages if s.name != outermost and s.depth is not None}
    found = Replay({name: _empty(storage) for name, storage in storages.items()})
    kinds = {name: tensor.kind.value for name, tensor in step.tensors.items()}
    here = {name: home for name, home in placed.home_levels.items() if home in storages}
    trace = list(unrolled(step))

    def value(name, run):
        return name, None if kinds[name] in SHARED else run

    last = {value(n, run): time for time, (op, run) in enumerate(trace) for n in op.reads + op.writes if n in here}
    lasting = {n for n in here if kinds[n] in ("weight", "optimizer_state") and not _made(trace, n)}
    last.update({(name, None): len(trace) for name in lasting})
    ends = defaultdict(list)
    for key, time in last.items():
        ends[time].append(key)
    numbers: dict[tuple, int] = {}

    def rows(key):
        name, run = key
        block, copies, storage = placed.blocks[name], placed.ranges[name].copies, storages[here[name]]
        assert 0 <= block.start <= block.stop <= storage.depth, f"{name} lies outside {storage.name}"
        size = (block.stop - block.start) // copies
        assert size * storage.block_words >= placed.words[name], f"{name} has too few rows"
        start = block.start + (run * size if copies > 1 else 0)
        return slice(start, start + size)

    def hold(key, dying=()):
        level = found.levels[here[key[0]]]
        number = numbers.setdefault(key, len(numbers))
        for other in dying:
            level.change(rows(key), [numbers[other]], number)
        level.change(rows(key), [-1], number)
        assert (level.cells[rows(key)] == number).all(), f"{key} takes rows of another value"

    for name in lasting:
        hold((name, None))
    for time, (operation, run) in enumerate(trace):
        used = list(dict.fromkeys(value(name, run) for name in operation.reads + operation.writes if name in here))
        for name in operation.reads:
            key = value(name, run)
            if name in here and (key in numbers or kinds[name] != "weight_grad"):  # sums start from zero
                assert key in numbers, f"{operation.name} reads {key}, which nothing wrote"
                assert (found.levels[here[name]].cells[rows(key)] == numbers[key]).all(), f"{key} was overwritten"
        # An element-wise operation may write over an operand that it reads for the last time.
        dying = [key for key in used if last[key] == time and key in numbers] if operation.problem is None else []
        for name in operation.writes:
            if name in here:
                hold(value(name, run), [key for key in dying if here[key[0]] == here[name] and key[0] != name])
        for name, level in found.levels.items():
            own = sum(rows(k).stop - rows(k).start for k in {*used} if here[k[0]] == name and k in numbers)
            level.count(operation, own, pieces=run in (None, 0, step.trips(operation.name) - 1))
        if operation.problem is None:
            streams = [n for n in operation.reads + operation.writes if placed.home_levels[n] == outermost]
            found.words += sum(step.tensors[name].elements for name in streams)
        for key in ends[time]:
            found.levels[here[key[0]]].change(rows(key), [numbers[key]], -1)
    return found


def _empty(storage) -> Level:
    banks = storage.edram.banks if storage.edram else 1
    level = Level(np.full(storage.depth, -1), -(-storage.depth // banks), np.zeros(banks, int))
    level.bank_peaks = level.held.copy()
    return level


def _made(trace, name):
    """The step itself makes the value: a copy on chip of what lasts outside."""
    operation = next(operation for operation, _ in trace if name in operation.reads + operation.writes)
    return name in operation.writes and name not in operation.reads


def timed_runs(work, cycles):
    """Every run of every operation, one after the other."""
    runs, time = [], 0
    for operation, _ in unrolled(work):
        runs.append((operation.name, time, time + cycles[operation.name]))
        time += cycles[operation.name]
    return runs
