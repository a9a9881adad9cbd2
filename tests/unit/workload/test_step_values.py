"""A lowered step, run operation by operation, is a step of SGD as torch takes it."""

import pytest
import torch
from step_interpreter import run
from torch import nn
from torch.nn import functional

from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.networks.resnet import resnet
from camel_plugin.workload.networks.resnet_imagenet import resnet50
from camel_plugin.workload.networks.revnet import revnet

RATE = 0.1


class Shared(nn.Module):
    """One convolution used twice, a grouped one, a frozen one, and one that is frozen below all that is trained."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.twice = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.grouped = nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.frozen = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)
        for module in (self.first, self.frozen):
            module.requires_grad_(False)

    def forward(self, x):
        x = self.first(x).relu()
        x = self.twice(functional.relu(self.twice(x), inplace=True)) + x
        x = self.frozen(self.grouped(x))
        return self.head(x.mean((2, 3)))


def conv(width):
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))


class Streams(nn.Module):
    """Convolution, what a function makes of two streams, classifier."""

    def __init__(self, function, *names):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.ModuleDict({name: conv(4) for name in names})
        self.head = nn.Linear(8, 5)
        self.function = function

    def forward(self, x):
        y = self.function(*self.first(x).chunk(2, 1), **self.branch)
        return self.head(torch.cat(y, 1).mean((2, 3)))


def additive(x1, x2, f, g):
    y1 = x1 + f(x2)
    return y1, x2 + g(y1)


def leaking(x1, x2, f, g):
    """F runs on the other stream, too."""
    y1, y2 = additive(x1, x2, f, g)
    return y1 + f(x1), y2


def twice(x1, x2, f, g):
    """The same branches in two blocks, then a difference and a product that are no sums."""
    y1, y2 = additive(*additive(x1, x2, f, g), f, g)
    return f(y2) - y1, y2 * g(y1)


def affine(x1, x2, f, g, s, t):
    """Real NVP: Dinh et al., ICLR 2017."""
    y1 = x1 * s(x2).tanh().exp() + f(x2)
    y2 = x2 * t(y1).tanh().exp() + g(y1)
    return additive(y1, y2, s, t)


NETWORKS = {
    "additive": lambda: Streams(additive, "f", "g"),
    "leaking": lambda: Streams(leaking, "f", "g"),
    "twice": lambda: Streams(twice, "f", "g"),
    "affine": lambda: Streams(affine, "f", "g", "s", "t"),
    "revnet": lambda: revnet([2, 2], [4, 4, 8], 5),
    "revnet-two-stream": lambda: revnet([2, 2], [4, 4, 12], 5, transition="two-stream"),
    "revnet-bottleneck": lambda: revnet([2, 2], [4, 8, 8], 5, bottleneck=True),
    "revnet-two-stream-bottleneck": lambda: revnet([1, 2], [4, 8, 8], 5, bottleneck=True, transition="two-stream"),
    "resnet": lambda: resnet([1, 2], [4, 4, 8], 5),
    "shared": Shared,
}


REVERSIBLE = [name for name in NETWORKS if name not in ("resnet", "shared")]
CASES = [(name, schedule, "fused") for name in NETWORKS for schedule in ("store-all", "checkpoint")]
CASES += [(name, "reversible", kind) for name in REVERSIBLE for kind in ("fused", "generic")]


@pytest.mark.parametrize(("name", "schedule", "reversible"), CASES)
def test_step_is_a_step_of_sgd(name, schedule, reversible):
    torch.manual_seed(0)
    module = NETWORKS[name]().double()
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            nn.init.uniform_(child.weight, 0.5, 1.5)
            nn.init.uniform_(child.bias, -0.5, 0.5)
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    labels = torch.tensor([0, 3, 1, 4])
    graph = capture(module, tuple(x.shape))
    given = {path: parameter.detach().clone() for path, parameter in module.named_parameters()}
    recipe = Recipe(schedule=schedule, batch=4, micro_batch=4, reversible=reversible)
    memory, step = run(graph, recipe, {**given, "input": x, "labels": labels}, RATE)
    assert any(op.pass_ is Pass.RECONSTRUCT for op in step.operations) == (schedule != "store-all")

    module.train()
    functional.cross_entropy(module(x), labels).backward()
    for path, parameter in module.named_parameters():
        expected = parameter.detach() - RATE * parameter.grad if parameter.grad is not None else parameter.detach()
        torch.testing.assert_close(memory[path], expected, rtol=1e-9, atol=1e-10, msg=path)
    left = {n for n in memory if n in step.tensors and step.tensors[n].kind is not TensorKind.WEIGHT}
    assert not left, "nothing but weights outlives the step"


def test_resnet50_family_computes_too():
    torch.manual_seed(0)
    module = resnet50([1, 1, 1, 1], 5)
    graph = capture(module, (2, 3, 64, 64))
    assert {node.kind for node in graph.nodes} >= {"conv2d", "max_pool", "batch_norm", "linear"}
    assert not graph.unsupported
