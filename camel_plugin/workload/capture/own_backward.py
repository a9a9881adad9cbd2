"""Functions with a backward pass of their own that run their forward pass again from its results.

What such a function computes again is recognised by value: the same operator on the same values gives the same value,
and ``y - b`` is ``x`` where ``y`` is ``x + b`` (likewise for differences, products and quotients). If everything that
it runs again turns out to be a value of its forward pass, and some of it by such an inversion, then the function is a
reversible network: its operators are those of the forward pass, its gradients are theirs, and whether anything is run
again is for the schedule to say. A function of which that does not hold is followed as it runs.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from camel_plugin.spec.graph import OperatorNode, Phase
from camel_plugin.workload.capture.call import Signature
from camel_plugin.workload.capture.values import Values
from camel_plugin.workload.lowering.nests import MAC_KINDS
from camel_plugin.workload.operators import RANDOM

Recipes = Mapping[str, tuple[Signature, tuple[str, ...]]]
"""Constant -> what made it, from which other values."""

_MOVES = frozenset({"clone", "copy", "contiguous"})
_UNDONE_BY = {"sub": "add", "add": "sub", "div": "mul", "mul": "div"}


def merged(
    nodes: Sequence[OperatorNode],
    signatures: Mapping[str, Signature],
    recipes: Recipes,
    values: Values,
    coupled: Callable[[Sequence[OperatorNode]], Collection[str]],
) -> tuple[OperatorNode, ...]:
    """The nodes of a trace, with those that reversible functions run again replaced by what they compute again.

    ``signatures`` are those of the nodes' calls, ``recipes`` says how each constant was made. ``coupled`` gives the
    names of nodes that are part of a reversible coupling: a function that keeps its input and runs its forward pass
    again counts, too, if it holds one.
    """
    groups: dict[str, list[OperatorNode]] = {}
    for node in nodes:
        if node.group is not None:
            groups.setdefault(node.group, []).append(node)
    again = {name for name, group in groups.items() if any(node.phase is Phase.AGAIN for node in group)}
    if not again:
        return tuple(nodes)
    rerun = _Rerun([node for node in nodes if node.group is None], signatures, recipes, values)
    found: dict[str, dict[str, OperatorNode]] = {}
    inverted = set()
    for name, group in groups.items():
        kept = rerun.follow(group) if name in again else None
        if kept is not None:
            found[name] = kept
            inverted.update([name] if rerun.inverted else [])
    if found.keys() - inverted:
        inside = coupled(_replaced(nodes, groups, found))
        found = {
            name: kept
            for name, kept in found.items()
            if name in inverted or any(node.group in inside for node in kept.values())
        }
    return _replaced(nodes, groups, found)


def _replaced(
    nodes: Sequence[OperatorNode],
    groups: Mapping[str, Sequence[OperatorNode]],
    found: Mapping[str, Mapping[str, OperatorNode]],
) -> tuple[OperatorNode, ...]:
    """The nodes of a trace with those of some groups replaced by what remains of them."""
    remains = {name: node for kept in found.values() for name, node in kept.items()}
    gone = {node.name for name in found for node in groups[name]} - remains.keys()
    return tuple(remains.get(node.name, node) for node in nodes if node.name not in gone)


class _Rerun:
    """The backward passes of functions in the order in which they ran, read against the forward pass."""

    def __init__(
        self, forward: Sequence[OperatorNode], signatures: Mapping[str, Signature], recipes: Recipes, values: Values
    ) -> None:
        self._signatures = signatures
        self._recipes = recipes
        self._alike: dict[object, str] = {}
        self._values = values
        self._places = {node.name: place for place, node in enumerate(forward)}
        self._names = list(self._places)
        self._makers = {output: node for node in forward for output in node.outputs}
        self._same: dict[str, str] = {}
        self._twins: dict[str, OperatorNode] = {}
        self.inverted = False
        for name in recipes:
            self._alike.setdefault(self._recipe(name), name)
        self._ran: dict[object, list[OperatorNode]] = {}
        again: set[str] = set()
        for node in forward:
            if _moves(node):
                self._same[node.outputs[0]] = node.inputs[0]
            ran = self._ran.setdefault(self._key(node), [])
            if ran and (_draws(node) or again.intersection(node.inputs)):
                self._same.update(zip(node.outputs, ran[0].outputs, strict=True))
                again.update(node.outputs)
            if _draws(node):
                self._ran.setdefault(self._place(node), []).append(node)
            ran.append(node)

    def follow(self, group: Sequence[OperatorNode]) -> dict[str, OperatorNode] | None:
        """Name -> node of what remains, on the forward pass's own values; None if the function is no reversible one."""
        kept: dict[str, OperatorNode] = {}
        self.inverted = False
        last = self._places[group[0].group or ""]
        for node in group:
            if node.phase is Phase.AGAIN and self._recognised(node):
                continue
            twin = self._twins.get(node.partner or "")
            if twin is not None:
                last = min(last, self._places[twin.name])
            alike = {self._known(name): name for name in twin.inputs + twin.outputs} if twin else {}
            inputs = tuple(alike.get(self._known(name), self._known(name)) for name in node.inputs)
            place = self._names[last]
            of = self._known(node.of) if node.of else None
            kept[node.name] = replace(node, inputs=inputs, partner=twin.name if twin else place, group=place, of=of)
        return self._needed(kept)

    def _needed(self, kept: dict[str, OperatorNode]) -> dict[str, OperatorNode] | None:
        """Without what ran again and nobody reads; None if products are among what is left of that."""
        read: set[str] = set()
        found = {}
        for node in reversed(kept.values()):
            if node.phase is Phase.GRADIENT or read.intersection(node.outputs):
                found[node.name] = node
                read.update(node.inputs)
                read.update(self._values.known[name].part_of or name for name in node.inputs)
        again = (node for node in found.values() if node.phase is Phase.AGAIN)
        return None if any(node.kind in MAC_KINDS for node in again) else found

    def _known(self, name: str) -> str:
        """The first value that a value is known to equal; copies equal what they are copies of."""
        while name in self._same:
            name = self._same[name]
        if name in self._values.regions:
            whole, region = self._values.regions[name]
            known = self._known(whole)
            return self._known(self._values.shown(known, region)) if known != whole else name
        if name in self._recipes:
            return self._alike.setdefault(self._recipe(name), name)
        return name

    def _recipe(self, name: str) -> object:
        """How a constant is made, from which others."""
        signature, operands = self._recipes[name]
        return signature, tuple(map(self._known, operands))

    def _recognised(self, node: OperatorNode) -> bool:
        """Whether a node that ran again made a value of the forward pass."""
        inputs = tuple(map(self._known, node.inputs))
        alike, here = self._ran.get(self._key(node), []), self._ran.get(self._place(node), [])
        ran = [one for one in alike if one in here] or here or alike
        taken = {twin.name for twin in self._twins.values()}
        twin = next((one for one in ran if one.name not in taken), ran[0] if ran else None)
        if twin is not None:
            self._twins[node.name] = twin
            self._same.update(zip(node.outputs, twin.outputs, strict=True))
            return True
        if _moves(node):
            self._same[node.outputs[0]] = inputs[0]
            return True
        whole = self._values.put_together(node.outputs[0], inputs) if node.kind == "concat" else None
        if whole is not None:
            self._same[node.outputs[0]] = whole
            return True
        return self._undone(node, inputs)

    def _undone(self, node: OperatorNode, inputs: tuple[str, ...]) -> bool:
        if len(inputs) != 2 or node.operator not in _UNDONE_BY or not _plain(node):
            return False
        pairs = [inputs, inputs[::-1]] if node.operator in ("add", "mul") else [inputs]
        for y, b in pairs:
            made = self._makers.get(y)
            if made is None or made.operator != _UNDONE_BY[node.operator] or not _plain(made):
                continue
            for index in (0, 1) if made.operator in ("add", "mul") else (0,):
                if self._known(made.inputs[1 - index]) == b:
                    self._same[node.outputs[0]] = self._known(made.inputs[index])
                    self.inverted = True
                    return True
        return False

    def _key(self, node: OperatorNode) -> object:
        return self._signatures.get(node.name, (node.operator, node.input_shapes)), tuple(map(self._known, node.inputs))

    def _place(self, node: OperatorNode) -> object:
        """Where random numbers are drawn: a function that does not restore the generator draws others there."""
        return (node.operator, node.module, node.output_shapes) if _draws(node) else None


def _moves(node: OperatorNode) -> bool:
    return node.operator in _MOVES and len(node.inputs) == 1


def _draws(node: OperatorNode) -> bool:
    return node.operator in RANDOM


def _plain(node: OperatorNode) -> bool:
    """Without a factor beside the operands."""
    return len(node.inputs) == 2 and "scaled" not in node.attributes
