"""Collects the operations and tensors of a step, and knows under which name each value is to be had. Free of torch."""

from collections import Counter
from collections.abc import Mapping, Sequence

from camel_plugin.spec.graph import Graph, OperatorNode, Value, ValueRole
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.step import Operation, Pass, Tensor, TensorKind

_KINDS = {
    ValueRole.INPUT: TensorKind.INPUT,
    ValueRole.PARAMETER: TensorKind.WEIGHT,
    ValueRole.CONSTANT: TensorKind.WEIGHT,
    ValueRole.ACTIVATION: TensorKind.ACTIVATION,
}


class StepBuilder:
    """A step in the making, with so many trips of the loop over the micro-batches."""

    def __init__(self, graph: Graph, trips: int) -> None:
        self.graph = graph
        self.trips = trips
        self.operations: list[Operation] = []
        self.tensors: dict[str, Tensor] = {}
        self._current: dict[str, str] = {}
        self._gradients: dict[str, str] = {}
        self._used: Counter[str] = Counter()
        for value in graph.values.values():
            if value.role is not ValueRole.ACTIVATION:
                self.declare(value.name, _KINDS[value.role], value.shape)

    def declare(self, name: str, kind: TensorKind, shape: tuple[int, ...]) -> str:
        """Add a tensor; a name that is taken gets a number."""
        unique = self._unique(name)
        self.tensors[unique] = Tensor(unique, kind, shape)
        return unique

    def emit(
        self,
        name: str,
        pass_: Pass,
        kind: str,
        reads: Sequence[str],
        writes: Sequence[str],
        *,
        problem: Problem | None = None,
        roles: Mapping[str, str] | None = None,
        vector_ops: int = 0,
        partner: str | None = None,
        touched: Mapping[str, int] | None = None,
    ) -> None:
        """Append an operation on tensors (not values)."""
        read, written = tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes))
        unique, roles, touched = self._unique(name, "op "), dict(roles or {}), dict(touched or {})
        self.operations.append(
            Operation(unique, pass_, kind, read, written, problem, roles, vector_ops, partner, touched)
        )

    def _unique(self, name: str, namespace: str = "") -> str:
        self._used[namespace + name] += 1
        count = self._used[namespace + name]
        return name if count == 1 else f"{name}.{count}"

    def value(self, name: str) -> Value:
        """The value called ``name``."""
        return self.graph.values[name]

    def tensor(self, value: str) -> str:
        """The tensor that holds ``value`` now: its own, or the newest reconstruction."""
        return self._current.get(value, value)

    def hold(self, value: str, suffix: str = "") -> str:
        """A new tensor that holds ``value`` from now on; ``suffix`` marks a reconstruction."""
        self._current[value] = self.declare(value + suffix, TensorKind.ACTIVATION, self.value(value).shape)
        return self._current[value]

    def stands_for(self, value: str, other: str) -> None:
        """Let the tensor of ``other`` hold ``value`` from now on."""
        self._current[value] = self.tensor(other)

    def is_trainable(self, value: str) -> bool:
        """Whether a gradient of ``value`` is wanted."""
        return self.value(value).requires_grad

    def is_parameter(self, value: str) -> bool:
        """Whether ``value`` is a parameter."""
        return self.value(value).role is ValueRole.PARAMETER

    def gradient(self, value: str) -> str | None:
        """Tensor with the whole gradient of an activation so far, None if nothing has contributed."""
        return self._gradients.get(value)

    def new_gradient(self, value: str) -> str:
        """A fresh tensor for a contribution to the gradient of an activation."""
        return self.declare(f"{value}:grad", TensorKind.GRADIENT, self.value(value).shape)

    def contribute(self, node: OperatorNode, value: str, tensor: str) -> None:
        """Add ``tensor`` to the gradient of ``value``; the second contribution on costs an addition."""
        before = self._gradients.get(value)
        if before is not None:
            read, tensor = (before, tensor), self.new_gradient(value)
            name, elements = f"{value.removesuffix('.out')}:grad_sum", self.value(value).elements
            self.emit(name, Pass.INPUT_GRAD, "add", read, (tensor,), vector_ops=elements, partner=node.name)
        self._gradients[value] = tensor

    def weight_gradient(self, parameter: str) -> tuple[str, tuple[str, ...]]:
        """The gradient tensor of a parameter, and what has to be read to add to it.

        It is accumulated into over micro-batches, and when a parameter is used more than once.
        """
        accumulates = self.trips > 1 or parameter in self._gradients
        if parameter not in self._gradients:
            shape = self.value(parameter).shape
            self._gradients[parameter] = self.declare(f"{parameter}:grad", TensorKind.WEIGHT_GRAD, shape)
        gradient = self._gradients[parameter]
        return gradient, (gradient,) if accumulates else ()
