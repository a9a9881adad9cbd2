"""Checkpointed steps of networks that ship against ``torch.utils.checkpoint`` executing the same segments.

``torch.fx`` takes each network apart into our segments; what autograd keeps is followed through the whole step, on the
meta device, so at full size.
"""

import weakref
from collections import Counter

import pytest
import torch
from stored_bytes import peak_stored_bytes, stored_bytes
from torch.autograd.graph import saved_tensors_hooks
from torch.fx import Interpreter, symbolic_trace
from torch.fx.passes.split_module import split_module
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from zoo import BATCH, build, graph_of, networks

from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.lowering.segments import segments
from camel_plugin.workload.lowering.training import lower

NETWORKS = networks(lambda name: not name.startswith(("rev", "dudnn-b")))
"""Reversible ones begin stages with streams that torch concatenates and splits again: other borders than ours."""
LOSS = 1
"""A scalar that torch's cross-entropy keeps."""
KIND = {"add": "add", "relu": "relu", "cat": "concat"}
"""Functions that may begin or end a segment -> kind of node; every other stays with what went before it."""


class Alive:
    """Elements of the memory that autograd keeps alive now, and the most it ever kept; parameters left out.

    A view keeps the whole that it shows.
    """

    def __init__(self, module):
        self.known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
        self.views = Counter()
        self.keep = []
        self.peak = 0

    class Handle:
        def __init__(self, tensor):
            self.tensor = tensor

    def pack(self, tensor):
        handle, storage = self.Handle(tensor), tensor.untyped_storage()
        if storage._cdata not in self.known:
            self.keep.append(storage)
            whole = (storage._cdata, storage.nbytes() // tensor.dtype.itemsize)
            self.views[whole] += 1
            weakref.finalize(handle, self.views.subtract, [whole])
            self.peak = max(self.peak, self.elements)
        return handle

    @staticmethod
    def unpack(handle):
        return handle.tensor

    @property
    def elements(self):
        return sum(whole for (_, whole), views in self.views.items() if views)


class Segmented(Interpreter):
    """Runs each trained segment but the last under torch's checkpoint, which wants an input that has a gradient."""

    def __init__(self, module, last):
        super().__init__(module)
        self.last = last

    def call_module(self, target, args, kwargs):
        segment = self.fetch_attr(target)
        trained = any(tensor.requires_grad for tensor in (*args, *segment.parameters()))
        if target == self.last or not trained:
            return segment(*args, **kwargs)
        anything = torch.empty(0, device="meta", requires_grad=True)
        run = lambda _, *args: segment(*args)  # noqa: E731
        return checkpoint(run, anything, *args, use_reentrant=True, preserve_rng_state=False)


def take_apart(module, parts):
    """The module as a chain of submodules, one a segment, under the segments' numbers."""
    traced = symbolic_trace(module)
    place = {node.name: index for index, part in enumerate(parts) for node in part}
    modules = {node.target for node in traced.graph.nodes if node.op == "call_module"}
    functions = {kind: iter([n.name for p in parts for n in p if n.kind == kind and n.name not in modules])
                 for kind in KIND.values()}  # fmt: skip
    where, current = {}, 0
    for node in traced.graph.nodes:
        if node.op == "call_module":
            current = place.get(node.target, current)
        elif node.op == "call_function" and (kind := KIND.get(node.target.__name__)):
            current = place[next(functions[kind])]
        where[node] = current
    return split_module(traced, module, where.__getitem__)


def elements(step, names):
    tensors = (step.tensors[name] for name in names)
    return sum(tensor.elements for tensor in tensors if tensor.kind in (TensorKind.INPUT, TensorKind.ACTIVATION))


def after_each_recomputation(step):
    """Elements that gradients or later segments still read, and those of the segment's input where neither does.

    torch keeps the input of a segment until its gradients are made; here it is dropped where, say, a ReLU comes first.
    """
    operations, found = step.operations, []
    for end in range(1, len(operations)):
        if operations[end - 1].pass_ is Pass.RECONSTRUCT is not operations[end].pass_:
            begin = next(i for i in range(end, 0, -1) if operations[i - 1].pass_ is not Pass.RECONSTRUCT)
            run = operations[begin:end]
            before = {name for op in operations[:end] for name in (*op.reads, *op.writes)}
            waiting = before & {name for op in operations[end:] for name in op.reads}
            inputs = {name for op in run for name in op.reads} - {name for op in run for name in op.writes} - waiting
            found.append((elements(step, waiting), elements(step, inputs)))
    return found


@pytest.mark.parametrize("blocks", [None, 1])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_checkpointed_step_keeps_what_torch_keeps_at_any_time(name, blocks):
    graph = graph_of(name)
    step = lower(
        graph, Recipe(schedule="checkpoint", batch=BATCH, micro_batch=BATCH, norm_group=BATCH, checkpoint_blocks=blocks)
    )
    module, x = build(name)
    parts = segments(graph, blocks)
    chain = take_apart(module, parts)
    alive = Alive(module)
    with sdpa_kernel(SDPBackend.MATH), saved_tensors_hooks(alive.pack, alive.unpack):
        y = Segmented(chain, f"submod_{len(parts) - 1}").run(x)
        loss = functional.cross_entropy(y, torch.empty(BATCH, dtype=torch.int64, device="meta"))
        stored = alive.elements
        loss.backward()
    assert alive.elements == 0
    assert stored - LOSS == stored_bytes(step, 1)
    again = [elements + spared for elements, spared in after_each_recomputation(step)]
    assert alive.peak == max([stored, *again])
    assert peak_stored_bytes(step, 1) == max([stored - LOSS, *(kept for kept, _ in after_each_recomputation(step))])
