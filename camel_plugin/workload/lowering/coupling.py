"""Structure found in a captured graph: reversible couplings, splits that only undo a concatenation. Free of torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from camel_plugin.spec.graph import OperatorNode, ReversibleBlock, Value, ValueRole

_MOVES = frozenset({"concat", "copy", "slice", "split", "slice_write"})
_BRANCH_NAMES = (("f", "g"), ("fm", "gm"))


def without_idle_moves(nodes: Sequence[OperatorNode], outputs: Sequence[str]) -> tuple[OperatorNode, ...]:
    """Let the readers of ``split(concat(a, b))`` read ``a`` and ``b``, then drop the moves that nobody reads.

    Chains of blocks that take and return one tensor thus keep their streams apart, as the memory would. Unread
    copies are autograd's own, made of what an in-place operator is about to overwrite.
    """
    maker = {output: node for node in nodes for output in node.outputs}
    same: dict[str, str] = {}
    kept = []
    for original in nodes:
        node = replace(original, inputs=tuple(same.get(name, name) for name in original.inputs))
        source = maker.get(node.inputs[0]) if node.kind == "split" else None
        if source is not None and _undoes(node, source):
            same.update(zip(node.outputs, (same.get(name, name) for name in source.inputs), strict=True))
        else:
            kept.append(node)
    read, alive = set(outputs), []
    for node in reversed(kept):
        if node.kind not in _MOVES or read.intersection(node.outputs):
            alive.append(node)
            read.update(node.inputs)
    return tuple(reversed(alive))


def _undoes(split: OperatorNode, concat: OperatorNode) -> bool:
    return (
        concat.kind == "concat"
        and split.input_shapes[0] == concat.output_shapes[0]
        and split.output_shapes == concat.input_shapes
        and split.attributes["dim"] == concat.attributes["dim"]
    )


def find_reversible_blocks(
    nodes: Sequence[OperatorNode], values: Mapping[str, Value], children: Mapping[str, Mapping[str, str]]
) -> tuple[ReversibleBlock, ...]:
    """The additive couplings among the modules that say they are invertible.

    A module counts if it has an ``inverse`` and two branches (``f``/``g`` or ``Fm``/``Gm``) and if its nodes
    really are ``y1 = x1 + F(x2)``, ``y2 = x2 + G(y1)``; any other is an ordinary module whose activations are stored.
    F and G may read side inputs, values made outside of the block: these are kept, and the inverse reads them again.
    ``children`` is: path of each module with an ``inverse`` -> lower-case name of its children -> their path.
    """
    found = []
    for path, branches in children.items():
        for f, g in _BRANCH_NAMES:
            if f in branches and g in branches:
                block = _match(path, branches[f], branches[g], nodes, values)
                found += [block] if block else []
    order = {node.name: index for index, node in enumerate(nodes)}
    return tuple(sorted(found, key=lambda block: order[block.add_g]))


def _match(
    path: str, f_path: str, g_path: str, nodes: Sequence[OperatorNode], values: Mapping[str, Value]
) -> ReversibleBlock | None:
    inside = [node for node in nodes if path in node.modules]
    f = [node for node in inside if f_path in node.modules]
    g = [node for node in inside if g_path in node.modules]
    rest = [node for node in inside if f_path not in node.modules and g_path not in node.modules]
    adds = [node for node in rest if node.kind not in ("split", "concat")]
    if [node.kind for node in adds] != ["add", "add"] or not f or not g:
        return None
    streams = [_stream_and_branch(add, branch) for add, branch in zip(adds, (f, g), strict=True)]
    if streams[0] is None or streams[1] is None:
        return None
    (x1, f_out), (x2, g_out) = streams[0], streams[1]
    y1, y2 = adds[0].outputs[0], adds[1].outputs[0]
    members = {node.name for node in (*f, *g, *adds)}
    private = {output for node in (*f, *g) for output in node.outputs}
    leaks = any(private.intersection(node.inputs) for node in nodes if node.name not in members)
    f_reads, g_reads = _data_read(f, values), _data_read(g, values)
    coupled = x2 in f_reads and y1 in g_reads and not g_reads & {x1, x2} and (x1 == x2 or x1 not in f_reads)
    if leaks or not coupled or private & (f_reads | g_reads):
        return None
    f_names, g_names = (tuple(node.name for node in branch) for branch in (f, g))
    return ReversibleBlock(path, x1, x2, y1, y2, f_names, g_names, f_out, g_out, adds[0].name, adds[1].name)


def _stream_and_branch(add: OperatorNode, branch: Sequence[OperatorNode]) -> tuple[str, str] | None:
    """The two operands of the coupling's addition: the stream, and what the branch returned."""
    made = {output for node in branch for output in node.outputs}
    inside = [name for name in add.inputs if name in made]
    outside = [name for name in add.inputs if name not in made]
    return (outside[0], inside[0]) if len(inside) == len(outside) == 1 else None


def _data_read(branch: Sequence[OperatorNode], values: Mapping[str, Value]) -> set[str]:
    """Values from outside that a branch reads, its parameters and constants left out."""
    made = {output for node in branch for output in node.outputs}
    read = {name for node in branch for name in node.inputs} - made
    return {name for name in read if values[name].role in (ValueRole.ACTIVATION, ValueRole.INPUT)}
