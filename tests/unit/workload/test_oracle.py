"""A gradient that is lost is found, whichever it is."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from camel_plugin.errors import WorkloadError
from camel_plugin.workload.capture import other_operators
from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering import emit
from camel_plugin.workload.operators import operators


class Several(nn.Module):
    """Products of every kind."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.LayerNorm(4)
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        x = self.conv(x).relu().flatten(2).transpose(1, 2)
        q = self.fc(self.norm(x))
        return functional.softmax(q @ q.transpose(1, 2), -1) @ x


PRODUCTS = ["convolution_backward", "mm", "bmm"]


def network():
    return load_network(Several(), input=(3, 6, 6), batch=2, micro_batch=2)


def without(name):
    return {row: operator for row, operator in operators().items() if row != name}


def test_nothing_is_missing():
    assert network().step(strict=True).coverage.unsupported == ()


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_rule_that_is_missing_when_a_step_is_made_is_missed(name, monkeypatch):
    graph = network()
    assert graph.graph
    monkeypatch.setattr(emit, "operators", lambda: without(name))
    first, *_ = graph.step().coverage.unsupported
    assert first.startswith(f"WORK THAT IS NOT THAT OF AUTOGRAD: {name} of ")
    with pytest.raises(WorkloadError, match="holds what is not modelled"):
        graph.step(strict=True)


BACKWARD = ["_softmax_backward_data", "native_layer_norm_backward", *PRODUCTS]


@pytest.mark.parametrize("name", BACKWARD)
def test_a_rule_that_is_missing_when_a_network_is_captured_is_missed(name, monkeypatch):
    """torch has decompositions for some, which must be gone, too."""
    module = sys.modules["camel_plugin.workload.capture.capture"]
    monkeypatch.setattr(module, "operators", lambda: without(name))
    monkeypatch.setattr(emit, "operators", lambda: without(name))
    monkeypatch.setattr(other_operators, "_table", dict)
    with pytest.raises(WorkloadError, match=name):
        network().step(strict=True)


def test_a_parameter_without_its_gradient_is_named(monkeypatch):
    whole = network()
    graph = whole.graph
    lost = [node for node in graph.backward if node.partner != "conv"]
    monkeypatch.setitem(whole.__dict__, "graph", type(graph)(**{**vars(graph), "backward": tuple(lost)}))
    notes = whole.step().coverage.unsupported
    assert any(note.startswith("GRADIENTS THAT AUTOGRAD MAKES AND THE STEP DOES NOT: conv.weight") for note in notes)


class Square(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return 2 * x * dy


square = Square.apply  # bound once, as torch's tutorial does


class Recurrent(nn.Module):
    """Writes steps into a fresh tensor, masks with a triangle, takes a gradient on the way."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(8, 8)
        self.head = nn.Linear(8, 8)

    def forward(self, x):
        h, out = x.new_zeros(x.shape[0], 8), x.new_zeros(x.shape)
        for step in range(x.shape[1]):
            h = self.cell(x[:, step], h)
            out[:, step] = h
        scores = (out @ out.transpose(1, 2)).tril()
        y = square(self.head(scores @ out))
        (slope,) = torch.autograd.grad(y.sum(), out, create_graph=True)
        return y + slope


def test_writes_into_slices_triangles_functions_and_gradients_on_the_way():
    step = load_network(Recurrent(), input=(5, 8), batch=2, micro_batch=2).step(strict=True)
    module, x = Recurrent(), torch.randn(2, 5, 8)
    module(x).sum().backward()
    trained = {name for name, parameter in module.named_parameters() if parameter.grad is not None}
    assert {op.name.removesuffix(":update") for op in step.operations if op.name.endswith(":update")} == trained


class Stateful(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.norm = nn.BatchNorm1d(4)
        self.last, self.seen, self.record = None, [], {"calls": 0}

    def forward(self, x):
        self.last = self.norm(self.fc(x))
        self.seen.append(self.last)
        self.record["calls"] += 1
        return self.last * torch.rand(())


def test_the_module_and_the_generator_are_left_as_they_were():
    module = Stateful()
    before, drawn = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    load_network(module, input=(4,), batch=2).step()
    assert module.last is None and module.seen == [] and module.record == {"calls": 0}
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), drawn)
