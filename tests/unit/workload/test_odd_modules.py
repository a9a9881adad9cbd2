"""Modules as users write them: custom operators and gradients, values that steer the forward pass, wrappers."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import register_flop_formula

from camel_plugin.errors import WorkloadError
from camel_plugin.spec.inputs import InputTensor
from camel_plugin.spec.step import Pass
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.load import load_network
from camel_plugin.workload.operators import operators


class Calls(nn.Module):
    """A linear layer, then whatever is given."""

    def __init__(self, function, width=8):
        super().__init__()
        self.fc = nn.Linear(width, width, bias=False)
        self.function = function

    def forward(self, x):
        return self.function(self.fc(x))


def unsupported(function, *shape):
    return capture(Calls(function, shape[-1]), (2, *shape)).unsupported


@torch.library.custom_op("camel_tests::twice_mm", mutates_args=())
def twice_mm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return 2 * x @ y


@twice_mm.register_fake
def _(x, y):
    return x.new_empty(x.shape[0], y.shape[1])


def test_the_share_of_an_operator_with_a_formula_of_its_own_is_known():
    def run(x):
        return torch.ops.camel_tests.twice_mm(x.detach(), x.detach().t())

    # Linear: 2 x 8 x 8 values in, through, out, 128 MACs; the operator: 2 x 8 twice and 2 x 2; x.t() is a view.
    data = (16 + 16 + 4) / (16 + 64 + 16 + 36)
    (note,) = unsupported(run, 8)
    head = f"camel_tests::twice_mm in the network: 1 x, {data:.1%} of the forward pass's bytes, "
    assert note == head + "MACs unknown (torch has no formula for it)"
    register_flop_formula(torch.ops.camel_tests.twice_mm)(lambda x, y, *_, **__: 2 * x[0] * x[1] * y[1])
    (note,) = unsupported(run, 8)
    assert note.endswith(
        f"{data:.1%} of the forward pass's bytes, {2 * 8 * 2 / (2 * 8 * 8 + 2 * 8 * 2):.1%} of its MACs"
    )


def test_what_torch_cannot_differentiate_is_refused():
    with pytest.raises(WorkloadError, match=r"backward through camel_tests.twice_mm.default but no autograd formula"):
        unsupported(lambda x: torch.ops.camel_tests.twice_mm(x, x.t()), 8)


def test_operators_that_go_element_by_element_need_no_row():
    graph = capture(Calls(torch.special.i0), (2, 8))
    assert "i0" not in operators()
    assert not graph.unsupported
    assert [(node.kind, node.attributes.get("function")) for node in graph.nodes[1:]] == [("activation", "i0")]
    step = load_network(Calls(torch.special.i0), input=(8,), batch=2, micro_batch=2).step()
    assert [op.vector_ops for op in step.operations if op.pass_ is Pass.FORWARD and op.kind == "activation"] == [2 * 8]
    assert sum(op.macs for op in step.operations if op.pass_ is Pass.WEIGHT_GRAD) == 2 * 8 * 8


@pytest.mark.parametrize(
    "function",
    [
        lambda x: functional.mse_loss(x, torch.ones_like(x)),
        lambda x: functional.binary_cross_entropy_with_logits(x, torch.ones_like(x)),
        lambda x: functional.pad(x, (1, 1, 0, 1), mode="reflect"),
        lambda x: functional.pixel_shuffle(x, 2),
        lambda x: torch.addcmul(x, x, x).lerp(x, 0.5).addcdiv(x, x + 1),
        lambda x: x.clone().lerp_(x, 0.5),
        lambda x: functional.interpolate(x, scale_factor=2, mode="nearest-exact"),
        lambda x: functional.interpolate(x, size=(4, 4), mode="bilinear", antialias=True),
        lambda x: x + torch.randn_like(x) * torch.rand(x.shape[0], 1, 1, 1),
        lambda x: x.sort(-1)[0],
        lambda x: torch.zeros_like(x).scatter_add(1, torch.zeros(2, 4, 8, 8, dtype=torch.long), x),
        lambda x: torch.einsum("bcij,bcjk->bcik", x, x),
        lambda x: functional.scaled_dot_product_attention(x, x[:, :2], x[:, :2], is_causal=True, enable_gqa=True),
        lambda x: checkpoint(torch.tanh, x, use_reentrant=True),
        lambda x: checkpoint(torch.tanh, x, use_reentrant=False),
    ],
    ids=[
        "mse",
        "bce",
        "pad",
        "pixel_shuffle",
        "addcmul",
        "lerp_",
        "nearest",
        "antialias",
        "noise",
        "sort",
        "scatter_add",
        "einsum",
        "attention",
        "reentrant",
        "not_reentrant",
    ],
)
def test_nothing_is_left_out_and_a_gradient_reaches_the_weight(function):
    step = load_network(Calls(function), input=(4, 8, 8), batch=2, micro_batch=2).step(strict=True)
    work = {pass_: sum(op.macs for op in step.operations if op.pass_ is pass_) for pass_ in Pass}
    assert work[Pass.WEIGHT_GRAD] >= 2 * 4 * 8 * 8 * 8


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, tokens, mask):
        x = self.words(tokens)
        if not mask.bool().all():
            x = x * mask[..., None]
        for _ in range(int(mask[0].sum())):
            x = x + 1
        return self.head(x.mean(1))


def test_integer_inputs_are_ones_where_the_forward_pass_asks():
    inputs = {name: InputTensor((2, 3), "int64") for name in ("tokens", "mask")}
    graph = capture(Masked(), inputs)
    kinds = [node.kind for node in graph.nodes]
    assert kinds.count("add") == 3 and "mul" not in kinds and not graph.unsupported


def test_random_numbers_that_steer_are_at_their_mean():
    graph = capture(Calls(lambda x: x if torch.rand([]) < 0.1 else x.relu()), (2, 8))
    assert [node.kind for node in graph.nodes] == ["linear", "random", "compare", "relu"]


def test_values_that_only_data_have_steer_by_random_numbers_and_it_is_said():
    (note,) = capture(Calls(lambda x: x.tanh() if (x.sum() > 0) | (x.sum() < 0) else -x), (2, 8)).unsupported
    assert note == "path that depends on data, traced on random numbers, in the network: 1 x"


def test_what_is_too_large_for_random_numbers_cannot_be_steered_by_them():
    with pytest.raises(WorkloadError, match="traced: control flow depends on values that only a run with data has"):
        capture(Calls(lambda x: x if x.sum() > 0 else -x), (1 << 24, 8))


def test_a_shape_that_depends_on_data_is_that_of_ones_and_said():
    net = Calls(lambda x: x[x > 0] * 2)
    (note,) = capture(net, (2, 8)).unsupported
    assert note == "shape of index, found by a run on ones, in the network: 1 x"
    with pytest.raises(WorkloadError, match="holds what is not modelled"):
        load_network(net, input=(8,)).step(strict=True)


def test_an_operator_that_has_no_meta_kernel_is_left_out_not_refused():
    def run(x):
        sizes = (torch.full((2,), 4), torch.full((2,), 2))
        return functional.ctc_loss(x.log_softmax(-1).transpose(0, 1), torch.ones(2, 2, dtype=torch.long), *sizes)

    notes = unsupported(run, 4, 8)
    assert [note.split(",")[0].partition(" in ")[0] for note in notes] == [
        "_ctc_loss",
        "_ctc_loss_backward",
        "shape of _ctc_loss",
    ]


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    def backward(ctx, dy):
        x, w = ctx.saved_tensors
        return dy @ w.t(), x.t() @ dy


class OtherStyle(torch.autograd.Function):
    @staticmethod
    def forward(x, w):
        return x @ w

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    backward = Scaled.backward


@pytest.mark.parametrize("function", [Scaled, OtherStyle])
def test_a_backward_pass_of_ones_own_is_followed(function):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(8, 8))

        def forward(self, x):
            return function.apply(x, self.w)

    step = load_network(Net(), input=(8,), batch=2, micro_batch=2).step()
    assert not step.coverage.unsupported
    work = {pass_: sum(op.macs for op in step.operations if op.pass_ is pass_) for pass_ in Pass}
    # It makes the gradient of its input, too, which nobody asked for.
    assert work[Pass.FORWARD] == work[Pass.WEIGHT_GRAD] == work[Pass.INPUT_GRAD] == 2 * 8 * 8
    x, w = torch.ones(2, 8), torch.ones(8, 8, requires_grad=True)
    function.apply(x, w).sum().backward()  # theirs again once the trace is over
    assert w.grad is not None


def test_the_network_s_own_tensors_are_never_written_to():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 8)
            self.calls = torch.zeros(3)
            self.register_buffer("table", torch.zeros(4))

        def forward(self, x):
            self.calls[1:].add_(1)
            self.table[0] = 5
            return self.fc(x) * (2 if self.calls.sum().item() == 2 else 1)

    module = Counting()
    assert [node.kind for node in capture(module, (2, 8)).nodes] == ["linear", "mul"]
    assert not module.calls.any() and not module.table.any()


def test_wrappers_and_lazy_parameters():
    assert capture(nn.DataParallel(nn.Linear(8, 4)), (2, 8)).network == "Linear"
    with pytest.raises(WorkloadError, match="lazy parameters without a shape; call it on some input first"):
        capture(nn.Sequential(nn.LazyLinear(8)), (2, 8))


def test_tensors_without_values_cost_nothing():
    graph = capture(Calls(lambda x: torch.cat([x[:, :0], torch.empty(0), x], 1) * 2), (2, 8))
    assert [(node.kind, node.inputs) for node in graph.nodes] == [
        ("linear", ("input", "fc.weight")),
        ("concat", ("fc.out",)),
        ("mul", ("concat.out",)),
    ]
    assert all(value.elements for value in graph.values.values())
