"""Which gradient of the backward pass is that of which value. Free of torch."""

import math
from collections import defaultdict
from functools import cached_property

from camel_plugin.spec.graph import Graph, OperatorNode, Phase, ValueRole

_WEIGHTS = frozenset({ValueRole.PARAMETER, ValueRole.DERIVED})


def _is_copy(node: OperatorNode) -> bool:
    return node.kind == "copy" and len(node.inputs) == 1


class Gradients:
    """Autograd hands tensors from node to node without a name; whose gradient made one tells what it is of."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._targets: dict[str, str] = {}
        self._for_weights: dict[str, bool] = {}
        self.handed_on: dict[str, list[tuple[str, str]]] = defaultdict(list)
        """Value that is not the gradient of one parameter alone -> parameters whose gradient it is, or a part of it,
        with that part."""
        self.in_place: set[str] = set()
        """Nodes that need no operation: sums of contributions to a parameter's gradient, which the contributors make
        themselves, and copies of what nobody needs under its old name."""
        self._targets.update((seed, output) for output, seed in graph.outputs.items() if seed is not None)
        self._parameters()
        nodes = [node for node in graph.backward if node.phase is Phase.GRADIENT]
        for node in nodes:
            for output in node.outputs:
                if output not in self._targets and (node.of is not None or not self._inside(node, output)):
                    target = self._summed(node) if self.is_sum(node) else self._found(node, output)
                    if target is not None:
                        self._targets[output] = target
        self.in_place.update(node.name for node in nodes if _is_copy(node) and self._renames(node))
        for node in reversed(nodes):
            for output in node.outputs:
                self._for_weights[output] = self._leads_to_weights(output)

    @cached_property
    def _readers(self) -> dict[str, list[OperatorNode]]:
        found: dict[str, list[OperatorNode]] = defaultdict(list)
        for node in (*self._graph.nodes, *self._graph.backward):
            for name in node.inputs:
                found[name].append(node)
                whole = self._graph.values[name].part_of
                if whole:
                    found[whole].append(node)
        return found

    @cached_property
    def _makers(self) -> dict[str, OperatorNode]:
        return {output: node for node in (*self._graph.nodes, *self._graph.backward) for output in node.outputs}

    def makers(self, node: OperatorNode) -> list[OperatorNode]:
        """The nodes of the backward pass that make what a node reads."""
        values = self._graph.values
        found = (self._makers.get(values[name].part_of or name) for name in node.inputs)
        return [maker for maker in found if maker is not None and maker.group is not None]

    def _parameters(self) -> None:
        """Gradients of parameters, and what is added up to them."""
        graph = self._graph
        for parameter, value in graph.weight_gradients.items():
            maker = self._makers.get(value)
            if value in self._targets or self._readers[value] or maker is None or maker.phase is not Phase.GRADIENT:
                self.handed_on[graph.values[value].part_of or value].append((parameter, value))
                continue
            pending = [value]
            while pending:
                value = pending.pop()
                self._targets[value] = parameter
                maker = self._makers[value]
                if (self.is_sum(maker) or _is_copy(maker)) and all(
                    self._only_here(name, maker) for name in maker.inputs
                ):
                    self.in_place.add(maker.name)
                    pending.extend(maker.inputs)

    def _only_here(self, value: str, node: OperatorNode) -> bool:
        maker = self._makers.get(value)
        return maker is not None and maker.phase is Phase.GRADIENT and self._readers[value] == [node]

    def _renames(self, node: OperatorNode) -> bool:
        """Whether a copy of a whole gradient may lie where the original does: nobody writes one and reads the other."""
        (source,), (made,), values = node.inputs, node.outputs, self._graph.values
        if values[source].role is not ValueRole.GRADIENT or node.seen[0] < values[source].elements:
            return False
        if made in self._targets and values[self._targets[made]].role is ValueRole.PARAMETER:
            return False
        base = values[source].part_of or source
        versions = {value.version_of for value in values.values()}
        if base != source or made in versions:
            return base not in versions and (made not in versions or self._readers[source][-1] is node)
        return base not in versions

    def is_sum(self, node: OperatorNode) -> bool:
        """Whether a node adds two gradients of one value."""
        roles = [self._graph.values[name].role for name in node.inputs]
        return node.operator == "add" and node.phase is Phase.GRADIENT and roles == [ValueRole.GRADIENT] * 2

    def _inside(self, node: OperatorNode, output: str) -> bool:
        """Whether only further operators of the same gradient read a result."""
        readers = self._readers[output]
        return bool(readers) and all(r.partner == node.partner and not self.is_sum(r) for r in readers)

    def _summed(self, node: OperatorNode) -> str | None:
        return next((self._targets[name] for name in reversed(node.inputs) if name in self._targets), None)

    def _found(self, node: OperatorNode, output: str) -> str | None:
        """Of the values that the differentiated operator reads, that with as many elements; where several have, the
        one whose maker reads the gradient next."""
        values, partner = self._graph.values, self._graph.by_name.get(node.partner or "")
        if node.of is not None and node.of in values and values[node.of].elements == values[output].elements:
            return node.of
        readers = [self._graph.by_name.get(reader.partner or "") for reader in self._readers[output]]
        makers = {name for maker in readers if maker is not None for name in maker.outputs}
        given = zip(partner.inputs, partner.input_shapes, strict=True) if partner else ()
        alike = [name for name, shape in given if math.prod(shape) == values[output].elements]
        alike = [name for name in alike if values[name].role is not ValueRole.CONSTANT]
        alike = [name for name in alike if name not in node.inputs] or alike
        free = [name for name in alike if name not in self._targets.values()] or alike
        return next((name for name in alike if name in makers), next(iter(free), next(iter(sorted(makers)), None)))

    def _leads_to_weights(self, output: str) -> bool:
        target = self._targets.get(output)
        if target is not None:
            return self._graph.values[target].role in _WEIGHTS
        readers = self._readers[output]
        return bool(readers) and all(self._for_weights.get(o, False) for reader in readers for o in reader.outputs)

    def target(self, value: str) -> str | None:
        """The value whose gradient this one is; None if it lives inside of one node's gradient."""
        return self._targets.get(value)

    def of_weights(self, value: str) -> bool:
        """Whether a value leads to gradients of parameters alone."""
        return self._for_weights.get(value, False)
