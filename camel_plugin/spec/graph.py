"""The forward and backward pass of a network as a graph of operators. Free of torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

Shape = tuple[int, ...]


class ValueRole(StrEnum):
    """Where a value comes from."""

    INPUT = "input"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    DERIVED = "derived"
    """Computed from parameters and constants alone: a normalised or otherwise reparametrised weight."""
    INDEX = "index"
    """Integers that follow from the data, taken to be at hand."""
    ACTIVATION = "activation"
    GRADIENT = "gradient"


class Phase(StrEnum):
    """When an operator ran: in the forward pass, again during the backward pass, or as part of the backward pass."""

    FORWARD = "forward"
    AGAIN = "again"
    GRADIENT = "gradient"


@dataclass(frozen=True)
class Value:
    """A tensor with memory of its own; all its views go by its name.

    Attributes:
        name: unique in the graph; ``<node>.out`` for the first output of a node.
        shape: extents when it was made.
        role: where it comes from.
        requires_grad: parameters: trainable. Activations: computed from something trainable.
        part_of: the value that this one is a part of (a slice, one piece of a split), which has its memory.
        region: of a part: its place in that memory, an offset and (stride, extent) of each dimension.
        version_of: the value that became this one when a part of it was overwritten.
        bits: of one element where it needs fewer than a word has, 1 for a mask.
    """

    name: str
    shape: Shape
    role: ValueRole
    requires_grad: bool = False
    part_of: str | None = None
    region: tuple[int, tuple[tuple[int, int], ...]] | None = None
    version_of: str | None = None
    bits: int | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class OperatorNode:
    """One operator call.

    Attributes:
        name: unique; the module's path where the module is one operator.
        kind: operator in this project's words, ``conv2d``, ``batch_norm`` (see ``workload/operators``).
        inputs: names of the values read, weights and biases after the data.
        input_shapes: their shapes as this operator sees them (a view's, not the value's).
        seen: different elements of each input that the operator sees: fewer than the shape's of an expanded one.
        outputs: names of the values written; those behind the first are what only the backward pass reads
            (statistics, indices).
        output_shapes: their shapes.
        attributes: ``stride``, ``padding``, ``dilation``, ``groups``, ``kernel``, ``dim`` ... where they apply.
        operator: ATen's name, ``threshold_backward``.
        module: path of the innermost module that was running, empty for the network itself.
        modules: paths of all modules that were running, outermost first.
        phase: when it ran.
        partner: of the backward pass: the node whose gradient is made.
        group: of the backward pass: the node of the forward pass with whose gradients this one runs. It differs from
            ``partner`` where a function with its own backward pass runs other operators again and differentiates them.
        of: of the backward pass: the value whose gradient it makes from that of a view.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    attributes: Mapping[str, object] = field(default_factory=dict)
    seen: tuple[int, ...] = ()
    operator: str = ""
    module: str = ""
    modules: tuple[str, ...] = ()
    phase: Phase = Phase.FORWARD
    partner: str | None = None
    group: str | None = None
    of: str | None = None

    def extents(self, attribute: str) -> tuple[int, ...]:
        """An attribute with one integer for each spatial dimension, ``stride`` say."""
        value = self.attributes[attribute]
        assert isinstance(value, tuple)
        return value

    def number(self, attribute: str) -> int:
        """An attribute that is one integer."""
        value = self.attributes[attribute]
        assert isinstance(value, int)
        return value


@dataclass(frozen=True)
class Inversion:
    """One operator of a coupling, undone: its operand from its result and what the operand was joined with.

    Attributes:
        node: the operator, ``add`` say.
        kind: what undoes it: ``sub``, ``add``, ``div``, ``mul``, or ``copy`` of a move.
        result: value that it wrote.
        operand: value that is to be had again.
        other: the value that it was joined with; None of a move.
        swapped: the operand is what was subtracted, or what divided.
    """

    node: str
    kind: str
    result: str
    operand: str
    other: str | None = None
    swapped: bool = False


@dataclass(frozen=True)
class Coupling:
    """A stream joined with a function of streams that remain: ``y = x + F(rest)``, ``y = x * S(rest) + T(rest)``.

    Attributes:
        module: path of the module that joins them.
        nodes: names of all nodes, in order.
        branch: names of the nodes of F (or S and T), in order; nobody else reads what they make.
        results: the streams that it writes; one, but for a module with an inverse of its own.
        operands: the streams that it reads and gives back.
        inversions: what gives the stream back, in the order in which it is run.
        reads: values from outside that the branch reads.
        inverse: where the module's own inverse gives its inputs back instead: the nodes of that, which are not among
            those of the graph.
        recovered: values of the inverse that equal ``operands``.
    """

    module: str
    nodes: tuple[str, ...]
    branch: tuple[str, ...]
    results: tuple[str, ...]
    operands: tuple[str, ...]
    inversions: tuple[Inversion, ...] = ()
    reads: tuple[str, ...] = ()
    inverse: tuple[OperatorNode, ...] = ()
    recovered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Graph:
    """A captured network.

    Attributes:
        network: its name.
        nodes: those of the forward pass, in execution order.
        backward: those of the backward pass, as autograd ran it.
        values: by name.
        outputs: names of the floating-point values that the network returns -> those of their gradients, with which
            the backward pass begins; None if an output has none.
        weight_gradients: parameter -> value that is its gradient, for each that autograd gives one.
        macs: node -> its multiply-accumulates, as counted when it ran.
        couplings: reversible couplings, in execution order.
        ignored: operators without cost on purpose, ``view: 12 x`` style notes.
        unsupported: operators whose cost is not modelled.
        not_reached: modules that the forward pass never called.
        remarks: what was taken to be so on the one path that was traced.
        not_reversed: modules and functions that one would take for reversible, and why they are not.
    """

    network: str
    nodes: tuple[OperatorNode, ...]
    backward: tuple[OperatorNode, ...]
    values: Mapping[str, Value]
    outputs: Mapping[str, str | None]
    weight_gradients: Mapping[str, str]
    macs: Mapping[str, int] = field(default_factory=dict)
    couplings: tuple[Coupling, ...] = ()
    ignored: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()
    not_reversed: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @cached_property
    def gradients(self) -> Mapping[str, tuple[OperatorNode, ...]]:
        """Node of the forward pass -> the nodes of the backward pass that run with its gradients, in order."""
        found: dict[str, list[OperatorNode]] = {}
        for node in self.backward:
            found.setdefault(node.group or "", []).append(node)
        return {name: tuple(group) for name, group in found.items()}

    @cached_property
    def by_name(self) -> Mapping[str, OperatorNode]:
        """All nodes by name."""
        return {node.name: node for node in (*self.nodes, *self.backward)}

    def node(self, name: str) -> OperatorNode:
        """The node called ``name`` (KeyError if there is none)."""
        return self.by_name[name]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the network is given."""
        return tuple(value for value in self.values.values() if value.role is ValueRole.INPUT)

    @property
    def parameters(self) -> tuple[Value, ...]:
        """Parameters that some node reads."""
        return tuple(value for value in self.values.values() if value.role is ValueRole.PARAMETER)
