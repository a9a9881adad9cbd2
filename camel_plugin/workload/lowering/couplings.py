"""Reversible couplings of a captured network, found by what it computes. Free of torch.

A node joins a stream ``x`` with a branch, ``y = x + F(rest)``. When its gradient is due and ``y`` is at hand, ``F`` can
be run again from what remains, its gradients taken, and ``x`` had back as ``y - F(rest)``; nothing inside of ``F`` and
no ``x`` has to be kept. The search goes from the last node to the first and undoes one such node after the other. A
branch is what nobody else keeps. It may read streams that are at hand, parameters, inputs and values that are kept
anyway (side inputs), but not the stream that it is joined with.

Nothing is known of classes, methods or names. A coupling counts if it spares something that would be kept, and if its
branch reads a stream that is at hand, or it gives one back that some gradient reads: two branches that are added up are
no streams.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from camel_plugin.spec.graph import Coupling, Inversion, OperatorNode, Phase, Value, ValueRole

_UNDONE_BY = {"add": "sub", "sub": "add", "rsub": "rsub", "mul": "div", "div": "mul"}
_MOVES = frozenset({"copy", "gather"})
_GIVEN = frozenset({ValueRole.INPUT, ValueRole.INDEX, ValueRole.PARAMETER, ValueRole.CONSTANT, ValueRole.DERIVED})
_POSITIVE = frozenset({"exp", "exp2", "sigmoid", "softplus", "cosh"})
"""Functions that are never zero, so that one may divide by them."""


def find_couplings(
    nodes: Sequence[OperatorNode],
    backward: Sequence[OperatorNode],
    values: Mapping[str, Value],
    outputs: Iterable[str],
    own: Sequence[Coupling] = (),
) -> tuple[Coupling, ...]:
    """The couplings of a network, in execution order.

    ``own`` are modules with an inverse of their own, which count where their nodes are no couplings.
    """
    banned: set[str] = set()
    while True:
        search = _Search(nodes, backward, values, outputs, own, banned)
        found = search.run()
        again = search.contradictory(found)
        if not again:
            return tuple(_between(found))
        banned |= again


_Option = tuple[Inversion, set[str], set[str]]
"""What undoes a node, the branch of its other operand, and what that reads from outside."""


@dataclass
class _Search:
    """One pass from the last node to the first."""

    nodes: Sequence[OperatorNode]
    backward: Sequence[OperatorNode]
    values: Mapping[str, Value]
    outputs: Iterable[str]
    own: Sequence[Coupling]
    banned: set[str]
    saved: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.index = {node.name: place for place, node in enumerate(self.nodes)}
        self.maker = {output: node for node in self.nodes for output in node.outputs}
        self.own_ends = {coupling.nodes[-1]: coupling for coupling in self.own}
        self.readers: dict[str, set[str]] = defaultdict(set)
        for node in self.nodes:
            for name in node.inputs:
                self.readers[name].add(node.name)
                self.readers[self.values[name].part_of or name].add(node.name)
        for name in self.outputs:
            self.readers[name].add("the network's output")
        self.saved_by: dict[str, set[str]] = defaultdict(set)
        for node in self.backward:
            if node.phase is Phase.GRADIENT and node.group is not None:
                self.saved_by[node.group].update(node.inputs)
                self.saved_by[node.group].update(self.values[name].part_of or name for name in node.inputs)
        self._terminal: dict[str, bool] = {}
        self.saved = {name for names in self.saved_by.values() for name in names}

    def run(self) -> list[Coupling]:
        """Couplings and moves between them, the last first."""
        at_hand = _AtHand(self.values)
        members: set[str] = set()
        found: list[Coupling] = []
        for node in reversed(self.nodes):
            if node.name in members or node.name in self.banned:
                continue
            kept = node.outputs[0] in self.saved or node.outputs[0] in self.outputs
            if node.kind == "concat" and (kept or at_hand.has(node.outputs[0])):
                at_hand.add(*node.inputs)
                continue
            coupling = self._coupling(node, at_hand) or self.own_ends.get(node.name) or self._move(node, at_hand)
            if coupling is not None and not members.intersection(coupling.nodes):
                found.append(coupling)
                members.update(coupling.nodes)
                at_hand.add(*coupling.operands, *coupling.reads)
        return found

    def _move(self, node: OperatorNode, at_hand: "_AtHand") -> Coupling | None:
        """A stream in another order, between couplings."""
        if not self._is_move(node) or not at_hand.has(node.outputs[0]):
            return None
        inversion = Inversion(node.name, node.kind, node.outputs[0], node.inputs[0])
        return Coupling(node.module, (node.name,), (), node.outputs, node.inputs, (inversion,))

    def _coupling(self, node: OperatorNode, at_hand: "_AtHand") -> Coupling | None:
        """That which ends with ``node`` and spares most, if its result may be undone."""
        found = (self._extended(node, option, at_hand) for option in self._options(node, at_hand, set()))
        fit = [coupling for coupling in found if coupling is not None]
        return max(fit, key=self._spared, default=None)

    def _extended(self, node: OperatorNode, option: _Option, at_hand: "_AtHand") -> Coupling | None:
        """A coupling that begins so, and goes on while nobody else reads what was had back."""
        inversions, branch, reads = [option[0]], set(option[1]), set(option[2])
        while True:
            operand = inversions[-1].operand
            maker = self.maker.get(operand)
            members = {*branch, *(inversion.node for inversion in inversions)}
            if maker is None or self.readers[operand] - members:
                break
            if self._is_move(maker):
                inversions.append(Inversion(maker.name, maker.kind, maker.outputs[0], maker.inputs[0]))
                continue
            options = [*self._options(maker, at_hand, members)]
            if not options:
                break
            inversion, cone, outside = max(options, key=lambda option: len(option[1]))
            inversions.append(inversion)
            branch |= cone
            reads |= outside
        operand = inversions[-1].operand
        if not any(at_hand.has(name) or self._is_stream(name, operand) for name in reads) and not self._is_saved(
            operand
        ):
            return None
        branch = self._at_least_cost(branch, at_hand)
        reads = {name for member in branch for name in self._node(member).inputs}
        reads.update(inversion.other for inversion in inversions if inversion.other)
        made = {name for member in branch for name in self._node(member).outputs}
        made.update(name for inversion in inversions for name in (inversion.result, inversion.operand))
        names = sorted(branch | {inversion.node for inversion in inversions}, key=self.index.__getitem__)
        beside = sorted(name for name in reads if name not in made and self.values[name].part_of not in made)
        inside = tuple(name for name in names if name in branch)
        ends = (inversions[0].result,), (inversions[-1].operand,)
        coupling = Coupling(node.module, tuple(names), inside, *ends, tuple(inversions), tuple(beside))
        return coupling if self._spared(coupling) else None

    def _at_least_cost(self, branch: set[str], at_hand: "_AtHand") -> set[str]:
        """The branch without those nodes that no stream leads to and whose result is cheaper to keep than to run again.

        What it costs to keep a result are its elements and those of what the gradients of all before it read.
        """
        streams: set[str] = set()
        costs: dict[str, int] = {}
        implied: dict[str, int] = {}
        again: set[str] = set()
        for name in sorted(branch, key=self.index.__getitem__):
            node = self._node(name)
            wholes = {self.values[value].part_of or value for value in node.inputs}
            if any(map(at_hand.has, node.inputs)) or wholes & streams:
                streams.update(node.outputs)
                continue
            run = sum(costs.get(value, self._cost(value, branch)) for value in wholes)
            read = sum(self._cost(value, branch) for value in wholes & self.saved_by[name])
            read += sum(implied.get(value, 0) for value in wholes)
            implied.update(dict.fromkeys(node.outputs, read))
            keep = self.values[node.outputs[0]].elements + read
            costs.update(dict.fromkeys(node.outputs, min(run, keep)))
            if run < keep:
                again.add(name)
        if not streams:
            return branch
        needed = [name for name in branch if streams.intersection(self._node(name).outputs)]
        found = set(needed)
        while needed:
            for value in self._node(needed.pop()).inputs:
                maker = self.maker.get(self.values[value].part_of or value)
                if maker is not None and maker.name in again - found:
                    found.add(maker.name)
                    needed.append(maker.name)
        return found

    def _cost(self, value: str, branch: set[str]) -> int:
        """Elements to keep of a value from outside; none where it is given, or kept for others."""
        kept = any(value in names for group, names in self.saved_by.items() if group not in branch)
        return 0 if kept or self.values[value].role in _GIVEN else self.values[value].elements

    def _spared(self, coupling: Coupling) -> int:
        """Elements that need not be kept: what gradients read of what the branch makes."""
        made = {name for member in coupling.branch for name in self._node(member).outputs} & self.saved
        return sum(self.values[name].elements for name in made)

    def _is_move(self, node: OperatorNode) -> bool:
        """Whether a node writes all that it reads in another order."""
        if node.kind not in _MOVES or not (node.kind == "copy" or node.attributes.get("permutes")):
            return False
        return node.seen[0] == self.values[node.inputs[0]].elements

    def _is_stream(self, name: str, other: str) -> bool:
        """Whether a value may be had back itself: it is joined of others, and as large as the other stream."""
        maker = self.maker.get(name)
        return (
            maker is not None and maker.kind in _UNDONE_BY and self.values[name].elements == self.values[other].elements
        )

    def _is_saved(self, name: str) -> bool:
        return name in self.saved or self.values[name].part_of in self.saved

    def _node(self, name: str) -> OperatorNode:
        return self.nodes[self.index[name]]

    def _options(self, node: OperatorNode, at_hand: "_AtHand", members: set[str]) -> Iterator[_Option]:
        """Ways to undo a node: which operand is the stream, and the branch of the other with what that reads."""
        if node.kind not in _UNDONE_BY or len(node.inputs) != 2 or len(set(node.inputs)) == 1:
            return
        if node.attributes.get("scaled"):
            return
        elements = math.prod(node.output_shapes[0])
        for index in (0, 1):
            operand, other = node.inputs[index], node.inputs[1 - index]
            role = self.values[operand].role
            whole = node.seen[index] == elements and role in (ValueRole.ACTIVATION, ValueRole.INPUT)
            if not whole or self.values[operand].elements != elements:
                continue
            cone, outside = self._cone(other, operand, node, at_hand, members)
            if operand in outside and not at_hand.has(operand):
                continue
            if node.kind in ("mul", "div") and not self._never_zero(other):
                continue
            yield (
                Inversion(node.name, _UNDONE_BY[node.kind], node.outputs[0], operand, other, index == 1),
                cone,
                outside,
            )

    def _cone(
        self, value: str, stream: str, node: OperatorNode, at_hand: "_AtHand", members: set[str]
    ) -> tuple[set[str], set[str]]:
        """Nodes that make a value and nothing that others keep, and what they read from outside."""
        cone: set[str] = set()
        outside: set[str] = set()
        barrier = self.values[stream].part_of or stream
        pending: list[tuple[int, str]] = []
        waiting: set[str] = set()

        def want(name: str) -> None:
            whole = self.values[name].part_of or name
            maker = self.maker.get(name) or self.maker.get(whole)
            if maker is None or barrier in (name, whole) or at_hand.has(name):
                outside.add(name)
            elif maker.name not in waiting:
                waiting.add(maker.name)
                heapq.heappush(pending, (-self.index[maker.name], name))
            if maker is not None and maker.name in waiting:
                asked[maker.name].add(name)

        asked: dict[str, set[str]] = defaultdict(set)
        want(value)
        while pending:
            maker = self.nodes[-heapq.heappop(pending)[0]]
            readers = {reader for output in maker.outputs for reader in self.readers[output]}
            others = readers - cone - members - {node.name}
            if all(self._summarises(reader, maker) for reader in others) and others != readers:
                cone.add(maker.name)
                for name in maker.inputs:
                    want(name)
            else:
                outside |= asked[maker.name]
        return cone, outside

    def _summarises(self, reader: str, maker: OperatorNode) -> bool:
        """Whether a reader needs nothing of what it read for its gradient, and leads to the network's outputs alone."""
        if reader not in self.index:
            return False
        return not self.saved_by[reader].intersection(maker.outputs) and self._ends(reader)

    def _ends(self, name: str) -> bool:
        if name not in self._terminal:
            outputs = self._node(name).outputs
            followers = {reader for output in outputs for reader in self.readers[output]} & set(self.index)
            self._terminal[name] = not self.saved.intersection(outputs) and all(map(self._ends, followers))
        return self._terminal[name]

    def _never_zero(self, value: str) -> bool:
        maker = self.maker.get(value)
        if maker is None:  # a parameter or a mask may hold zeros
            return False
        if maker.attributes.get("function") in _POSITIVE:
            return True
        if maker.kind in ("mul", "div", "copy") or (maker.kind == "add" and len(maker.inputs) == 2):
            return all(self._never_zero(name) for name in maker.inputs)
        return False

    def contradictory(self, found: Sequence[Coupling]) -> set[str]:
        """Nodes of couplings whose branch reads a stream that is to be had only later, from a coupling before it."""
        members = {name for coupling in found for name in coupling.nodes}
        late = {name for coupling in found for name in coupling.operands} - self._kept(members)
        wrong: set[str] = set()
        for coupling in found:
            late.difference_update(coupling.results)
            if late.intersection(coupling.reads):
                wrong.add(coupling.nodes[-1])
            late.difference_update(coupling.operands)
        return wrong

    def _kept(self, members: set[str]) -> set[str]:
        """Values that gradients of nodes outside of the couplings read."""
        outside = (node for node in self.backward if node.phase is Phase.GRADIENT and node.group not in members)
        return {name for node in outside for name in node.inputs}


class _AtHand:
    """Streams that are to be had at a point of the backward pass."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._names: set[str] = set()
        self._parts: dict[str, set[str]] = defaultdict(set)

    def add(self, *names: str) -> None:
        """Streams become available."""
        for name in names:
            self._names.add(name)
            whole = self._values[name].part_of
            if whole:
                self._parts[whole].add(name)

    def has(self, name: str) -> bool:
        """Whether a value is available, by itself, as part of another one, or in parts."""
        whole = self._values[name].part_of
        if name in self._names or (whole is not None and self.has(whole)):
            return True
        return sum(self._values[part].elements for part in self._parts[name]) >= self._values[name].elements


def _between(found: Sequence[Coupling]) -> Iterator[Coupling]:
    """Couplings, and of the moves those whose stream goes on to another one."""
    wanted: set[str] = set()
    for coupling in reversed(found):
        if coupling.branch or wanted.intersection(coupling.operands):
            wanted.update((*coupling.results, *coupling.operands, *coupling.reads))
            yield coupling
