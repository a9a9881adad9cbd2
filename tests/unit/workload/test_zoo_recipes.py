"""Recipes on networks that ship against torch executing them: reversible, checkpointed and partly frozen steps.

Multiply-accumulates are by torch's own formulas (``torch.utils.flop_counter``) for a step that really runs that way, on
the meta device, so at full size. Networks with grouped convolutions are left out: torch counts them too high.
"""

import pytest
import torch
from stored_bytes import stored_bytes
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import flop_registry
from zoo import BATCH, Saved, build, networks

from camel_plugin.spec.step import Pass
from camel_plugin.workload.capture.freeze import only_trainable
from camel_plugin.workload.load import load_network
from camel_plugin.workload.networks.units import AdditiveCoupling, TwoStreamUnit


def step_of(name, **recipe):
    return load_network(name, batch=BATCH, micro_batch=BATCH, norm_group=BATCH, **recipe).step()


def work(step, *passes):
    return sum(op.macs for op in step.operations if op.pass_ in passes)


def loss_of(y):
    return functional.cross_entropy(y, torch.empty(BATCH, dtype=torch.int64, device="meta"))


class Flops(TorchDispatchMode):
    """torch's FlopCounterMode also follows modules, and stumbles over those that run inside of a backward pass."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.total += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result)
        return result


def macs(run):
    with Flops() as flops, sdpa_kernel(SDPBackend.MATH):
        run()
    return flops.total / 2


class Coupling(torch.autograd.Function):
    """A reversible block as Gomez et al. train it: outputs in, inputs and gradients out; G and F run once more."""

    @staticmethod
    def forward(ctx, block, x, *side):
        ctx.block = block
        with torch.no_grad():
            y = PLAIN(block, x, *side)
        ctx.save_for_backward(y.detach(), *side)
        return y

    @staticmethod
    def backward(ctx, dy):
        block, (y, *side) = ctx.block, ctx.saved_tensors
        side = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in side]
        (y1, y2), (dy1, dy2) = y.chunk(2, block.dim), dy.chunk(2, block.dim)
        with torch.enable_grad():
            y1 = y1.detach().requires_grad_()
            g = block.g(y1)
            g.backward(dy2)
            x2 = (y2 - g).detach().requires_grad_()
            dx1 = dy1 + y1.grad
            f = block.f(x2, *side)
            f.backward(dx1)
        return None, torch.cat([dx1, dy2 + x2.grad], block.dim), *(tensor.grad for tensor in side)


class Inverted(Coupling):
    """The generic way: the block's own inverse, its forward pass again, and the gradients of that."""

    @staticmethod
    def backward(ctx, dy):
        block, (y, *side) = ctx.block, ctx.saved_tensors
        side = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in side]
        with torch.no_grad():
            x = block.inverse(y, *side)
        x.requires_grad_()
        with torch.enable_grad():
            PLAIN(block, x, *side).backward(dy)
        return None, x.grad, *(tensor.grad for tensor in side)


class Half(torch.autograd.Function):
    """The second half of a two-stream unit, ``y2 = s2 + G(y1)``: ``s2`` is had back, G runs once more."""

    @staticmethod
    def forward(ctx, unit, s2, y1):
        ctx.unit = unit
        with torch.no_grad():
            y2 = s2 + unit.g(y1)
        ctx.save_for_backward(y1, y2)
        return y2

    @staticmethod
    def backward(ctx, dy2):
        y1, y2 = (tensor.detach() for tensor in ctx.saved_tensors)
        with torch.enable_grad():
            g = ctx.unit.g(y1.requires_grad_())
            y2 - g.detach()
            g.backward(dy2)
        return None, dy2, y1.grad


class InvertedHalf(Half):
    """The generic way: G runs for its stream, and once more for its gradients."""

    @staticmethod
    def backward(ctx, dy2):
        y1, y2 = ctx.saved_tensors
        with torch.no_grad():
            y2 - ctx.unit.g(y1)
        return Half.backward(ctx, dy2)


def reversibly(half):
    def forward(unit, x):
        x1, x2 = x.chunk(2, 1)
        first, second = (unit.project1, unit.project2) if unit.project else (unit._shrink, unit._shrink)
        y1 = first(x1) + unit.f(x2)
        return torch.cat([y1, half.apply(unit, second(x2), y1)], 1)

    return forward


PLAIN = AdditiveCoupling.forward
KINDS = [("fused", Coupling, Half), ("generic", Inverted, InvertedHalf)]


@pytest.mark.parametrize(("reversible", "function", "half"), KINDS)
@pytest.mark.parametrize("name", networks(lambda name: name.startswith(("rev", "dudnn-b"))))
def test_a_reversible_step_does_the_work_of_a_reversible_autograd_function(
    name, reversible, function, half, monkeypatch
):
    step = step_of(name, schedule="reversible", reversible=reversible)
    module, x = build(name)
    monkeypatch.setattr(AdditiveCoupling, "forward", lambda block, x, *side: function.apply(block, x, *side))
    monkeypatch.setattr(TwoStreamUnit, "forward", reversibly(half))
    ours = work(step, Pass.RECONSTRUCT, Pass.INPUT_GRAD, Pass.WEIGHT_GRAD)
    loss = []
    assert work(step, Pass.FORWARD) == macs(lambda: loss.append(loss_of(module(x))))
    assert ours == macs(lambda: loss[0].backward())


@pytest.mark.parametrize("name", ["resnet32", pytest.param("resnet164", marks=pytest.mark.slow)])
def test_a_checkpointed_step_does_the_work_and_keeps_the_tensors_of_torch_s(name):
    """Segments of one block each: a convolution of the stem, the rest of it with the first unit, units, the head."""
    step = step_of(name, schedule="checkpoint", checkpoint_blocks=1)
    module, x = build(name)
    units = [unit for stage in module[1:-1] for unit in stage]

    def run(keep):
        y = module.stem.conv(x)
        first = torch.nn.Sequential(module.stem.norm, module.stem.relu, units[0])
        for segment in (first, *units[1:]):
            y = keep(segment, y)
        return loss_of(module.classifier(y))

    saved = Saved(module)
    with saved.following():
        run(lambda segment, y: checkpoint(segment, y, use_reentrant=True))
    assert saved.elements - 1 == stored_bytes(step, 1)  # torch's loss keeps a scalar
    plain = macs(lambda: run(lambda segment, y: segment(y)).backward())
    again = macs(lambda: run(lambda segment, y: checkpoint(segment, y, use_reentrant=True)).backward()) - plain
    stem = next(op.macs for op in step.operations if op.problem)  # ours runs that again, too: a segment like others
    assert work(step, Pass.RECONSTRUCT) == again + stem
    assert work(step, Pass.FORWARD, Pass.INPUT_GRAD, Pass.WEIGHT_GRAD) == plain


@pytest.mark.parametrize(
    ("name", "trainable"),
    [
        ("resnet32", ["classifier"]),
        ("resnet32", ["stage3.*", "classifier"]),
        ("resnet32", ["stage1.0.branch.conv1"]),
        ("vit-s", ["*.attention"]),
        ("bert-base", ["*.bias", "classifier"]),
        ("dudnn-branch6-vit12", ["*.g"]),
        ("lenet5", ["c3.bias"]),
    ],
    ids=str,
)
def test_a_partly_frozen_step_does_the_work_of_autograd(name, trainable):
    """What it keeps is less by the inputs of frozen convolutions below, which torch keeps and never reads."""
    step = step_of(name, trainable=trainable, schedule="store-all")
    module, x = build(name)
    with only_trainable(module, trainable) as evaluating:
        for path in evaluating:
            module.get_submodule(path).eval()
        saved, loss = Saved(module), []
        with saved.following():
            forward = macs(lambda: loss.append(loss_of(module(x))))
        assert work(step, Pass.FORWARD) == forward
        assert work(step, Pass.INPUT_GRAD, Pass.WEIGHT_GRAD) == macs(lambda: loss[0].backward())
        assert stored_bytes(step, 1) <= saved.elements - 1
        if trainable[0] in ("classifier", "stage3.*"):
            assert stored_bytes(step, 1) == saved.elements - 1
