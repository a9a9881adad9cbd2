"""Reversible modules of users: couplings are recognised in the graph, other modules by an inverse that is right."""

from collections import Counter

import pytest
import torch
from torch import nn

from camel_plugin.spec.recipe import Recipe
from camel_plugin.spec.step import Pass
from camel_plugin.workload.capture.capture import capture
from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering.training import lower
from camel_plugin.workload.networks.vit import rev_vit


class Coupling(nn.Module):
    """``y1 = x1 + F(x2)``, ``y2 = x2 + G(y1)`` on ``first`` and the other channels."""

    def __init__(self, f, g, first, sign=-1):
        super().__init__()
        self.f, self.g, self.first, self.sign = f, g, first, sign

    def parts(self, x):
        return x.split([self.first, x.shape[1] - self.first], 1)

    def forward(self, x):
        x1, x2 = self.parts(x)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], 1)

    def inverse(self, y):
        y1, y2 = self.parts(y)
        x2 = y2 - self.g(y1)
        return torch.cat([y1 + self.sign * self.f(x2), x2], 1)


def conv(c_in, c_out):
    return nn.Sequential(nn.BatchNorm2d(c_in), nn.ReLU(), nn.Conv2d(c_in, c_out, 3, padding=1))


def network(*blocks):
    return nn.Sequential(nn.Conv2d(3, 8, 1), *blocks, nn.Conv2d(8, 2, 1), nn.Flatten())


def test_unequal_halves_are_recognised():
    graph = capture(network(Coupling(conv(6, 2), conv(2, 6), 2), Coupling(conv(6, 2), conv(2, 6), 2)), (2, 3, 8, 8))
    assert [coupling.module for coupling in graph.couplings] == ["1", "1", "2", "2"]
    sizes = [graph.values[coupling.inversions[-1].operand].elements for coupling in graph.couplings]
    assert sizes == [2 * 2 * 64, 2 * 6 * 64] * 2
    step = lower(graph, Recipe(schedule="reversible", batch=2, micro_batch=2))
    again = {op.name: op.macs for op in step.operations if op.pass_ is Pass.RECONSTRUCT and op.macs}
    assert sorted(again.values()) == [2 * 64 * 9 * 2 * 6] * 4


def test_a_coupling_is_undone_by_what_it_computes_whatever_its_inverse_says():
    torch.manual_seed(0)
    right, wrong = (network(Coupling(conv(4, 4), conv(4, 4), 4, sign=sign)) for sign in (-1, +1))
    found = [capture(module, (2, 3, 8, 8)).couplings for module in (right, wrong)]
    assert found[0] == found[1]
    assert len(found[0]) == 2


def test_the_capture_leaves_the_module_and_the_random_numbers_alone():
    block = Coupling(nn.Sequential(conv(4, 4), nn.Dropout(0.5)), conv(4, 4), 4)
    before = {key: value.clone() for key, value in block.state_dict().items()}
    whole = network(block)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    graph = capture(whole, (2, 3, 8, 8))
    assert len(graph.couplings) == 2
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())


def test_attention_and_mlp_couple_as_in_rev_vit():
    graph = capture(rev_vit(width=16, depth=3, heads=2, image=32, patch=8, classes=5), (2, 3, 32, 32))
    assert len(graph.couplings) == 6
    f, g = (coupling.inversions[-1] for coupling in graph.couplings[:2])
    assert f.operand == g.operand, "both streams begin as the embedded image"
    fused, generic = (
        lower(graph, Recipe(schedule="reversible", batch=2, micro_batch=2, reversible=kind))
        for kind in ("fused", "generic")
    )
    forward = sum(op.macs for op in fused.operations if op.pass_ is Pass.FORWARD)
    outside = sum(op.macs for op in fused.operations if op.name in ("patches.project", "classifier"))
    again = [sum(op.macs for op in s.operations if op.pass_ is Pass.RECONSTRUCT) for s in (fused, generic)]
    assert again == [forward - outside, 2 * (forward - outside)]


@pytest.mark.parametrize(("name", "blocks"), [("revresnet", 7), ("rev-vit-s", 12), ("dudnn-branch6-bert12", 6)])
def test_the_couplings_of_what_ships_are_found(name, blocks):
    found = Counter(coupling.module for coupling in load_network(name).graph.couplings)
    assert list(found.values()) == [2] * blocks


class Mixing(nn.Module):
    """An invertible 1x1 convolution: Kingma and Dhariwal, "Glow", NeurIPS 2018."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.eye(channels) + 0.1 * torch.ones(channels, channels))

    def forward(self, x):
        return nn.functional.conv2d(x, self.weight[:, :, None, None])

    def inverse(self, y):
        lower = torch.linalg.inv_ex(self.weight)[0]
        return nn.functional.conv2d(y, lower[:, :, None, None])


class Wrong(Mixing):
    """Whose inverse is that of the identity."""

    def inverse(self, y):
        return y


def refused(module):
    graph = capture(network(module), (2, 3, 8, 8))
    assert not graph.couplings
    (reason,) = graph.not_reversed
    return reason


def test_a_wrong_inverse_is_refused():
    assert "inverse(forward(x)) is not x in 1 (Wrong)" in refused(Wrong(8))


def test_weights_that_start_as_the_identity_do_not_hide_a_wrong_inverse():
    module = Wrong(8)
    nn.init.eye_(module.weight)
    assert "is not x" in refused(module)


def test_an_inverse_that_fails_or_changes_the_shape_is_refused():
    broken = Mixing(8)
    broken.inverse = lambda y: y[:, :4]
    assert "is not x" in refused(broken)
    broken.inverse = lambda y: y.reshape(-1, 7)
    assert "the inverse of 1 fails" in refused(broken)


def test_any_module_with_an_inverse_need_not_keep_its_input():
    graph = capture(network(nn.Conv2d(8, 8, 1), Mixing(8), Mixing(8)), (2, 3, 8, 8))
    (note,) = graph.unsupported
    assert note.startswith("linalg_inv_ex in 2.inverse, 3.inverse: 2 x, ")
    assert [coupling.module for coupling in graph.couplings] == ["2", "3"]
    stored, reversible = (
        lower(graph, Recipe(schedule=schedule, batch=2, micro_batch=2)) for schedule in ("store-all", "reversible")
    )
    work = {p: sum(op.macs for op in reversible.operations if op.pass_ is p) for p in Pass}
    mixing = 2 * 64 * 8 * 8
    assert work[Pass.RECONSTRUCT] == 2 * 2 * mixing  # inverse, and forward again
    assert work[Pass.FORWARD] == sum(op.macs for op in stored.operations if op.pass_ is Pass.FORWARD)
    backward = {name for op in reversible.operations if op.pass_ is not Pass.FORWARD for name in op.reads}
    assert {"1.out", "2.out"}.isdisjoint(backward), "what the mixings read is reconstructed"
    there = {name for name, tensor in reversible.tensors.items() if tensor.kind.value in ("input", "weight")}
    for op in reversible.operations:
        assert there.issuperset(op.reads), op.name
        there.update(op.writes)
