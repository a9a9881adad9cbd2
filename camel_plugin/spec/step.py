"""The training step: ordered operations on named tensors. Free of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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


@dataclass(frozen=True)
class Tensor:
    """A named value of the step.

    Attributes:
        name: unique in the step.
        kind: what it is.
        shape: extents for ONE micro-batch (weights: their own shape).
        words_per_value: words of the machine's memories that a value takes, once a step meets a machine.
    """

    name: str
    kind: TensorKind
    shape: tuple[int, ...]
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
    """One operation of one pass, as often as the step repeats it.

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
        repeats: times the operation runs in one step (micro-batches; 1 for the update).
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
    repeats: int = 1
    touched: Mapping[str, int] = field(default_factory=dict)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run (0 for a vector operation)."""
        return self.problem.macs if self.problem else 0


@dataclass(frozen=True)
class Coverage:
    """What became of every operator of the captured network; entries are ``operator: note``.

    Attributes:
        modelled: lowered to operations with cost.
        ignored: without cost on purpose (views, bookkeeping).
        unsupported: has a cost that is NOT in the result.
        not_reached: modules of the network that the forward pass never called.
    """

    modelled: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One training step of a network.

    The operations stand in execution order for one micro-batch, followed by the updates. Consecutive
    operations with the same ``repeats`` form a loop, which runs as a whole for one micro-batch after the
    other: without ``borders``, every micro-batch runs through the whole network (depth first).

    Attributes:
        network: its name.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        batch: samples of the step.
        micro_batch: samples of one run of an operation; divides ``batch``.
        operations: in execution order.
        tensors: by name.
        coverage: what is modelled and what is not.
        borders: indices of further operations that begin a loop of their own over the micro-batches.
        bits: of one value of each kind of tensor where the recipe says so; else the machine's words count.
    """

    network: str
    schedule: str
    batch: int
    micro_batch: int
    operations: tuple[Operation, ...]
    tensors: Mapping[str, Tensor]
    coverage: Coverage
    borders: tuple[int, ...] = ()
    bits: Mapping[TensorKind, float] = field(default_factory=dict)
