"""Which value a tensor shows: its memory decides, not the object, as autograd sees it.

A value is the content of one storage. Views, of whatever shape, show the value of their storage; a view of some of its
elements shows a part of it. Writing a whole storage gives it a new value, writing a part of it a new version. A
concatenation remembers what stands where: who reads one operand's share of it reads that operand, so that chains of
blocks that take and return one tensor keep their streams apart.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from camel_plugin.spec.graph import Shape, Value, ValueRole

Dims = tuple[tuple[int, int], ...]
"""(stride, extent) of each dimension, the outermost first; neighbours that continue each other are one."""


@dataclass(frozen=True)
class Region:
    """Which elements of a storage a view shows."""

    offset: int
    dims: Dims

    @classmethod
    def of(cls, tensor: Tensor) -> "Region":
        """That of a tensor; expanded dimensions show nothing new."""
        steps = zip(tensor.stride(), tensor.shape, strict=True)
        return cls.merged(int(tensor.storage_offset()), [(int(step), int(n)) for step, n in steps if n > 1 and step])

    @classmethod
    def merged(cls, offset: int, dims: Sequence[tuple[int, int]]) -> "Region":
        """The same elements in the fewest dimensions."""
        found: list[tuple[int, int]] = []
        for step, extent in sorted(dims, reverse=True):
            if found and found[-1][0] == step * extent:
                extent *= found.pop()[1]
            found.append((step, extent))
        return cls(offset, tuple(found))

    @property
    def elements(self) -> int:
        """How many they are."""
        return math.prod(extent for _, extent in self.dims)


@dataclass(frozen=True)
class Operand:
    """What an operator sees of a value."""

    value: str
    shape: Shape
    seen: int


@dataclass(frozen=True)
class _Share:
    """One operand of a concatenation: where it stands along the dimension, and what it is."""

    start: int
    stop: int
    value: str
    region: Region
    contiguous: bool


@dataclass(frozen=True)
class _Concat:
    step: int
    extent: int
    shares: tuple[_Share, ...]

    def locate(self, region: Region) -> tuple[_Share, Region] | None:
        """The operand that holds all of a region, and where in it."""
        row = self.step * self.extent
        outer = [(step, n) for step, n in region.dims if step % row == 0]
        within = [(step, n) for step, n in region.dims if step % row]
        lines, rest = divmod(region.offset, row)
        place, inside = divmod(rest, self.step)
        reach = place + (inside + sum(step * (n - 1) for step, n in within)) // self.step
        for share in self.shares:
            if share.start <= place and reach < share.stop:
                own = self.step * (share.stop - share.start)
                offset = lines * own + (place - share.start) * self.step + inside
                return share, Region.merged(offset, [*((step // row * own, n) for step, n in outer), *within])
        return None


class Values:
    """All values of a trace by name, and which storage holds which."""

    def __init__(self) -> None:
        self.known: dict[str, Value] = {}
        self._held: dict[int, str] = {}
        self._parts: dict[tuple[str, Region], str] = {}
        self.regions: dict[str, tuple[str, Region]] = {}
        """Part -> the value and where in it."""
        self._concats: dict[str, _Concat] = {}
        self._counts: Counter[str] = Counter()
        self._keep: list[object] = []

    def holds(self, tensor: Tensor) -> bool:
        """Whether its memory has been seen before."""
        return tensor.untyped_storage()._cdata in self._held

    def declare(self, tensor: Tensor, value: Value) -> str:
        """A value in memory that is new, or written as a whole."""
        self.known[value.name] = value
        self.hold(tensor, value.name)
        return value.name

    def constant(self, tensor: Tensor, bits: int | None = None) -> str:
        """A value that is the same in each step."""
        self._counts["constant"] += 1
        shape = tuple(map(int, tensor.shape))
        return self.declare(tensor, Value(f"constant{self._counts['constant']}", shape, ValueRole.CONSTANT, bits=bits))

    def changed(self, tensor: Tensor) -> str:
        """A constant of which a part is overwritten with another."""
        self._counts["constant"] += 1
        before = self.known[self.whole(tensor).value]
        made = replace(before, name=f"constant{self._counts['constant']}", part_of=None)
        self.known[made.name] = made
        self.hold(tensor, made.name)
        return made.name

    def index(self, tensor: Tensor, bits: int | None = None) -> str:
        """Integers that follow from the data, taken to be at hand."""
        self._counts["index"] += 1
        shape = tuple(map(int, tensor.shape))
        return self.declare(tensor, Value(f"index{self._counts['index']}", shape, ValueRole.INDEX, bits=bits))

    def hold(self, tensor: Tensor, name: str) -> None:
        """Let a tensor's memory hold a value."""
        storage = tensor.untyped_storage()
        self._keep.append(storage)  # an address is given again once it is free
        self._held[storage._cdata] = name

    def alias(self, tensor: Tensor, other: Tensor) -> None:
        """Let a tensor in new memory show the same as another: a conversion of its type."""
        self.hold(tensor, self.read(other).value)

    def concatenated(self, tensor: Tensor, name: str, operands: Sequence[Tensor], dim: int, *, stacked: bool) -> None:
        """Remember what stands where in a value that was put together."""
        if not tensor.is_contiguous():
            return
        step, start, shares = math.prod(map(int, tensor.shape[dim + 1 :])), 0, []
        for operand in operands:
            stop = start + (1 if stacked else int(operand.shape[dim]))
            read = self.read(operand)
            if read.seen == math.prod(read.shape):
                whole = Region.of(operand)
                contiguous = operand.is_contiguous() and operand.storage_offset() == 0
                shares.append(_Share(start, stop, read.value, whole, contiguous))
            start = stop
        self._concats[name] = _Concat(step, start, tuple(shares))

    def covers(self, tensor: Tensor) -> bool:
        """Whether a tensor shows all of its storage's value."""
        return Region.of(tensor).elements >= self.whole(tensor).seen

    def whole(self, tensor: Tensor) -> Operand:
        """All that its storage holds, whatever the tensor shows of it."""
        name = self._held.get(tensor.untyped_storage()._cdata) or self.constant(tensor)
        value = self.known[name]
        return Operand(name, value.shape, value.elements)

    def read(self, tensor: Tensor) -> Operand:
        """What a tensor shows now; of memory never seen before it is a constant."""
        region = Region.of(tensor)
        return Operand(self.shown(self.whole(tensor).value, region), tuple(map(int, tensor.shape)), region.elements)

    def put_together(self, name: str, shares: Sequence[str]) -> str | None:
        """The value of which the operands of a concatenation, known by these names, are all the parts in order."""
        concat = self._concats.get(name)
        if concat is None or len(concat.shares) != len(shares) or not all(share in self.regions for share in shares):
            return None
        wholes = {self.regions[share][0] for share in shares}
        row, lines = concat.step * concat.extent, self.known[name].elements // (concat.step * concat.extent)
        for share, value in zip(concat.shares, shares, strict=True):
            size = concat.step * (share.stop - share.start)
            dims = [(row, lines), (1, size)] if lines > 1 else [(1, size)]
            if self.regions[value][1] != Region.merged(concat.step * share.start, dims):
                return None
        whole = next(iter(wholes))
        return whole if len(wholes) == 1 and self.known[whole].elements == self.known[name].elements else None

    def shown(self, name: str, region: Region) -> str:
        """The value, part of it, or operand of the concatenation that it is, which a region of it shows."""
        if region.elements >= self.known[name].elements:
            return name
        concat = self._concats.get(name)
        found = concat.locate(region) if concat else None
        if found is not None:
            share, inner = found
            if inner.elements >= share.region.elements:
                return share.value
            if share.contiguous:
                return self.shown(share.value, inner)
        key = (name, region)
        if key not in self._parts:
            self._counts[name] += 1
            whole, extents = self.known[name], tuple(extent for _, extent in region.dims)
            part = f"{name}.part{self._counts[name]}"
            self._parts[key] = part
            self.regions[part] = key
            self.known[part] = replace(
                whole,
                name=part,
                shape=extents or (1,),
                part_of=whole.part_of or name,
                region=(region.offset, region.dims),
            )
        return self._parts[key]
