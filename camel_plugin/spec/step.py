"""The training step: a tree of loops over operations on named tensors. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

from camel_plugin.spec.problem import Problem


class Pass(StrEnum):
    """The pass of a training step an operation belongs to."""

    FORWARD = "forward"
    RECONSTRUCT = "reconstruct"
    INPUT_GRAD = "input_grad"
    WEIGHT_GRAD = "weight_grad"
    UPDATE = "update"


class TensorKind(StrEnum):
    """What a tensor is to the training step; decides precision and which buffer may hold it."""

    INPUT = "input"
    WEIGHT = "weight"
    ACTIVATION = "activation"
    GRADIENT = "gradient"
    WEIGHT_GRAD = "weight_grad"
    OPTIMIZER_STATE = "optimizer_state"


PERSISTENT_KINDS = frozenset({TensorKind.WEIGHT, TensorKind.OPTIMIZER_STATE})
"""Kinds that outlive the step: they exist before its first operation and after its last."""


LOAD = "load"
STORE = "store"
MOVES = frozenset({LOAD, STORE})
"""Kinds of the operations that move a copy of a tensor from and to the outermost level."""


@dataclass(frozen=True)
class Tensor:
    """A named value of the step.

    Attributes:
        name: unique in the step.
        kind: what it is.
        shape: extents for ONE micro-batch (weights: their own shape).
        bits: of a value where its kind does not say, 1 of a mask.
        words_per_value: words of the machine's memories that a value takes, once a step meets a machine.
    """

    name: str
    kind: TensorKind
    shape: tuple[int, ...]
    bits: int | None = None
    words_per_value: float = 1.0

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def words(self, values: int | None = None) -> int:
        """Words that so many of its values take, all of them by default."""
        return math.ceil((self.elements if values is None else values) * self.words_per_value)


@dataclass(frozen=True)
class Operation:
    """One operation of one pass; the loops around it say how often it runs.

    Attributes:
        name: unique in the step, ``stage1.0.f.conv1:input_grad``.
        pass_: the pass.
        kind: the operator, ``conv2d``, ``linear``, ``batch_norm``, ``relu``, ``add``, ``sgd`` ...
        reads: names of the tensors read.
        writes: names of the tensors written; one also in ``reads`` is accumulated into.
        problem: the loop nest of a multiply-accumulate operation, else None (a vector operation).
        roles: dataspace of ``problem`` -> tensor name.
        vector_ops: element operations of a vector operation (one add, compare, multiply each).
        partner: name of the forward operation that this one belongs to, None for that one itself.
        touched: tensors of which it reads or writes a part only -> elements of that part.
    """

    name: str
    pass_: Pass
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    problem: Problem | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    vector_ops: int = 0
    partner: str | None = None
    touched: Mapping[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run (0 for a vector operation)."""
        return self.problem.macs if self.problem else 0


SAMPLES = "samples"
"""What a loop runs over: the samples of the batch, one micro-batch a trip."""


@dataclass(frozen=True)
class Loop:
    """Part of a step that runs several times as a whole.

    Attributes:
        over: what it runs over, ``samples``.
        trips: times that it runs each time it is reached.
        body: what it runs, in execution order.
    """

    over: str
    trips: int
    body: tuple[Loop | Operation, ...]


def over_samples(trips: int, operations: Sequence[Operation]) -> tuple[Loop | Operation, ...]:
    """A loop over the micro-batches; the bare operations where there is only one."""
    return (Loop(SAMPLES, trips, tuple(operations)),) if trips > 1 else tuple(operations)


@dataclass(frozen=True)
class Coverage:
    """What became of every operator of the captured network; entries are ``operator: note``.

    Attributes:
        modelled: lowered to operations with cost.
        ignored: without cost on purpose (views, bookkeeping).
        unsupported: has a cost that is NOT in the result.
        not_reached: modules of the network that the forward pass never called.
        remarks: what else is to be known of the training step: what is run backwards and what is not, and why.
    """

    modelled: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Neighbouring operations that run as a whole, trip by trip, before the next group starts.

    Attributes:
        span: indices into ``Step.operations``.
        trips: of the loop; 1 for a run of operations outside all loops.
    """

    span: range
    trips: int


@dataclass(frozen=True)
class Step:
    """One training step of a network.

    Attributes:
        network: its name.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        batch: samples of the step.
        micro_batch: samples of one run of an operation; divides ``batch``.
        body: loops and operations in execution order; a loop runs as a whole before what follows it.
        tensors: by name.
        coverage: what is modelled and what is not.
        norm_group: samples whose norms take their statistics together; None if nothing couples samples.
        bits: of one value of each kind of tensor where the recipe says so; else the machine's words count.
    """

    network: str
    schedule: str
    batch: int
    micro_batch: int
    body: tuple[Loop | Operation, ...]
    tensors: Mapping[str, Tensor]
    coverage: Coverage
    norm_group: int | None = None
    bits: Mapping[TensorKind, float] = field(default_factory=dict)

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """All operations, each once, in execution order."""
        return tuple(operation for operation, _ in _runs(self.body, 1))

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Operation -> its place in ``operations``."""
        return {operation.name: place for place, operation in enumerate(self.operations)}

    def trips(self, operation: str) -> int:
        """Times that the operation of this name runs in the step: the product of the loops around it."""
        return self._trips[operation]

    @cached_property
    def _trips(self) -> Mapping[str, int]:
        return {operation.name: trips for operation, trips in _runs(self.body, 1)}

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Each loop directly under the root, and each run of operations between such loops, in execution order."""
        found: list[Group] = []
        start = 0
        for member in self.body:
            stop = start + (sum(1 for _ in _runs(member.body, 1)) if isinstance(member, Loop) else 1)
            if isinstance(member, Operation) and found and found[-1].trips == 1:
                start = found.pop().span.start
            found.append(Group(range(start, stop), member.trips if isinstance(member, Loop) else 1))
            start = stop
        return tuple(found)

    @property
    def nested(self) -> bool:
        """Some loop stands in another one."""
        loops = (member for member in self.body if isinstance(member, Loop))
        return any(isinstance(inner, Loop) for loop in loops for inner in loop.body)


def _runs(body: Sequence[Loop | Operation], trips: int) -> Iterator[tuple[Operation, int]]:
    for member in body:
        if isinstance(member, Loop):
            yield from _runs(member.body, trips * member.trips)
        else:
            yield member, trips
