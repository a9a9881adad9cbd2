"""Work, order and names of a lowered step."""

from collections import Counter
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from camel_plugin.errors import UnknownNameError, WorkloadError
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import PERSISTENT_KINDS, Pass, TensorKind
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering.training import lower
from camel_plugin.workload.networks.revnet import revnet
from camel_plugin.workload.networks.units import AdditiveCoupling

ALL = ["revresnet", "revnet164", "revnet56", "resnet32", "resnet50", "mobilenetv2", "lenet5"]


@cache
def graph_of(name):
    return load_network(name).graph


def step_of(name, schedule):
    return lower(graph_of(name), Recipe(schedule=schedule, batch=4, micro_batch=1))


def macs(step, pass_):
    return sum(by_partner(step, pass_).values())


def by_partner(step, pass_):
    total = Counter()
    for operation in step.operations:
        if operation.pass_ is pass_ and operation.problem:
            total[operation.partner or operation.name] += operation.macs
    return total


@pytest.mark.parametrize("name", ALL)
def test_three_passes_do_the_same_work_for_every_convolution(name):
    graph, step = graph_of(name), step_of(name, "store-all")
    forward, inputs, weights = (by_partner(step, p) for p in (Pass.FORWARD, Pass.INPUT_GRAD, Pass.WEIGHT_GRAD))
    for node in graph.nodes:
        if node.kind == "conv2d":
            n, m, p, q = node.output_shapes[0]
            _, c, r, s = node.input_shapes[1]
            closed_form = n * m * p * q * c * r * s
        elif node.kind == "linear":
            closed_form = node.input_shapes[0][0] * node.input_shapes[1][0] * node.input_shapes[1][1]
        else:
            continue
        assert forward[node.name] == weights[node.name] == closed_form
        assert inputs[node.name] == (0 if node.inputs[0] == "input" else closed_form)
    weights_of_rank_two_or_more = [value for value in graph.parameters if len(value.shape) > 1]
    assert len(forward) == len(weights_of_rank_two_or_more)


BLOCKS = {
    "revresnet": ["stage1.0", *(f"stage{stage}.{unit}" for stage in (1, 2, 3) for unit in (1, 2))],
    "revnet164": [f"stage{stage}.{unit}" for stage in (1, 2, 3) for unit in range(1, 9)],
    "revnet56": ["stage1.1", "stage2.1", "stage3.1", "stage3.2", "stage4.1"],
}
"""Units that keep the shape: two couplings each."""
HALVES = {"revnet56": [f"stage{stage}.0" for stage in (1, 2, 3, 4)]}
"""Two-stream units that change it: only what is joined with G can be had back."""


@pytest.mark.parametrize("name", ["revresnet", "revnet164", "revnet56"])
def test_a_coupling_costs_four_forward_units_and_store_all_three(name):
    couplings = graph_of(name).couplings
    halves = HALVES.get(name, [])
    assert Counter(coupling.module for coupling in couplings) == Counter(BLOCKS[name] * 2 + halves)
    forward, again, inputs, weights, _ = (by_partner(step_of(name, "reversible"), pass_) for pass_ in Pass)
    stored = [by_partner(step_of(name, "store-all"), pass_) for pass_ in Pass]
    assert stored == [forward, Counter(), inputs, weights, Counter()]
    for coupling in couplings:
        convs = {node for node in coupling.nodes if node in forward}
        assert len(convs) == (2 if name == "revresnet" else 3)
        units = [sum(work[conv] for conv in convs) for work in (forward, again, inputs, weights)]
        assert units == [units[0]] * 4
    branches = [*(f"{unit}.{branch}." for unit in BLOCKS[name] for branch in "fg"), *(f"{unit}.g." for unit in halves)]
    assert set(again) == {conv for conv in forward if conv.startswith(tuple(branches))}


@pytest.mark.parametrize("name", ["revresnet", "revnet56"])
def test_reversible_backward_reads_nothing_from_inside_the_couplings(name):
    step, graph = step_of(name, "reversible"), graph_of(name)
    internal = {output for c in graph.couplings for member in c.branch for output in graph.node(member).outputs}
    operands = [graph.values[coupling.inversions[-1].operand] for coupling in graph.couplings]
    streams = {value.part_of or value.name for value in operands}
    streams -= {"stem.relu.out"}  # which its own gradient reads
    # Two streams before each block, or the two halves of a residual unit's result; before the halves a projection.
    assert len(streams) == {"revresnet": 2 * 4 + 2, "revnet56": 2 * 5 + 4}[name]
    internal |= streams
    backward = [operation for operation in step.operations if operation.pass_ is not Pass.FORWARD]
    assert not internal.intersection(name for operation in backward for name in operation.reads)


@pytest.mark.parametrize("name", ["revresnet", "resnet32", "revnet56"])
@pytest.mark.parametrize("schedule", ["store-all", "checkpoint", "reversible"])
def test_nothing_is_read_before_it_is_written(name, schedule):
    if schedule == "reversible" and name == "resnet32":
        return
    step = step_of(name, schedule)
    given = PERSISTENT_KINDS | {TensorKind.INPUT}
    there = {name for name, tensor in step.tensors.items() if tensor.kind in given}
    # With several micro-batches the weights' gradients come from the one before.
    there |= {name for name, tensor in step.tensors.items() if tensor.kind is TensorKind.WEIGHT_GRAD}
    for operation in step.operations:
        assert there.issuperset(operation.reads), operation.name
        there.update(operation.writes)
    assert there == set(step.tensors)
    assert len({operation.name for operation in step.operations}) == len(step.operations)


@pytest.mark.parametrize("schedule", ["store-all", "checkpoint", "reversible"])
def test_roles_name_tensors_of_the_operation(schedule):
    step = step_of("revresnet", schedule)
    for operation in step.operations:
        assert (operation.problem is None) == (not operation.roles)
        if operation.problem:
            assert set(operation.roles) == {"Weights", "Inputs", "Outputs"}
            assert operation.roles["Outputs"] in operation.writes
            assert {operation.roles["Weights"], operation.roles["Inputs"]} <= set(operation.reads)
            weights = step.tensors[operation.roles["Weights"]]
            assert operation.problem.volume("Weights") <= weights.elements


class _Count(TorchDispatchMode):
    """What autograd runs: gradients asked of each convolution_backward."""

    def __init__(self):
        super().__init__()
        self.input_grads = self.weight_grads = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "convolution_backward" in str(func):
            self.input_grads += args[10][0]
            self.weight_grads += args[10][1]
        return func(*args, **(kwargs or {}))


def test_gradients_are_those_that_autograd_runs():
    module = revnet([2, 2], [8, 8, 16])
    for parameter in module.get_submodule("stage1.0.f").parameters():
        parameter.requires_grad_(False)
    step = lower(capture(module, (2, 3, 8, 8)), Recipe(schedule="store-all", batch=2, micro_batch=2))
    with _Count() as count:
        module(torch.randn(2, 3, 8, 8)).sum().backward()
    convs = [op for op in step.operations if op.kind == "conv2d" and op.problem]
    partners = {p: {op.partner for op in convs if op.pass_ is p} for p in (Pass.INPUT_GRAD, Pass.WEIGHT_GRAD)}
    assert len(partners[Pass.INPUT_GRAD]) == count.input_grads
    assert len(partners[Pass.WEIGHT_GRAD]) == count.weight_grads


def frozen_then_trained():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten())
    module[0].requires_grad_(False)
    module[3].requires_grad_(False)
    return module


def test_frozen_layers_pass_gradients_on_only_to_what_is_trained_below():
    step = lower(capture(frozen_then_trained(), (1, 3, 9, 9)), Recipe(schedule="store-all", batch=1, micro_batch=1))
    gradients = {op.name for op in step.operations if op.pass_ in (Pass.INPUT_GRAD, Pass.WEIGHT_GRAD)}
    assert gradients == {"loss:input_grad", "3:input_grad", "2:weight_grad", "2:bias_grad"}
    assert {op.name for op in step.operations if op.pass_ is Pass.UPDATE} == {"2.weight:update", "2.bias:update"}


def test_the_gradient_of_a_result_that_was_split_is_no_weight_gradient():
    block = AdditiveCoupling(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), block, nn.Conv2d(8, 4, 1)), (2, 3, 4, 4))
    step = lower(graph, Recipe(schedule="store-all", batch=2, micro_batch=2))
    joins = [op for op in step.operations if op.kind == "concat" and op.pass_ is not Pass.FORWARD]
    assert [op.pass_ for op in joins] == [Pass.INPUT_GRAD]
    assert {op.kind for op in step.operations if op.name == "0:weight_grad"} == {"conv2d"}


def test_nothing_to_train_is_refused():
    with pytest.raises(WorkloadError, match="nothing to train"):
        lower(
            capture(nn.Conv2d(3, 4, 3).requires_grad_(False), (1, 3, 9, 9)),
            Recipe(schedule="store-all", batch=1, micro_batch=1),
        )


def test_weight_gradients_accumulate_over_micro_batches_and_uses():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)

        def forward(self, x):
            return self.conv(self.conv(x)).mean((2, 3))

    graph = capture(Twice(), (2, 4, 8, 8))
    one = lower(graph, Recipe(schedule="store-all", batch=2, micro_batch=2))
    many = lower(graph, Recipe(schedule="store-all", batch=8, micro_batch=2))
    accumulating = [
        [op.writes[0] in op.reads for op in step.operations if op.pass_ is Pass.WEIGHT_GRAD] for step in (one, many)
    ]
    assert accumulating == [[False, True], [True, True]]
    assert {many.trips(op.name) for op in many.operations if op.pass_ is not Pass.UPDATE} == {4}
    assert [many.trips(op.name) for op in many.operations if op.pass_ is Pass.UPDATE] == [1]


@pytest.mark.parametrize(("optimizer", "states"), [("sgd", 0), ("momentum", 1), ("adam", 2), ("adamw", 2)])
def test_optimizer_state(optimizer, states):
    step = lower(graph_of("revresnet"), Recipe(schedule="store-all", batch=1, micro_batch=1, optimizer=optimizer))
    weights = sum(op.vector_ops for op in step.operations if op.pass_ is Pass.UPDATE)
    state = sum(t.elements for t in step.tensors.values() if t.kind is TensorKind.OPTIMIZER_STATE)
    assert state == states * 573_994
    assert weights % 573_994 == 0


def test_wrong_recipes_are_refused():
    graph = graph_of("resnet32")
    good = {"schedule": "store-all", "batch": 4, "micro_batch": 1}
    with pytest.raises(UnknownNameError, match="did you mean 'store-all'"):
        Recipe(**{**good, "schedule": "storeall"})
    with pytest.raises(UnknownNameError, match="did you mean 'adam'"):
        Recipe(**{**good, "optimizer": "adamm"})
    with pytest.raises(WorkloadError, match="micro_batch: must divide batch 4"):
        Recipe(**{**good, "micro_batch": 3})
    with pytest.raises(WorkloadError, match="captured on 1"):
        lower(graph, Recipe(**{**good, "micro_batch": 2}))
    with pytest.raises(WorkloadError, match="no reversible blocks"):
        lower(graph, Recipe(**{**good, "schedule": "reversible"}))
    with pytest.raises(WorkloadError, match="at least 1"):
        Recipe(**good, checkpoint_blocks=0)


@pytest.mark.parametrize("blocks", [1, 2, 3, 100])
def test_checkpoint_runs_every_segment_but_the_last_again(blocks):
    graph = graph_of("resnet32")
    step = lower(graph, Recipe(schedule="checkpoint", batch=1, micro_batch=1, checkpoint_blocks=blocks))
    again = [op.partner for op in step.operations if op.pass_ is Pass.RECONSTRUCT]
    assert len(set(again)) == len(again)
    order = [node.name for node in graph.nodes]
    forward = macs(step, Pass.FORWARD)
    assert set(again) == set(order[: len(again)]), "segments are runs from the start"
    if blocks == 100:
        assert not again
    else:
        assert 0.5 * forward < macs(step, Pass.RECONSTRUCT) < forward
