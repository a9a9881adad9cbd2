"""The backward pass that has streams back from what couplings made of them. Free of torch."""

from collections.abc import Sequence
from itertools import groupby

from camel_plugin.spec.graph import Coupling, Inversion, OperatorNode, Phase
from camel_plugin.spec.step import Pass
from camel_plugin.workload.lowering.builder import StepBuilder
from camel_plugin.workload.lowering.emit import run_again, run_backward


def reverse(b: StepBuilder, generic: bool) -> None:
    """Emit the backward pass.

    By default each coupling runs its branch again, has its stream back and takes its gradients from that one run, so
    that one branch is alive at a time. The generic way has all streams of a module back first and then differentiates
    a forward pass of the whole.
    """
    graph = b.graph
    members = {name for coupling in graph.couplings for name in coupling.nodes}
    outside = [node for node in graph.backward if node.phase is Phase.GRADIENT and node.group not in members]
    kept = {name for node in outside for name in node.inputs} | set(graph.outputs)
    kept -= {graph.by_name[name].outputs[0] for name in b.masked}
    kept |= {b.value(name).part_of or name for name in kept}
    _take_from_concatenations(b, kept)
    ends: dict[str, list[Coupling]] = {}
    for _, together in groupby(
        reversed(graph.couplings), lambda coupling: coupling.module if generic else id(coupling)
    ):
        block = list(together)
        ends[block[0].nodes[-1]] = block
    for node in reversed(graph.nodes):
        if node.name in ends:
            _undo(b, ends[node.name], kept, generic)
        elif node.name not in members:
            run_backward(b, node)


def _undo(b: StepBuilder, block: Sequence[Coupling], kept: set[str], generic: bool) -> None:
    """Streams back, then the gradients, of couplings from the last to the first."""
    nodes = b.graph.by_name
    for coupling in block:
        _run_inverse(b, coupling)
        run_again(b, [nodes[name] for name in coupling.branch])
        for inversion in coupling.inversions:
            if inversion.operand not in kept and b.value(inversion.operand).part_of not in kept:
                _have_back(b, nodes[inversion.node], inversion)
                kept.add(inversion.operand)
        if not generic:
            _differentiate(b, [nodes[name] for name in coupling.nodes])
    if generic:
        names = {name for coupling in block for name in coupling.nodes}
        again = [node for node in b.graph.nodes if node.name in names]
        run_again(b, again)
        _differentiate(b, again)


def _run_inverse(b: StepBuilder, coupling: Coupling) -> None:
    """A module's own inverse: what it gives back stands for the inputs from now on."""
    run_again(b, coupling.inverse)
    for value, recovered in zip(coupling.operands, coupling.recovered, strict=False):
        b.stands_for(value, b.tensor(recovered))


def _differentiate(b: StepBuilder, nodes: Sequence[OperatorNode]) -> None:
    for node in reversed(nodes):
        run_backward(b, node)


def _have_back(b: StepBuilder, node: OperatorNode, inversion: Inversion) -> None:
    """One operation that undoes an operator."""
    moved = b.pieces(inversion.result)
    reads = [*moved, *([b.tensor(inversion.other)] if inversion.other else [])]
    elements = b.value(inversion.operand).elements
    touched = dict.fromkeys(moved, elements) if len(moved) == 1 else {}
    if inversion.other:
        touched[b.tensor(inversion.other)] = b.value(inversion.other).elements
    with b.again():
        write = b.hold(inversion.operand)
    b.emit(
        f"{node.name}:reconstruct", Pass.RECONSTRUCT, inversion.kind, reads, [write],
        vector_ops=elements if inversion.other else 0, partner=node.name, touched=touched,
    )  # fmt: skip


def _take_from_concatenations(b: StepBuilder, kept: set[str]) -> None:
    """Streams whose concatenation is kept for other gradients anyway are read there: no second copy."""
    ends = {name for coupling in b.graph.couplings for name in (*coupling.results, *coupling.reads)}
    for node in b.graph.nodes:
        if node.kind == "concat" and node.outputs[0] in kept:
            for name in ends.intersection(node.inputs):
                b.stands_for(name, b.tensor(node.outputs[0]))
