"""One training step of a captured network under a named schedule. Free of torch.

- ``store-all``: what the backward pass reads stays until then; 3 forward units of work.
- ``checkpoint``: only the borders of segments stay; a segment's forward pass runs again before its backward pass
  (Chen et al., arXiv 1604.06174); up to 4 units.
- ``reversible``: the inputs of a reversible block are recomputed from its outputs, and the recomputed graphs of F and
  G serve their gradients (Gomez et al., NeurIPS 2017); 4 units for the blocks, 3 for everything else.

Within a pass nothing says how long a tensor lives: that follows from who reads it last.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, get_args

from camel_plugin.errors import UnknownNameError, WorkloadError
from camel_plugin.workload.builder import StepBuilder
from camel_plugin.workload.graph import Graph, Node, ReversibleBlock
from camel_plugin.workload.optimizers import OPTIMIZERS, update
from camel_plugin.workload.rules import run_backward, run_forward
from camel_plugin.workload.segments import segments
from camel_plugin.workload.step import Coverage, Pass, Step, TensorKind

Schedule = Literal["store-all", "checkpoint", "reversible"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

_RECON = "@recon"


def lower(
    graph: Graph,
    *,
    schedule: str,
    batch: int,
    micro_batch: int,
    optimizer: str = "sgd",
    segment_blocks: int | None = None,
) -> Step:
    """The operations of one training step.

    Args:
        graph: captured on an input of ``micro_batch`` samples.
        schedule: ``store-all``, ``checkpoint`` or ``reversible``.
        batch: samples of the step.
        micro_batch: samples that run through the network at a time; divides ``batch``.
        optimizer: see ``optimizers.OPTIMIZERS``.
        segment_blocks: blocks of a checkpoint segment; by default the square root of their number.

    Raises:
        UnknownNameError: no such schedule or optimizer.
        WorkloadError: the batch cannot be divided so, nothing is trainable, or the schedule
            needs reversible blocks and there are none.
    """
    if schedule not in SCHEDULES:
        raise UnknownNameError("schedule", schedule, SCHEDULES)
    if optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", optimizer, OPTIMIZERS)
    if micro_batch < 1 or batch % micro_batch:
        raise WorkloadError(f"micro_batch must divide batch {batch}", field="micro_batch", value=micro_batch)
    samples = graph.inputs[0].shape[0]
    if samples != micro_batch:
        raise WorkloadError(f"the network was captured on {samples} samples", field="micro_batch", value=micro_batch)
    if segment_blocks is not None and segment_blocks < 1:
        raise WorkloadError("must be at least 1", field="segment_blocks", value=segment_blocks)
    if not any(graph.values[output].requires_grad for output in graph.outputs):
        raise WorkloadError(f"{graph.network} has nothing to train", field="requires_grad")
    if schedule == "reversible" and not graph.blocks:
        raise WorkloadError(
            f"{graph.network} has no reversible blocks", field="schedule", value=schedule,
            suggestion="use store-all or checkpoint, or give its modules forward, inverse and branches f and g",
        )  # fmt: skip
    b = StepBuilder(graph, batch // micro_batch)
    for node in graph.nodes:
        run_forward(b, node, Pass.FORWARD)
    _loss(b)
    if schedule == "reversible":
        _reversible(b)
    elif schedule == "checkpoint":
        _checkpoint(b, segment_blocks)
    else:
        for node in reversed(graph.nodes):
            run_backward(b, node)
    update(b, optimizer)
    modelled = Counter(node.kind for node in graph.nodes if node.kind != "unsupported")
    coverage = Coverage(
        tuple(f"{kind}: {count} x" for kind, count in sorted(modelled.items())),
        graph.ignored,
        graph.unsupported,
        graph.not_reached,
    )
    alive = {name for operation in b.operations for name in (*operation.reads, *operation.writes)}
    tensors = {name: tensor for name, tensor in b.tensors.items() if name in alive}
    return Step(graph.network, schedule, batch, micro_batch, tuple(b.operations), tensors, coverage)


def _loss(b: StepBuilder) -> None:
    """Softmax cross-entropy on each output: 5 element operations for the softmax, then its difference to the label."""
    for output in b.graph.outputs:
        if not b.is_trainable(output):
            continue
        logits, elements = b.tensor(output), b.value(output).elements
        labels = b.declare("labels", TensorKind.INPUT, b.value(output).shape[:1])
        probabilities = b.declare("loss.probabilities", TensorKind.ACTIVATION, b.value(output).shape)
        b.emit(
            "loss", Pass.FORWARD, "softmax_cross_entropy", [logits, labels], [probabilities], vector_ops=5 * elements
        )
        gradient = b.new_gradient(output)
        b.emit(
            "loss:input_grad", Pass.INPUT_GRAD, "softmax_cross_entropy", [probabilities, labels], [gradient],
            vector_ops=elements, partner="loss",
        )  # fmt: skip
        b.contribute(b.graph.nodes[-1], output, gradient)


def _reversible(b: StepBuilder) -> None:
    nodes = {node.name: node for node in b.graph.nodes}
    last = {block.add_g: block for block in b.graph.blocks}
    members = {name for block in b.graph.blocks for name in block.nodes}
    for node in reversed(b.graph.nodes):
        if node.name in last:
            _invert_and_differentiate(b, last[node.name], nodes)
        elif node.name not in members:
            run_backward(b, node)


def _invert_and_differentiate(b: StepBuilder, block: ReversibleBlock, nodes: dict[str, Node]) -> None:
    """x2 = y2 - G(y1), G's gradients, x1 = y1 - F(x2), F's gradients: only one branch is alive at a time."""
    if not (b.is_trainable(block.y1) or b.is_trainable(block.y2)):
        return
    _resplit(b, block)
    for branch, add, branch_out, y, x in (
        (block.g, block.add_g, block.g_out, block.y2, block.x2),
        (block.f, block.add_f, block.f_out, block.y1, block.x1),
    ):
        for name in branch:
            run_forward(b, nodes[name], Pass.RECONSTRUCT, _RECON)
        reads = (b.tensor(y), b.tensor(branch_out))
        b.emit(
            f"{add}:reconstruct", Pass.RECONSTRUCT, "sub", reads, (b.hold(x, _RECON),),
            vector_ops=b.value(x).elements, partner=add,
        )  # fmt: skip
        run_backward(b, nodes[add])
        for name in reversed(branch):
            run_backward(b, nodes[name])


def _resplit(b: StepBuilder, block: ReversibleBlock) -> None:
    """Take the streams from their concatenation where that one is kept for other gradients anyway: no second copy."""
    streams = (block.y1, block.y2)
    kept = {name for operation in b.operations if operation.pass_ is not Pass.FORWARD for name in operation.reads}
    for node in b.graph.nodes:
        if node.kind == "concat" and node.inputs == streams and b.tensor(node.outputs[0]) in kept:
            targets = [b.hold(value, _RECON) for value in streams]
            source = b.tensor(node.outputs[0])
            b.emit(f"{node.name}:reconstruct", Pass.RECONSTRUCT, "split", [source], targets, partner=node.name)


def _checkpoint(b: StepBuilder, segment_blocks: int | None) -> None:
    parts = segments(b.graph, segment_blocks)
    for index, part in enumerate(reversed(parts)):
        trainable = any(b.is_trainable(output) for node in part for output in node.outputs)
        if index > 0 and trainable:
            for node in part:
                run_forward(b, node, Pass.RECONSTRUCT, _RECON)
        for node in reversed(part):
            run_backward(b, node)
