"""Capture of modules that users might write."""

import copy

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
from camel_plugin.workload.capture.operators import OPERATORS as OPERATOR_TABLE
from camel_plugin.workload.lowering.backward_rules import BACKWARD
from camel_plugin.workload.lowering.lowering import MAC_KINDS
from camel_plugin.workload.lowering.training import lower
from camel_plugin.workload.lowering.vector_ops import forward_ops
from camel_plugin.workload.networks.branches import BasicBranch
from camel_plugin.workload.networks.units import AdditiveCoupling


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
    "relu6": (nn.ReLU6(inplace=True), ["activation"]),
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
    "split": (Calls(lambda _, x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1]), ["split", "split", "add"]),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_modelled_and_have_a_rule(name):
    module, expected = OPERATORS[name]
    net = nn.Sequential(nn.Conv2d(8, 8, 1), copy.deepcopy(module))
    graph = capture(net, (1, 8, 4, 4))
    assert expected is None or kinds(graph)[1:] == expected
    assert not graph.unsupported
    assert not graph.not_reached
    assert set(kinds(graph)) - {"random", "compare"} <= set(BACKWARD)
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert {op.name for op in step.operations} >= {"0:weight_grad", "0.weight:update"}


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


def test_every_kind_of_operator_has_a_cost_and_a_rule():
    no_gradient = {"compare", "random"}
    for operator in OPERATOR_TABLE.values():
        kinds_made = {operator.kind} if operator.kind != "conv" else {kind for kind in MAC_KINDS if "conv" in kind}
        assert kinds_made - no_gradient <= set(BACKWARD)
        vector = OperatorNode("n", operator.kind, (), ((2, 3),), (), ((2, 3),), {"kernel": (2, 2), "training": True})
        assert kinds_made <= MAC_KINDS or forward_ops(vector) >= 0


def test_what_is_not_modelled_is_said_with_its_share():
    net = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), Calls(lambda _, x: torch.cumprod(x, 1)))
    graph = capture(net, (1, 3, 4, 4))
    # Reads and writes 64 values each, the convolution 48, its 12 weights and 64.
    share = 128 / (128 + 48 + 12 + 64)
    assert graph.unsupported == (
        f"cumprod in 1: 1 x, {share:.1%} of the forward pass's bytes, MACs unknown (torch has no formula for it)",
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
    assert kinds(graph)[1:] == ["mul", "slice", "mul", "slice_write", "slice", "slice_write", "slice_write", "add"]
    writes = [node for node in graph.nodes if node.kind == "slice_write"]
    assert writes[1].inputs[0] == writes[0].outputs[0]
    assert writes[2].inputs[0] == writes[1].outputs[0]
    assert graph.nodes[-1].inputs[0] == writes[2].outputs[0]
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert any(op.name == "0:weight_grad" for op in step.operations)


def test_a_slice_shows_what_was_written_into_its_tensor_since():
    def stale(_, x):
        y = x * 2
        first, both = y[:, :1], y[:, :2]
        both.add_(1)
        return first * 3

    graph = capture(nn.Sequential(nn.Conv2d(3, 4, 1), Calls(stale)), (1, 3, 4, 4))
    nodes = {output: node for node in graph.nodes for output in node.outputs}
    again = nodes[graph.nodes[-1].inputs[0]]
    assert again.kind == "slice"
    assert nodes[again.inputs[0]].kind == "slice_write"


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
    assert graph.outputs == graph.nodes[-1].outputs, "a record's logits alone are trained on"
    step = lower(graph, Recipe(schedule="store-all", batch=2, micro_batch=2))
    gradients = [op for op in step.operations if op.pass_ is Pass.WEIGHT_GRAD]
    assert [op.kind for op in gradients] == ["linear", "scatter"]
    assert gradients[0].writes == gradients[1].writes
    assert gradients[1].writes[0] in gradients[1].reads, "the second use adds to the first"


def test_trainable_parameters_under_no_grad_are_said():
    def silent(m, x):
        with torch.no_grad():
            return m.conv(x)

    graph = capture(nn.Sequential(nn.Conv2d(3, 3, 1), Calls(silent, conv=nn.Conv2d(3, 4, 1))), (1, 3, 4, 4))
    assert any("no_grad" in note for note in graph.unsupported)


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
    with pytest.raises(WorkloadError, match="cannot be traced"):
        capture(Calls(lambda _, x: x if x.sum().item() > 0 else -x), (1, 3))
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
    assert [block.module for block in graph.blocks] == ["1.a"]
    (block,) = graph.blocks
    assert (block.x1, block.x2) == ("1.split.out0", "1.split.out1")
    assert len(block.f) == len(block.g) == 6
    assert all(".Fm." in name for name in block.f)


def test_a_branch_that_reads_something_else_is_no_coupling():
    block = AdditiveCoupling(BasicBranch(4, 4), BasicBranch(4, 4))
    leak = Calls(lambda m, x: m.b(x) + m.b.f(x[:, :4]).repeat(1, 2, 1, 1), b=block)
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), leak), (2, 3, 4, 4))
    assert not any(set(b.f) & {n.name for n in graph.nodes if "1.b" not in n.modules} for b in graph.blocks)


def test_chains_of_blocks_keep_their_streams_apart():
    block = [AdditiveCoupling(BasicBranch(4, 4), BasicBranch(4, 4)) for _ in range(3)]
    graph = capture(nn.Sequential(nn.Conv2d(3, 8, 1), *block), (2, 3, 4, 4))
    assert kinds(graph).count("split") == kinds(graph).count("concat") == 1
    assert len(graph.blocks) == 3
    assert (graph.blocks[1].x1, graph.blocks[1].x2) == (graph.blocks[0].y1, graph.blocks[0].y2)


def test_complex_values_are_no_constants():
    """A Fourier transform is not modelled; it must not cut the layer before it off from the loss either."""
    module = Calls(lambda m, x: torch.fft.fft2(m.conv(x)).real.mean((2, 3)), conv=nn.Conv2d(3, 4, 1))
    graph = capture(module, (1, 3, 8, 8))
    assert [note.partition(" ")[0] for note in graph.unsupported] == ["_fft_c2c"]
    step = lower(graph, Recipe(schedule="store-all", batch=1, micro_batch=1))
    assert any(op.pass_ is Pass.WEIGHT_GRAD and op.kind == "conv2d" for op in step.operations)
