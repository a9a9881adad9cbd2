"""One training step of a captured network under a named schedule. Free of torch.

- ``store-all``: what the backward pass reads stays until then; 3 forward units of work.
- ``checkpoint``: only the borders of segments stay; a segment's forward pass runs again before its backward pass
  (Chen et al., arXiv 1604.06174); up to 4 units.
- ``reversible``: the inputs of a reversible block are recomputed from its outputs, and the recomputed graphs of F and
  G serve their gradients (Gomez et al., NeurIPS 2017); 4 units for the blocks, 3 for everything else. ``generic``
  invertible checkpointing takes the inverse and then runs the block forward again: 5 units.

Within a pass nothing says how long a tensor lives: that follows from who reads it last.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import Graph, InvertibleModule, OperatorNode, ReversibleBlock
from camel_plugin.spec.recipe import Recipe, Reversible, Schedule
from camel_plugin.spec.step import Coverage, Pass, Step, TensorKind, over_samples
from camel_plugin.workload.lowering.backward_rules import run_backward, run_forward
from camel_plugin.workload.lowering.builder import StepBuilder
from camel_plugin.workload.lowering.memory import peak_bytes
from camel_plugin.workload.lowering.optimizers import update
from camel_plugin.workload.lowering.segments import block_count, segments

_RECON = "@recon"


def lower(graph: Graph, recipe: Recipe) -> Step:
    """The operations of one training step of a graph that was captured on ``recipe.micro_batch`` samples.

    Raises:
        WorkloadError: nothing is trainable, the schedule needs reversible blocks and there are none, no segments keep
            to ``checkpoint_bytes``, or the graph was captured on another number of samples.
    """
    samples = graph.inputs[0].shape[0]
    if samples != recipe.micro_batch:
        found = f"the network was captured on {samples} samples"
        raise WorkloadError(found, field="micro_batch", value=recipe.micro_batch)
    if not any(graph.values[output].requires_grad for output in graph.outputs):
        raise WorkloadError(f"{graph.network} has nothing to train", field="requires_grad")
    if recipe.schedule is Schedule.REVERSIBLE and not (graph.blocks or graph.invertible):
        raise WorkloadError(
            f"{graph.network} has no reversible blocks", field="schedule", value=recipe.schedule.value,
            suggestion="use store-all or checkpoint, or give its modules forward, inverse and branches f and g",
        )  # fmt: skip
    if recipe.schedule is Schedule.CHECKPOINT and recipe.checkpoint_bytes is not None:
        return _within(graph, recipe, recipe.checkpoint_bytes)
    return _build(graph, recipe)


def _within(graph: Graph, recipe: Recipe, budget_bytes: int) -> Step:
    """The step that keeps to a budget and does the least work again."""
    steps = [
        _build(graph, replace(recipe, checkpoint_blocks=blocks, checkpoint_bytes=None))
        for blocks in range(1, block_count(graph) + 1)
    ]
    peaks = [peak_bytes(step) for step in steps]
    if min(peaks) > budget_bytes:
        raise WorkloadError(
            "no checkpoints keep to this", field="checkpoint_bytes", value=budget_bytes,
            suggestion=f"the least is {min(peaks):.0f} bytes with a micro-batch of {recipe.micro_batch}",
        )  # fmt: skip
    return min(
        (step for step, peak in zip(steps, peaks, strict=True) if peak <= budget_bytes),
        key=lambda step: sum(op.macs for op in step.operations if op.pass_ is Pass.RECONSTRUCT),
    )


def _build(graph: Graph, recipe: Recipe) -> Step:
    b = StepBuilder(graph, recipe.batch // recipe.micro_batch)
    for node in graph.nodes:
        run_forward(b, node, Pass.FORWARD)
    _loss(b)
    if recipe.schedule is Schedule.REVERSIBLE:
        _reversible(b, recipe.reversible is Reversible.GENERIC)
    elif recipe.schedule is Schedule.CHECKPOINT:
        _checkpoint(b, recipe.checkpoint_blocks)
    else:
        for node in reversed(graph.nodes):
            run_backward(b, node)
    update(b, recipe.optimizer)
    kinds = Counter(node.kind for node in graph.nodes if node.kind != "unsupported")
    modelled = tuple(f"{kind}: {count} x" for kind, count in sorted(kinds.items()))
    coverage = Coverage(modelled, graph.ignored, graph.unsupported, graph.not_reached)
    alive = {name for operation in b.operations for name in (*operation.reads, *operation.writes)}
    tensors = {name: tensor for name, tensor in b.tensors.items() if name in alive}
    sizes = (recipe.schedule.value, recipe.batch, recipe.micro_batch)
    loop = [operation for operation in b.operations if operation.pass_ is not Pass.UPDATE]
    updates = [operation for operation in b.operations if operation.pass_ is Pass.UPDATE]
    body = (*over_samples(b.trips, loop), *updates)
    return Step(graph.network, *sizes, body, tensors, coverage, bits=recipe.bits)


def _loss(b: StepBuilder) -> None:
    """Softmax cross-entropy on each output: 5 element operations for the softmax, then its difference to the label."""
    for output in b.graph.outputs:
        if not b.is_trainable(output):
            continue
        logits, elements, shape = b.tensor(output), b.value(output).elements, b.value(output).shape
        # Classes stand in the last dimension of vectors and sequences, behind the samples for images.
        labels = b.declare("labels", TensorKind.INPUT, shape[:-1] if len(shape) < 4 else (shape[0], *shape[2:]))
        probabilities = b.declare("loss.probabilities", TensorKind.ACTIVATION, shape)
        b.emit(
            "loss", Pass.FORWARD, "softmax_cross_entropy", [logits, labels], [probabilities], vector_ops=5 * elements
        )
        gradient = b.new_gradient(output)
        b.emit(
            "loss:input_grad", Pass.INPUT_GRAD, "softmax_cross_entropy", [probabilities, labels], [gradient],
            vector_ops=elements, partner="loss",
        )  # fmt: skip
        b.contribute(b.graph.nodes[-1], output, gradient)


def _reversible(b: StepBuilder, generic: bool) -> None:
    nodes = {node.name: node for node in b.graph.nodes}
    last = {block.add_g: block for block in b.graph.blocks}
    ends = {module.nodes[-1]: module for module in b.graph.invertible}
    members = {name for block in b.graph.blocks for name in block.nodes}
    members.update(name for module in b.graph.invertible for name in module.nodes)
    for node in reversed(b.graph.nodes):
        if node.name in ends:
            _run_inverse(b, ends[node.name], nodes)
        elif node.name in last:
            _invert_and_differentiate(b, last[node.name], nodes, generic)
        elif node.name not in members:
            run_backward(b, node)


def _invert_and_differentiate(
    b: StepBuilder, block: ReversibleBlock, nodes: dict[str, OperatorNode], generic: bool
) -> None:
    """x2 = y2 - G(y1), G's gradients, x1 = y1 - F(x2), F's gradients: only one branch is alive at a time.

    The generic way has both inputs first and then differentiates a forward pass of the whole block.
    """
    if not (b.is_trainable(block.y1) or b.is_trainable(block.y2)):
        return
    _resplit(b, block)
    for branch, add, branch_out, y, x in (
        (block.g, block.add_g, block.g_out, block.y2, block.x2),
        (block.f, block.add_f, block.f_out, block.y1, block.x1),
    ):
        for name in branch:
            run_forward(b, nodes[name], Pass.RECONSTRUCT, _RECON)
        if x != block.x2 or add == block.add_g:  # streams that begin as one value are reconstructed once
            reads = (b.tensor(y), b.tensor(branch_out))
            b.emit(
                f"{add}:reconstruct", Pass.RECONSTRUCT, "sub", reads, (b.hold(x, _RECON),),
                vector_ops=b.value(x).elements, partner=add,
            )  # fmt: skip
        if not generic:
            for name in (add, *reversed(branch)):
                run_backward(b, nodes[name])
    if generic:
        _again(b, [nodes[name] for name in block.nodes])


def _run_inverse(b: StepBuilder, module: InvertibleModule, nodes: dict[str, OperatorNode]) -> None:
    """The module's own inverse, its forward pass again, then its gradients: the generic way."""
    if not any(map(b.is_trainable, module.outputs)):
        return
    for node in module.inverse:
        run_forward(b, node, Pass.RECONSTRUCT, _RECON)
    for value, recovered in zip(module.inputs, module.recovered, strict=True):
        b.stands_for(value, recovered)
    _again(b, [nodes[name] for name in module.nodes])


def _again(b: StepBuilder, nodes: Sequence[OperatorNode]) -> None:
    """The forward pass once more, and the gradients that it serves."""
    for node in nodes:
        run_forward(b, node, Pass.RECONSTRUCT, _RECON)
    for node in reversed(nodes):
        run_backward(b, node)


def _resplit(b: StepBuilder, block: ReversibleBlock) -> None:
    """Take the streams from their concatenation where that one is kept for other gradients anyway: no second copy."""
    streams = (block.y1, block.y2)
    kept = {name for operation in b.operations if operation.pass_ is not Pass.FORWARD for name in operation.reads}
    for node in b.graph.nodes:
        if node.kind == "concat" and node.inputs == streams and b.tensor(node.outputs[0]) in kept:
            targets = [b.hold(value, _RECON) for value in streams]
            source = b.tensor(node.outputs[0])
            b.emit(f"{node.name}:reconstruct", Pass.RECONSTRUCT, "split", [source], targets, partner=node.name)


def _checkpoint(b: StepBuilder, blocks: int | None) -> None:
    *parts, last = segments(b.graph, blocks)
    for node in reversed(last):
        run_backward(b, node)
    for part in reversed(parts):
        if any(b.is_trainable(output) for node in part for output in node.outputs):
            _again(b, part)
