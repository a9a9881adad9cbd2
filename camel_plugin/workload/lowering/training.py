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
from dataclasses import replace

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import Graph
from camel_plugin.spec.recipe import Dropout, Recipe, Reversible, Schedule
from camel_plugin.spec.step import Coverage, Pass, Step, TensorKind, over_samples
from camel_plugin.workload.lowering.builder import StepBuilder
from camel_plugin.workload.lowering.coverage import remarks
from camel_plugin.workload.lowering.emit import hand_on, run, run_again, run_backward
from camel_plugin.workload.lowering.masks import masked
from camel_plugin.workload.lowering.memory import peak_bytes
from camel_plugin.workload.lowering.optimizers import update
from camel_plugin.workload.lowering.oracle import differences
from camel_plugin.workload.lowering.reverse import reverse
from camel_plugin.workload.lowering.segments import block_count, segments


def lower(graph: Graph, recipe: Recipe) -> Step:
    """The operations of one training step of a graph that was captured on ``recipe.micro_batch`` samples.

    Raises:
        WorkloadError: nothing is trainable, the schedule needs reversible blocks and there are none, no segments keep
            to ``checkpoint_bytes``, or the graph was captured on another number of samples.
    """
    samples = graph.inputs[0].shape[0]
    if recipe.micro_batch not in (None, samples):
        found = f"the network was captured on {samples} samples"
        raise WorkloadError(found, field="micro_batch", value=recipe.micro_batch)
    recipe = replace(recipe, micro_batch=samples)
    if not graph.weight_gradients:
        raise WorkloadError(f"{graph.network} has nothing to train", field="requires_grad")
    if recipe.schedule is Schedule.REVERSIBLE and not graph.couplings:
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
    reversing = recipe.schedule is Schedule.REVERSIBLE
    again = {name for coupling in graph.couplings for name in coupling.nodes} if reversing else set()
    size = recipe.micro_batch or 1
    groups = size // min(recipe.norm_group or size, size)
    b = StepBuilder(graph, recipe.batch // size, masked(graph, again), groups, recipe.dropout is Dropout.STORE)
    run(b, graph.nodes)
    _loss(b)
    if reversing:
        reverse(b, recipe.reversible is Reversible.GENERIC)
    elif recipe.schedule is Schedule.CHECKPOINT:
        _checkpoint(b, recipe.checkpoint_blocks)
    else:
        for node in reversed(graph.nodes):
            run_backward(b, node)
    update(b, recipe.optimizer)
    kinds = Counter(node.kind for node in graph.nodes if node.kind != "unsupported")
    modelled = tuple(f"{kind}: {count} x" for kind, count in sorted(kinds.items()))
    unsupported = (*differences(graph, b), *graph.unsupported)
    said = tuple(remarks(graph, recipe.schedule, recipe.norm_group))
    coverage = Coverage(modelled, graph.ignored, unsupported, graph.not_reached, said)
    alive = {name for operation in b.operations for name in (*operation.reads, *operation.writes)}
    tensors = {name: tensor for name, tensor in b.tensors.items() if name in alive}
    sizes = (recipe.schedule.value, recipe.batch, size)
    loop = [operation for operation in b.operations if operation.pass_ is not Pass.UPDATE]
    updates = [operation for operation in b.operations if operation.pass_ is Pass.UPDATE]
    body = (*over_samples(b.trips, loop), *updates)
    return Step(graph.network, *sizes, body, tensors, coverage, recipe.norm_group, recipe.bits)


def _loss(b: StepBuilder) -> None:
    """Softmax cross-entropy on each output: 5 element operations for the softmax, then its difference to the label."""
    trained = {output: seed for output, seed in b.graph.outputs.items() if seed is not None}
    kept: dict[str, tuple[str, str]] = {}
    for output in trained:
        logits, elements, shape = b.tensor(output), b.value(output).elements, b.value(output).shape
        # Classes stand in the last dimension of vectors and sequences, behind the samples for images.
        labels = b.declare("labels", TensorKind.INPUT, shape[:-1] if len(shape) < 4 else (shape[0], *shape[2:]))
        probabilities = b.declare("loss.probabilities", TensorKind.ACTIVATION, shape)
        b.emit(
            "loss", Pass.FORWARD, "softmax_cross_entropy", [logits, labels], [probabilities], vector_ops=5 * elements,
            touched={logits: elements},
        )  # fmt: skip
        kept[output] = probabilities, labels
    for output, seed in trained.items():
        b.emit(
            "loss:input_grad", Pass.INPUT_GRAD, "softmax_cross_entropy", kept[output], [b.hold(seed)],
            vector_ops=b.value(output).elements, partner="loss",
        )  # fmt: skip
        hand_on(b, seed, "loss")


def _checkpoint(b: StepBuilder, blocks: int | None) -> None:
    *parts, last = segments(b.graph, blocks)
    for node in reversed(last):
        run_backward(b, node)
    for part in reversed(parts):
        if any(node.name in b.graph.gradients for node in part):
            run_again(b, part)
            for node in reversed(part):
                run_backward(b, node)
