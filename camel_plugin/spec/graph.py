"""The forward pass of a network as a graph of operators. Free of torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Shape = tuple[int, ...]


class ValueRole(StrEnum):
    """Where a value comes from."""

    INPUT = "input"
    PARAMETER = "parameter"
    CONSTANT = "constant"
    ACTIVATION = "activation"


@dataclass(frozen=True)
class Value:
    """A tensor of the forward pass; all its views go by its name.

    Attributes:
        name: unique in the graph; ``<node>.out`` for the first output of a node.
        shape: extents when it was made.
        role: where it comes from.
        requires_grad: parameters: trainable. Activations: computed from something trainable.
    """

    name: str
    shape: Shape
    role: ValueRole
    requires_grad: bool = False

    @property
    def elements(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class OperatorNode:
    """One operator call.

    Attributes:
        name: unique; the module's path where the module is one operator.
        kind: operator in this project's words, ``conv2d``, ``batch_norm`` (see ``capture/operators.py``).
        inputs: names of the values read, weights and biases after the data.
        input_shapes: their shapes as this operator sees them (a view's, not the value's).
        outputs: names of the values written; those behind the first are what only the backward pass reads
            (statistics, indices), except for ``split``, whose outputs are all alike.
        output_shapes: their shapes.
        attributes: ``stride``, ``padding``, ``dilation``, ``groups``, ``kernel``, ``dim`` ... where they apply.
        module: path of the innermost module that was running, empty for the network itself.
        modules: paths of all modules that were running, outermost first.
        differentiable: False under ``torch.no_grad``.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[str, ...]
    output_shapes: tuple[Shape, ...]
    attributes: Mapping[str, object] = field(default_factory=dict)
    module: str = ""
    modules: tuple[str, ...] = ()
    differentiable: bool = True

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
class ReversibleBlock:
    """An additive coupling ``y1 = x1 + F(x2)``, ``y2 = x2 + G(y1)`` found in the graph.

    Attributes:
        module: path of the module.
        x1: value name of the first stream in.
        x2: of the second stream in.
        y1: of the first stream out.
        y2: of the second stream out.
        f: names of F's nodes, in order.
        g: names of G's nodes, in order.
        f_out: value that F returns.
        g_out: value that G returns.
        add_f: node ``x1 + F(x2)``.
        add_g: node ``x2 + G(y1)``.
    """

    module: str
    x1: str
    x2: str
    y1: str
    y2: str
    f: tuple[str, ...]
    g: tuple[str, ...]
    f_out: str
    g_out: str
    add_f: str
    add_g: str

    @property
    def nodes(self) -> tuple[str, ...]:
        """Names of all its nodes in execution order."""
        return (*self.f, self.add_f, *self.g, self.add_g)


@dataclass(frozen=True)
class InvertibleModule:
    """A module that declares its inverse and is no additive coupling.

    Attributes:
        module: its path.
        inputs: values that its inverse gives back.
        outputs: values that its inverse reads.
        nodes: names of its nodes, in order.
        inverse: the nodes of its inverse, which are not among those of the graph.
        recovered: values of the inverse that equal ``inputs``.
    """

    module: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[str, ...]
    inverse: tuple[OperatorNode, ...]
    recovered: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """A captured network.

    Attributes:
        network: its name.
        nodes: in execution order.
        values: by name.
        outputs: names of the floating-point values the network returns.
        blocks: reversible blocks, in execution order.
        ignored: operators without cost on purpose, ``view: 12 x`` style notes.
        unsupported: operators whose cost is not modelled.
        not_reached: modules that the forward pass never called.
        invertible: further modules with an inverse, in execution order.
    """

    network: str
    nodes: tuple[OperatorNode, ...]
    values: Mapping[str, Value]
    outputs: tuple[str, ...]
    blocks: tuple[ReversibleBlock, ...] = ()
    ignored: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()
    invertible: tuple[InvertibleModule, ...] = ()

    def node(self, name: str) -> OperatorNode:
        """The node called ``name`` (KeyError if there is none)."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the network is given."""
        return tuple(value for value in self.values.values() if value.role is ValueRole.INPUT)

    @property
    def parameters(self) -> tuple[Value, ...]:
        """Parameters that some node reads."""
        return tuple(value for value in self.values.values() if value.role is ValueRole.PARAMETER)
