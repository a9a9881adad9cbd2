"""Operators and functions that a package of a user's brings, with no change to ours."""

import importlib

import pytest
import torch
from torch import nn

from camel_plugin.plugins import registered
from camel_plugin.spec.step import Pass
from camel_plugin.workload.load import load_network
from camel_plugin.workload.operators import operators

MODULE = '''
import torch
from camel_plugin.workload.lowering.rules import product
from camel_plugin.workload.operators import Operator

@torch.library.custom_op("tests_operator::scaled_mm", mutates_args=())
def scaled_mm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return 2 * x @ y

@scaled_mm.register_fake
def _(x, y):
    return x.new_empty(x.shape[0], y.shape[1])

def backward(ctx, dy):
    x, y = ctx.saved_tensors
    return scaled_mm(dy, y.t().contiguous()), scaled_mm(x.t().contiguous(), dy)

scaled_mm.register_autograd(backward, setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs))

class Straight(torch.autograd.Function):
    """Rounds, and passes the gradient of its input through a product."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(w)
        return (x @ w).round()

    @staticmethod
    def backward(ctx, dy):
        (w,) = ctx.saved_tensors
        return dy @ w.t(), None

straight = Straight.apply

OPERATORS = {"tests_operator::scaled_mm": Operator("matmul", ("x", "y"), lower=product)}
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that is installed beside ours: a module, and metadata with its entry point."""
    (tmp_path / "users_operators.py").write_text(MODULE)
    metadata = tmp_path / "users_operators-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: users-operators\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[camel_plugin.operators]\nmine = users_operators:OPERATORS\n")
    monkeypatch.syspath_prepend(tmp_path)
    registered.cache_clear()
    operators.cache_clear()
    yield importlib.import_module("users_operators")
    registered.cache_clear()
    operators.cache_clear()


class Net(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.first = nn.Linear(8, 8, bias=False)
        self.w = nn.Parameter(torch.randn(8, 4))
        self.function = function

    def forward(self, x):
        return self.function(self.first(x), self.w)


def work(step):
    return [sum(op.macs for op in step.operations if op.pass_ is p) for p in Pass if p is not Pass.UPDATE]


def test_an_operator_of_a_package_is_followed(package):
    step = load_network(Net(package.scaled_mm), input=(8,), batch=2, micro_batch=2).step(strict=True)
    first, second = 2 * 8 * 8, 2 * 8 * 4
    assert work(step) == [first + second, 0, second, first + second]


def test_a_function_of_a_package_has_the_backward_pass_that_it_defines(package):
    step = load_network(Net(package.straight), input=(8,), batch=2, micro_batch=2).step(strict=True)
    first, second = 2 * 8 * 8, 2 * 8 * 4
    assert work(step) == [first + second, 0, second, first]
    assert not any(op.name == "w:update" for op in step.operations), "it gives its weight no gradient"
