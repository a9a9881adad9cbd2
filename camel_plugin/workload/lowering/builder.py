"""Collects the operations and tensors of a step, and knows under which name each value is to be had. Free of torch."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from camel_plugin.spec.graph import Graph, OperatorNode, Phase, Value, ValueRole
from camel_plugin.spec.problem import Problem
from camel_plugin.spec.step import Operation, Pass, Tensor, TensorKind
from camel_plugin.workload.lowering.gradients import Gradients

_KINDS = {
    ValueRole.INPUT: TensorKind.INPUT,
    ValueRole.PARAMETER: TensorKind.WEIGHT,
    ValueRole.CONSTANT: TensorKind.WEIGHT,
    ValueRole.INDEX: TensorKind.INPUT,
    ValueRole.DERIVED: TensorKind.ACTIVATION,
    ValueRole.ACTIVATION: TensorKind.ACTIVATION,
    ValueRole.GRADIENT: TensorKind.GRADIENT,
}

_GIVEN = frozenset({ValueRole.INPUT, ValueRole.INDEX, ValueRole.PARAMETER, ValueRole.CONSTANT})
"""What no operation makes."""

_RECON = "@recon"


class StepBuilder:
    """A step in the making, with so many trips of the loop over the micro-batches, of so many statistics groups each.

    Attributes:
        masked: rectifiers that leave a mask for their gradient.
        keeps_masks: random numbers are kept for a run again, not drawn again.
    """

    def __init__(
        self, graph: Graph, trips: int, masked: Collection[str] = (), groups: int = 1, keeps_masks: bool = False
    ) -> None:
        self.graph = graph
        self.trips = trips
        self.masked = masked
        self.keeps_masks = keeps_masks
        self._groups = groups
        self._statistics = {name for node in graph.nodes if node.kind == "batch_norm" for name in node.outputs[1:]}
        self.operations: list[Operation] = []
        self.tensors: dict[str, Tensor] = {}
        self.gradients = Gradients(graph)
        self.macs: Counter[str] = Counter()
        """Multiply-accumulates of each node's operations, the first time that it was lowered."""
        self.done: set[str] = set()
        """Nodes of the backward pass that have been lowered."""
        self._again = False
        self._current: dict[str, str] = {}
        self._written: set[str] = set()
        self._used: Counter[str] = Counter()
        for value in graph.values.values():
            if value.role in _GIVEN and not value.part_of:
                self.declare(value.name, _KINDS[value.role], value.shape, value.bits)

    def declare(self, name: str, kind: TensorKind, shape: tuple[int, ...], bits: int | None = None) -> str:
        """Add a tensor; a name that is taken gets a number."""
        unique = self._unique(name)
        self.tensors[unique] = Tensor(unique, kind, shape, bits)
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
        unique, roles = self._unique(name, "op "), dict(roles or {})
        part = {name: n for name, n in (touched or {}).items() if n < self.tensors[name].elements}
        self.operations.append(Operation(unique, pass_, kind, read, written, problem, roles, vector_ops, partner, part))

    def _unique(self, name: str, namespace: str = "") -> str:
        self._used[namespace + name] += 1
        count = self._used[namespace + name]
        return name if count == 1 else f"{name}.{count}"

    @contextmanager
    def again(self) -> Iterator[None]:
        """Nodes of the forward pass that are lowered inside run once more, before their gradients."""
        self._again, before = True, self._again
        try:
            yield
        finally:
            self._again = before

    def value(self, name: str) -> Value:
        """The value called ``name``."""
        return self.graph.values[name]

    def tensor(self, value: str) -> str:
        """The tensor that holds ``value`` now: its own, the newest reconstruction, or that which it is a part of."""
        if value in self._current:
            return self._current[value]
        whole = self.value(value).part_of
        return self.tensor(whole) if whole else value

    def pieces(self, value: str) -> list[str]:
        """The tensors that hold ``value`` now: its own, or those of its parts where these were had back."""
        parts = [name for name, known in self.graph.values.items() if known.part_of == value and name in self._current]
        if value in self._current or not parts:
            return [self.tensor(value)]
        return list(dict.fromkeys(map(self.tensor, parts)))

    def hold_mask(self, value: str) -> str:
        """A new tensor that says of each element of ``value`` whether it is positive."""
        suffix = _RECON if self._again else ""
        mask = f"{value.removesuffix('.out')}.mask"
        self._current[mask] = self.declare(mask + suffix, TensorKind.ACTIVATION, self.value(value).shape, 1)
        return self._current[mask]

    def mask(self, value: str) -> str:
        """That tensor."""
        return self._current[f"{value.removesuffix('.out')}.mask"]

    def stands_for(self, value: str, tensor: str) -> None:
        """Let a tensor hold ``value`` from now on."""
        self._current[value] = tensor

    def hold(self, value: str) -> str:
        """The tensor that a node writes ``value`` into: a new one, or that of which a part is overwritten."""
        before = self.value(value).version_of
        if before is not None and self.value(before).role is not ValueRole.CONSTANT:
            self._current[value] = self.tensor(before)
            return self._current[value]
        known = self.value(value)
        target = self.gradients.target(value)
        if known.role is ValueRole.GRADIENT and target is not None:
            if self.value(target).role is ValueRole.PARAMETER:
                self._current[value] = self.weight_gradient(target)
                return self._current[value]
            self._current[value] = self.declare(f"{target}:grad", TensorKind.GRADIENT, self._shape(value, target))
        else:
            suffix = _RECON if self._again else ""
            shape = (self._groups, *known.shape) if value in self._statistics and self._groups > 1 else known.shape
            self._current[value] = self.declare(value + suffix, _KINDS[known.role], shape, known.bits)
        return self._current[value]

    def _shape(self, value: str, target: str) -> tuple[int, ...]:
        """That of the value whose gradient it is, where both have as many elements."""
        known, other = self.value(value), self.value(target)
        return other.shape if other.elements == known.elements else known.shape

    def weight_gradient(self, parameter: str) -> str:
        """The tensor of a parameter's gradient."""
        tensor = f"{parameter}:grad"
        if tensor not in self.tensors:
            self.declare(tensor, TensorKind.WEIGHT_GRAD, self.value(parameter).shape)
        return tensor

    def before(self, tensors: Sequence[str]) -> list[str]:
        """Those of the tensors that an operation that writes them has to read first, because it adds to them.

        Gradients of parameters are summed over micro-batches, and where a parameter is used more than once.
        """
        sums = [name for name in tensors if self.tensors[name].kind is TensorKind.WEIGHT_GRAD]
        added = [name for name in sums if self.trips > 1 or name in self._written]
        self._written.update(sums)
        return added

    def reads(self, node: OperatorNode, *indices: int) -> list[str]:
        """The tensors of a node's inputs, all of them by default."""
        return [self.tensor(node.inputs[index]) for index in indices or range(len(node.inputs))]

    def touched(self, node: OperatorNode, *indices: int) -> dict[str, int]:
        """How many elements of each tensor a node sees."""
        found: Counter[str] = Counter()
        for index in indices or range(len(node.inputs)):
            found[self.tensor(node.inputs[index])] += node.seen[index]
        return dict(found)

    def pass_of(self, node: OperatorNode, output: int = 0) -> Pass:
        """The pass that a node's operation belongs to."""
        if node.group is None:
            return Pass.RECONSTRUCT if self._again else Pass.FORWARD
        if node.phase is Phase.AGAIN:
            return Pass.RECONSTRUCT
        return Pass.WEIGHT_GRAD if self.gradients.of_weights(node.outputs[output]) else Pass.INPUT_GRAD

    def partner_of(self, node: OperatorNode) -> str | None:
        """The operation of the forward pass that a node's operation belongs to."""
        if node.group is None:
            return node.name if self._again else None
        partner = self.graph.by_name.get(node.partner or "")
        return node.partner if partner is not None and partner.group is None else node.group

    def name_of(self, node: OperatorNode, output: int = 0) -> str:
        """What a node's operation is called."""
        if node.group is None:
            return f"{node.name}:reconstruct" if self._again else node.name
        if node.phase is Phase.AGAIN:
            return node.name
        value = node.outputs[output]
        target = self.gradients.target(value)
        if node.kind == "add" and target is not None and self.gradients.is_sum(node):
            return f"{target.removesuffix('.out')}:grad_sum"
        if self.pass_of(node, output) is Pass.INPUT_GRAD:
            return f"{node.partner}:input_grad"
        parameter = target is not None and self.value(target).role is ValueRole.PARAMETER
        return f"{node.partner}:{target.rpartition('.')[2] if parameter and target else 'weight'}_grad"
