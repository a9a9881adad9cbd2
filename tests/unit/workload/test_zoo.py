"""Every network that ships against torch itself: its flop counter, its autograd, and what its autograd saves.

All on the meta device, so the networks have their full size.
"""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest
import torch
from stored_bytes import stored_bytes
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint_sequential
from torch.utils.flop_counter import FlopCounterMode
from zoo import BATCH, Saved, build, graph_of, networks

from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass
from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering.training import lower
from camel_plugin.workload.networks.branches import BasicBranch
from camel_plugin.workload.networks.units import AdditiveCoupling, ResidualUnit, TwoStreamUnit

PARAMETERS = {
    "resnet18": 11_689_512,  # torchvision's model pages, and the next four
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "vgg16": 138_357_544,
    "mobilenetv2": 3_504_872,
    "vit-b": 86_567_656,
    "vit-s": 22_050_664,  # timm's vit_small_patch16_224
    "bert-base": 109_482_240 + 769 * 2,  # bert-base-uncased with its pooler, and our two classes
    "lenet5": 60_000 + (2416 - 1516) - 12 - 32 + 850,  # LeCun et al., changed as the file says
}
ROUNDED = {"rev-vit-s": 22, "rev-vit-b": 87}  # millions: Mangalam et al., table 1
GIGA_MACS = {"resnet18": 1.81, "resnet34": 3.66, "vgg16": 15.47, "mobilenetv2": 0.3, "vit-b": 17.56, "vit-s": 4.6}


class Ran(TorchDispatchMode):
    """Which operators autograd ran."""

    def __init__(self):
        super().__init__()
        self.count = Counter()
        self.grouped = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition("::")[2]
        if name == "convolution_backward":
            self.count["conv input"] += args[10][0]
            self.count["conv weight"] += args[10][1]
            self.grouped |= args[9] > 1
        self.count[name] += 1
        return func(*args, **(kwargs or {}))


@cache
def measured(name):
    """Multiply-accumulates forward and backward, operators of the backward pass, elements saved: as torch has them."""
    module, x = build(name)
    saved, ran = Saved(module), Ran()
    labels = torch.empty(BATCH, dtype=torch.int64, device="meta")
    with FlopCounterMode(display=False) as flops, sdpa_kernel(SDPBackend.MATH):
        with saved.following():
            loss = functional.cross_entropy(module(x), labels)
        forward = flops.get_total_flops()
        with ran:
            loss.backward()
        backward = flops.get_total_flops() - forward
    return forward / 2, backward / 2, ran, saved.elements


@cache
def lowered(name):
    return lower(graph_of(name), Recipe(schedule="store-all", batch=BATCH, micro_batch=BATCH, norm_group=BATCH))


def test_published_parameters_and_work():
    for name, published in PARAMETERS.items():
        assert sum(parameter.numel() for parameter in build(name)[0].parameters()) == published, name
    for name, millions in ROUNDED.items():
        assert round(sum(parameter.numel() for parameter in build(name)[0].parameters()) / 1e6) == millions
    for name, giga in GIGA_MACS.items():  # torchvision's model pages; Touvron et al. for ViT-S
        macs = sum(op.macs for op in lowered(name).operations if op.pass_ is Pass.FORWARD) / BATCH
        assert macs / 1e9 == pytest.approx(giga, abs=0.006), name


@pytest.mark.parametrize("name", networks())
def test_work_and_operators_are_those_of_torch(name):
    step = lowered(name)
    assert not step.coverage.unsupported
    forward, backward, ran, _ = measured(name)
    work = Counter()
    for op in step.operations:
        work[op.pass_] += op.macs
    assert work[Pass.FORWARD] == forward
    if not ran.grouped:  # torch counts the weight gradient of a grouped convolution ``groups`` times
        assert work[Pass.INPUT_GRAD] + work[Pass.WEIGHT_GRAD] == backward

    kinds = {node.name: node.kind for node in graph_of(name).nodes}
    gradients = {p: [op for op in step.operations if op.pass_ is p] for p in (Pass.INPUT_GRAD, Pass.WEIGHT_GRAD)}

    def partners(pass_, *of, kind=None):
        found = [op for op in gradients[pass_] if kinds.get(op.partner) in of]
        found = [op for op in found if op.kind == (kind or kinds[op.partner])]
        return len({op.name.rpartition("input_grad.")[0] or op.name for op in found})  # phases count once

    convs = [kind for kind in set(kinds.values()) if kind.startswith("conv")]
    count = ran.count
    assert partners(Pass.INPUT_GRAD, *convs) == count["conv input"]
    assert partners(Pass.WEIGHT_GRAD, *convs) == count["conv weight"]
    assert partners(Pass.INPUT_GRAD, "linear") + partners(Pass.WEIGHT_GRAD, "linear") == count["mm"]
    assert partners(Pass.INPUT_GRAD, "matmul") == count["bmm"]
    for kind, aten in {
        "batch_norm": "native_batch_norm_backward",
        "layer_norm": "native_layer_norm_backward",
        "relu": "threshold_backward",
        "softmax": "_softmax_backward_data",
        "max_pool": "max_pool2d_with_indices_backward",
        "avg_pool": "avg_pool2d_backward",
    }.items():
        assert partners(Pass.INPUT_GRAD, kind) == count[aten], kind
    activations = sum(count[f"{name}_backward"] for name in ("gelu", "tanh", "hardtanh"))
    assert partners(Pass.INPUT_GRAD, "activation", "activation_out", kind="activation") == activations
    assert partners(Pass.WEIGHT_GRAD, "gather", kind="scatter") == count["embedding_dense_backward"]
    assert sum(op.kind == "add" for op in gradients[Pass.INPUT_GRAD]) == count["add"], "sums of gradients"


@pytest.mark.parametrize("name", networks())
def test_what_is_remembered_is_what_autograd_saves(name):
    """To the element, but for a scalar of torch's loss, and for indices of embeddings that are constants here."""
    indices = (BATCH + 1) * 128 if name == "bert-base" else 0  # types of the words, and their places
    assert measured(name)[3] - 1 - indices == stored_bytes(lowered(name), 1)


class Keeps(torch.autograd.Function):
    """A part of a network that keeps, for its backward pass, the given tensors and its output if it is to."""

    @staticmethod
    def forward(ctx, run, last, kept, *given):
        y = run(*given)
        ctx.save_for_backward(*kept, *([y] if last else []))
        return y


def reversibly(unit, x):
    """A two-stream unit of which the second half keeps nothing: its streams are had back from what follows."""
    x1, x2 = x.chunk(2, 1)
    first, second = (unit.project1, unit.project2) if unit.project else (unit._shrink, unit._shrink)
    y1 = first(x1) + unit.f(x2)
    y2 = Keeps.apply(lambda s2, y1: s2 + unit.g(y1), False, (), second(x2), y1)
    return torch.cat([y1, y2], 1)


@pytest.mark.parametrize("name", networks(lambda name: name.startswith(("rev", "dudnn-b"))))
def test_reversible_remembers_what_a_reversible_autograd_function_does(name, monkeypatch):
    step = lower(graph_of(name), Recipe(schedule="reversible", batch=BATCH, micro_batch=BATCH, norm_group=BATCH))
    module, x = build(name)
    blocks = [path for path, child in module.named_modules() if isinstance(child, AdditiveCoupling | TwoStreamUnit)]
    following = dict(pairwise(blocks))
    chained = {path for path in blocks if path.rpartition(".")[0] == following.get(path, "").rpartition(".")[0]}
    # A two-stream unit keeps both streams that it reads.
    chained |= {path for path in blocks if isinstance(module.get_submodule(following.get(path, "")), TwoStreamUnit)}
    places = {id(child): path for path, child in module.named_modules()}
    plain = AdditiveCoupling.forward

    def keep(block, x, *side):
        return Keeps.apply(lambda *given: plain(block, *given), places[id(block)] not in chained, side, x, *side)

    monkeypatch.setattr(AdditiveCoupling, "forward", keep)
    monkeypatch.setattr(TwoStreamUnit, "forward", reversibly)
    saved = Saved(module)
    with sdpa_kernel(SDPBackend.MATH), saved.following():
        functional.cross_entropy(module(x), torch.empty(BATCH, dtype=torch.int64, device="meta"))
    assert saved.elements - 1 == stored_bytes(step, 1)


def test_checkpoint_remembers_what_torch_does():
    with torch.device("meta"):
        units = [ResidualUnit(BasicBranch(8, 8), 8, 8) for _ in range(8)]
        module = torch.nn.Sequential(*units).train()
        x = torch.empty(BATCH, 8, 16, 16, requires_grad=True)
    saved = Saved(module)
    with saved.following():
        checkpoint_sequential(module, 4, x, use_reentrant=True)
    step = load_network(
        module,
        input=(8, 16, 16),
        batch=BATCH,
        micro_batch=BATCH,
        norm_group=BATCH,
        schedule="checkpoint",
        checkpoint_blocks=2,
    ).step()
    loss = BATCH * (8 + 1) * 16 * 16  # probabilities and labels, which torch's forward pass above did not reach
    assert stored_bytes(step, 1) == saved.elements + loss
