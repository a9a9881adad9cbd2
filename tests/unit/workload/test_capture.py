"""Capture of modules that users might write."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.nn import functional

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.graph import OperatorNode, ValueRole
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.lowering.training import lower
from camel_plugin.workload.networks.branches import BasicBranch
from camel_plugin.workload.networks.units import AdditiveCoupling
from camel_plugin.workload.operators import operators


def kinds(graph):
    return [node.kind for node in graph.nodes]


class Calls(nn.Module):
    """A module that runs a function of its input."""

    def __init__(self, function, **modules):
        super().__init__()
        self.function = function
        for name, module in modules.items():
            setattr(self, name, module)

    def forward(self, x):
        return self.function(self, x)


def test_convolution_attributes_are_read_from_the_module():
    conv = nn.Conv2d(8, 16, (3, 5), stride=(1, 2), padding=(2, 0), dilation=(2, 1), groups=4)
    (node,) = capture(conv, (2, 8, 12, 13)).nodes
    assert node.attributes == {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1), "groups": 4}
    assert node.input_shapes == ((2, 8, 12, 13), (16, 2, 3, 5), (16,))
    assert node.output_shapes == (tuple(conv(torch.zeros(2, 8, 12, 13)).shape),)


def test_names_follow_the_module_path():
    net = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()), Calls(lambda _, x: x + x.relu()))
    graph = capture(net, (1, 3, 4, 4))
    assert [node.name for node in graph.nodes] == ["0.0", "0.1", "1", "1_2"]
    assert graph.nodes[0].inputs == ("input", "0.0.weight", "0.0.bias")
    assert graph.nodes[0].outputs == ("0.0.out",)
    assert graph.nodes[0].modules == ("", "0", "0.0")


OPERATORS = {
    "depthwise": (nn.Conv2d(8, 8, 3, groups=8), ["conv2d"]),
    "conv1d": (Calls(lambda m, x: m.conv(x.flatten(2)), conv=nn.Conv1d(8, 4, 3, padding=1)), ["conv1d"]),
    "linear": (Calls(lambda m, x: m.fc(x.flatten(1)), fc=nn.Linear(8 * 16, 4)), ["linear"]),
    "linear-3d": (Calls(lambda m, x: m.fc(x.flatten(2)), fc=nn.Linear(16, 4)), ["linear"]),
    "matmul": (Calls(lambda _, x: x @ x.transpose(-1, -2)), ["matmul"]),
    "group-norm": (nn.GroupNorm(2, 8), ["group_norm"]),
    "layer-norm": (nn.LayerNorm([8, 4, 4]), ["layer_norm"]),
    "batch-norm": (nn.BatchNorm2d(8), ["batch_norm"]),
    "max-pool": (nn.MaxPool2d(2), ["max_pool"]),
    "avg-pool": (nn.AvgPool2d(2), ["avg_pool"]),
    "adaptive-pool": (nn.AdaptiveAvgPool2d(2), ["avg_pool"]),
    "global-pool": (nn.AdaptiveAvgPool2d(1), ["reduce"]),
    "gelu": (nn.GELU(), ["activation"]),
    "sigmoid": (nn.Sigmoid(), ["activation_out"]),
    "relu6": (nn.ReLU6(inplace=True), ["copy", "activation"]),
    "softmax": (nn.Softmax(1), ["softmax"]),
    "arithmetic": (Calls(lambda _, x: (x * 2 + x) / (1 - x)), ["mul", "add", "rsub", "div"]),
    "concat": (Calls(lambda _, x: torch.cat([x, x * 2], 1)), ["mul", "concat"]),
    "pad": (Calls(lambda _, x: functional.pad(x, (1, 1))), ["pad"]),
    "reshape": (Calls(lambda _, x: x.reshape(1, 4, 32).permute(0, 2, 1).unsqueeze(1)), []),
    "dropout": (nn.Dropout(0.5), ["random", "div", "mul"]),
    "transposed": (nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1), ["conv_transpose2d"]),
    "conv3d": (Calls(lambda m, x: m.conv(x.unsqueeze(2)), conv=nn.Conv3d(8, 4, (1, 3, 3))), ["conv3d"]),
    "where": (Calls(lambda _, x: torch.where(x > 0, x, -x)), ["compare", "activation", "where"]),
    "maximum": (Calls(lambda _, x: torch.maximum(x, x * 2)), ["mul", "where"]),
    "extremum": (Calls(lambda _, x: x.amax(1) + x.max(1).values), ["extremum", "extremum", "add"]),
    "variance": (Calls(lambda _, x: x.var(1) + x.std(1)), ["moment", "moment", "add"]),
    "scan": (Calls(lambda _, x: x.cumsum(1)), ["scan"]),
    "gather": (Calls(lambda _, x: x[:, torch.tensor([0, 2])]), ["gather"]),
    "prelu": (nn.PReLU(), ["prelu"]),
    "glu": (nn.GLU(1), ["activation"]),
    "upsample": (nn.Upsample(scale_factor=2), ["upsample"]),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), ["interpolate"]),
    "instance-norm": (nn.InstanceNorm2d(8), ["batch_norm"]),
    "max-pool3d": (Calls(lambda m, x: m.p(x.unsqueeze(1)), p=nn.MaxPool3d(2)), ["max_pool"]),
    "lstm": (Calls(lambda m, x: m.l(x.flatten(2))[0], l=nn.LSTM(16, 4)), None),
    "gru": (Calls(lambda m, x: m.l(x.flatten(2))[0], l=nn.GRU(16, 4)), None),
    "attention": (Calls(lambda _, x: functional.scaled_dot_product_attention(x, x, x)), None),
    "causal": (Calls(lambda _, x: functional.scaled_dot_product_attention(x, x, x, is_causal=True)), None),
    "encoder": (Calls(lambda m, x: m.e(x.flatten(2)), e=nn.TransformerEncoderLayer(16, 2, 32)), None),
    "split": (Calls(lambda _, x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1]), ["add"]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_modelled_with_their_gradients(name):
    module, expected = OPERATORS[name]
    net = nn.Sequential(nn.Conv2d(8, 8, 1), copy.deepcopy(module))
    graph = capture(net, (1, 8, 4, 4))
    assert expected is None or kinds(graph)[1:] == expected
    assert not graph.unsupported
    assert not graph.not_reached
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert {op.name for op in step.operations} >= {"0:weight_grad", "0.weight:update"}
    forward, backward = Counter(), Counter()
    for op in step.operations:
        (forward if op.pass_ is Pass.FORWARD else backward)[op.partner or op.name] += op.macs
    for product, macs in forward.items():
        read = graph.node(product).inputs[:2] if macs else ()
        assert backward[product] == macs * sum(trained(graph.values[value]) for value in read)


def trained(value):
    """Whether autograd gives a value a gradient."""
    return value.requires_grad and value.role is not ValueRole.CONSTANT


def test_attention_becomes_matrix_products():
    attention = nn.MultiheadAttention(16, 4, batch_first=True)
    graph = capture(Calls(lambda m, x: m.a(x, x, x, need_weights=False)[0], a=attention), (2, 9, 16))
    products = [node for node in graph.nodes if node.kind in ("linear", "matmul")]
    work = [node.output_shapes[0] + node.input_shapes[0][-1:] for node in products]
    # Projections of 2 x 9 rows to three times 16 and back; 2 x 4 heads of 9 x 9 scores over 4 channels.
    assert work == [(18, 48, 16), (8, 9, 9, 4), (8, 9, 4, 9), (18, 16, 16)]
    assert not graph.unsupported


def test_in_place_operators_make_new_values():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1))
    graph = capture(net, (1, 3, 4, 4))
    assert graph.nodes[2].inputs[0] == graph.nodes[1].outputs[0] != graph.nodes[0].outputs[0]


def test_a_view_goes_by_the_name_of_its_data():
    net = Calls(lambda m, x: m.fc(x.flatten(1)), fc=nn.Linear(48, 2))
    graph = capture(net, (1, 3, 4, 4))
    assert graph.nodes[0].inputs[0] == "input"
    assert any(note.startswith("view") for note in graph.ignored)


TWO_OPERANDS = {
    "pow": lambda x, y: x**y,
    "atan2": torch.atan2,
    "hypot": torch.hypot,
    "fmod": torch.fmod,
    "remainder": torch.remainder,
    "maximum": torch.maximum,
    "clamp": lambda x, y: torch.clamp(x, min=y),
    "clamp_max": torch.clamp_max,
    "lerp": lambda x, y: x.lerp(y, 0.5),
    "copysign": torch.copysign,
    "logaddexp": torch.logaddexp,
    "masked_scatter": lambda x, y: x.masked_scatter(torch.ones(4, dtype=torch.bool)[:, None, None], y),
    "scatter_add": lambda x, y: x.scatter_add(1, torch.zeros(1, 4, 4, 4, dtype=torch.long), y),
    "index_add": lambda x, y: x.index_add(1, torch.arange(4), y),
    "index_put": lambda x, y: torch.index_put(x, (torch.arange(1),), y),
    "grid_sample": lambda x, y: functional.grid_sample(x, y[..., :2], align_corners=False),
}


@pytest.mark.parametrize("name", TWO_OPERANDS)
def test_both_operands_are_read(name):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), Calls(lambda _, x: TWO_OPERANDS[name](x, x.exp())))
    graph = capture(net, (1, 3, 4, 4))
    read = {graph.values[value].part_of or value for node in graph.nodes[2:] for value in node.inputs}
    assert read >= {"0.out", "1.out"}


def test_random_numbers_read_their_probability():
    graph = capture(
        nn.Sequential(nn.Conv2d(3, 4, 1), Calls(lambda _, x: x * torch.bernoulli(x.sigmoid()))), (1, 3, 4, 4)
    )
    assert [node.inputs for node in graph.nodes if node.kind == "random"] == [("1.out",)]


ACTIVATIONS = (
    "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 "
    "SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink Threshold"
)


@pytest.mark.parametrize("name", ACTIVATIONS.split())
def test_gradients_of_activations_are_made_of_that_of_the_result(name):
    module = nn.Threshold(0.1, 0.0) if name == "Threshold" else getattr(nn, name)()
    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), module), (1, 3, 4, 4))
    made = {*graph.outputs.values()}
    for node in graph.backward:
        if made.intersection(node.inputs):
            made.update(node.outputs)
    assert made.issuperset(graph.weight_gradients.values())


def test_rows_of_the_table_are_torch_s_operators():
    """A part that is written is ours alone."""
    names = set(operators()) - {"slice_write"}
    assert {name for name in names if not any(hasattr(torch.ops.aten, n) for n in (name, f"{name}_"))} == set()


@pytest.mark.parametrize("name", operators())
def test_rows_of_the_table_have_a_cost(name):
    row = operators()[name]
    node = OperatorNode("n", row.kind, (), ((2, 3),), (), ((2, 3),), {"kernel": (2, 2), "training": True})
    moves = {"concat", "pad", "broadcast", "copy", "gather", "upsample"}
    assert row.lower is not None or (row.ops(node) == 0 if row.kind in moves else row.ops(node) >= 6)


def test_what_is_not_modelled_is_said_with_its_share():
    net = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), Calls(lambda _, x: torch.cdist(x.flatten(2), x.flatten(2))))
    graph = capture(net, (1, 3, 4, 4))
    # Reads 64 values twice and writes 4 x 4 distances; the convolution 48, its 12 weights and 64.
    share = (2 * 64 + 16) / (2 * 64 + 16 + 48 + 12 + 64)
    notes = {note.partition(" ")[0]: note for note in graph.unsupported}
    assert set(notes) == {"_cdist_forward", "_cdist_backward"}
    assert ": 2 x, " in notes["_cdist_backward"]
    assert notes["_cdist_forward"] == (
        f"_cdist_forward in 1: 1 x, {share:.1%} of the forward pass's bytes, MACs unknown (torch has no formula for it)"
    )
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert step.coverage.unsupported == graph.unsupported
    assert any(op.name == "0:weight_grad" for op in step.operations), "gradients still flow through"


def test_a_write_into_a_slice_makes_a_new_whole():
    def halve(_, x):
        y = x * 2
        y[:, :1].mul_(0.5)
        y[:, 1:2] = x[:, :1]
        y[:, 2] = 0
        return y + 1

    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), Calls(halve)), (1, 3, 4, 4))
    assert not graph.unsupported
    assert kinds(graph)[1:] == ["mul", "mul", "slice_write", "slice_write", "slice_write", "add"]
    writes = [node for node in graph.nodes if node.kind == "slice_write"]
    assert writes[1].inputs[0] == writes[0].outputs[0]
    assert writes[2].inputs[0] == writes[1].outputs[0]
    assert graph.nodes[-1].inputs[0] == writes[2].outputs[0]
    assert {graph.values[node.outputs[0]].version_of for node in writes} == {graph.node("1").outputs[0]}
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert any(op.name == "0:weight_grad" for op in step.operations)
    moved = {op.name: (op.writes, op.touched[op.writes[0]]) for op in step.operations if op.kind == "slice_write"}
    assert {moved[node.name] for node in writes} == {(graph.node("1").outputs, 16)}, "one of four channels"


def test_the_gradient_of_a_written_slice_is_read_before_it_is_cleared():
    def replace(_, x):
        y = x * 2
        y[:, :1] = x[:, 1:2]
        return y + 1

    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), Calls(replace)), (1, 3, 4, 4))
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    order = [op.name for op in step.operations]
    (clears,) = (op for op in step.operations if op.kind == "slice_write" and op.pass_ is Pass.INPUT_GRAD)
    (pads,) = (op for op in step.operations if op.kind == "pad")
    assert pads.reads != clears.writes or order.index(pads.name) < order.index(clears.name)


def test_a_slice_shows_what_was_written_into_its_tensor_since():
    def stale(_, x):
        y = x * 2
        first, both = y[:, :1], y[:, :2]
        both.add_(1)
        return first * 3

    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), Calls(stale)), (1, 3, 4, 4))
    (written,) = (node for node in graph.nodes if node.kind == "slice_write")
    (shown,) = graph.nodes[-1].inputs
    assert graph.values[shown].part_of == written.outputs[0]
    assert graph.values[shown].elements == 16


def test_detached_values_stop_the_gradient():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), Calls(lambda m, x: m.c(x.detach()), c=nn.Conv2d(4, 4, 1)))
    step = lower(capture(net, (1, 3, 4, 4)), Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert {op.name for op in step.operations if op.pass_ is Pass.UPDATE} == {"1.c.weight:update", "1.c.bias:update"}


def test_embeddings_and_tied_weights():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(50, 8)

        def forward(self, tokens, mask):
            x = self.embed(tokens).masked_fill(mask.unsqueeze(-1), 0.0)
            return {"logits": functional.linear(x, self.embed.weight), "hidden": x}

    inputs = {"tokens": InputTensor((2, 7), "int64"), "mask": InputTensor((2, 7), "bool")}
    graph = capture(Tied(), inputs)
    assert kinds(graph) == ["gather", "mask", "linear"]
    assert [value.name for value in graph.inputs] == ["tokens", "mask"]
    assert tuple(graph.outputs) == graph.nodes[-1].outputs, "a record's logits alone are trained on"
    step = lower(graph, Recipe(schedule="store-all", batch=2, micro_batch=2))
    gradients = [op for op in step.operations if op.pass_ is Pass.WEIGHT_GRAD]
    assert [op.kind for op in gradients] == ["linear", "scatter"]
    assert gradients[0].writes == gradients[1].writes
    assert gradients[1].writes[0] in gradients[1].reads, "the second use adds to the first"


def test_parameters_under_no_grad_are_not_trained():
    def silent(m, x):
        with torch.no_grad():
            y = m.conv(x)
        return x + y

    net = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), Calls(silent, conv=nn.Conv2d(3, 3, 1)))
    graph = capture(net, (1, 3, 4, 4))
    assert list(graph.weight_gradients) == ["0.weight"]
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert [op.name for op in step.operations if op.pass_ is Pass.UPDATE] == ["0.weight:update"]


def test_modules_that_never_ran_are_listed():
    net = nn.Sequential(nn.Conv2d(3, 4, 1))
    net[0].extra = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    assert capture(net, (1, 3, 4, 4)).not_reached == ("0.extra: Sequential",)


def test_the_module_stays_as_it_was():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).eval()
    before = copy.deepcopy(net.state_dict())
    capture(net, (2, 3, 4, 4))
    assert not any(module.training for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_nothing_is_allocated():
    side = 1 << 20
    graph = capture(nn.Conv2d(3, 64, 3, padding=1), (1024, 3, side, side))  # 2^56 values of output
    assert graph.nodes[0].output_shapes == ((1024, 64, side, side),)


def test_failures_name_module_and_reason():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(7, 2))
    with pytest.raises(WorkloadError) as caught:
        capture(net, (1, 3, 8, 8), "mine")
    text = str(caught.value)
    assert "mine (Sequential) cannot be traced in '1'" in text
    assert "must have same reduction dim" in text
    with pytest.raises(WorkloadError, match="returns no floating-point tensor"):
        capture(Calls(lambda _, x: x > 0), (1, 3))


def test_frozen_parameters_are_marked():
    net = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False).requires_grad_(False), nn.Conv2d(4, 4, 1, bias=False))
    values = capture(net, (1, 3, 4, 4)).values
    grads = {name: value.requires_grad for name, value in values.items() if value.role is ValueRole.PARAMETER}
    assert grads == {"0.weight": False, "1.weight": True}
    assert not values["0.out"].requires_grad
    assert values["1.out"].requires_grad


class Streams(nn.Module):
    """A coupling on a pair of tensors, with the branch names of MemCNN."""

    def __init__(self, coupling="additive"):
        super().__init__()
        self.Fm, self.Gm = BasicBranch(4, 4), BasicBranch(4, 4)
        self.coupling = coupling

    def forward(self, pair):
        x1, x2 = pair
        y1 = x1 + self.Fm(x2)
        y2 = x2 + self.Gm(y1) if self.coupling == "additive" else x2 * self.Gm(y1)
        return y1, y2

    def inverse(self, pair):
        y1, y2 = pair
        x2 = y2 - self.Gm(y1)
        return y1 - self.Fm(x2), x2


def test_couplings_are_recognised_by_what_they_compute():
    net = Calls(lambda m, x: torch.cat(m.b(m.a(x.chunk(2, 1))), 1), a=Streams(), b=Streams("product"))
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), net), (2, 3, 4, 4))
    f, g, other = graph.couplings
    assert [coupling.module for coupling in (f, g, other)] == ["1.a", "1.a", "1.b"]
    for coupling, branch, operand in ((f, "1.a.Fm.", "0.out"), (g, "1.a.Gm.", "0.out"), (other, "1.b.Fm.", None)):
        assert len(coupling.branch) == 6
        assert all(name.startswith(branch) for name in coupling.branch)
        (inversion,) = coupling.inversions
        assert inversion.kind == "sub", "a factor that may be zero is not divided by"
        stream = graph.values[inversion.operand]
        assert (stream.part_of, stream.elements) == (operand, 2 * 4 * 16)


def test_a_branch_that_reads_something_else_is_no_coupling():
    block = AdditiveCoupling(BasicBranch(4, 4), BasicBranch(4, 4))
    leak = Calls(lambda m, x: m.b(x) + m.b.f(x[:, :4]).repeat(1, 2, 1, 1), b=block)
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), leak), (2, 3, 4, 4))
    outside = {n.name for n in graph.nodes if "1.b" not in n.modules}
    assert not any(outside.intersection(coupling.nodes) for coupling in graph.couplings)


def test_chains_of_blocks_keep_their_streams_apart():
    block = [AdditiveCoupling(BasicBranch(4, 4), BasicBranch(4, 4)) for _ in range(3)]
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), *block), (2, 3, 4, 4))
    assert kinds(graph).count("concat") == 1
    assert [coupling.module for coupling in graph.couplings] == ["1", "1", "2", "2", "3", "3"]
    inversions = [coupling.inversions[0] for coupling in graph.couplings]
    assert [i.operand for i in inversions[2:]] == [i.result for i in inversions[:4]]


def test_complex_values_are_no_constants():
    """A Fourier transform is not modelled; it must not cut the layer before it off from the loss either."""
    module = Calls(lambda m, x: torch.fft.fft2(m.conv(x)).real.mean((2, 3)), conv=nn.Conv2d(3, 4, 1))
    graph = capture(module, (1, 3, 8, 8))
    assert {note.partition(" ")[0] for note in graph.unsupported} == {"_fft_c2c"}
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert any(op.pass_ is Pass.WEIGHT_GRAD and op.kind == "conv2d" for op in step.operations)
