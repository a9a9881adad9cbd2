"""Reversible modules of users: which are recognised, and whose inverse is refused."""

import pytest
import torch
from torch import nn

from camel_plugin.errors import WorkloadError
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
    return nn.Sequential(nn.Conv2d(3, 8, 1), *blocks, nn.Flatten())


def test_unequal_halves_are_recognised():
    graph = capture(network(Coupling(conv(6, 2), conv(2, 6), 2), Coupling(conv(6, 2), conv(2, 6), 2)), (2, 3, 8, 8))
    assert [block.module for block in graph.blocks] == ["1", "2"]
    step = lower(graph, Recipe(schedule="reversible", batch=2, micro_batch=2))
    again = {op.name: op.macs for op in step.operations if op.pass_ is Pass.RECONSTRUCT and op.macs}
    assert sorted(again.values()) == [2 * 64 * 9 * 2 * 6] * 4


def test_a_wrong_inverse_is_refused():
    with pytest.raises(WorkloadError, match=r"inverse\(forward\(x\)\) is not x in 1 \(Coupling\)"):
        capture(network(Coupling(conv(4, 4), conv(4, 4), 4, sign=+1)), (2, 3, 8, 8))


def test_branches_that_start_at_zero_do_not_hide_a_wrong_inverse():
    f = conv(4, 4)
    nn.init.zeros_(f[2].weight)
    nn.init.zeros_(f[2].bias)
    with pytest.raises(WorkloadError, match="is not x"):
        capture(network(Coupling(f, conv(4, 4), 4, sign=+1)), (2, 3, 8, 8))


def test_an_inverse_that_fails_or_changes_the_shape_is_refused():
    broken = Coupling(conv(4, 4), conv(4, 4), 4)
    broken.inverse = lambda y: y[:, :4]
    with pytest.raises(WorkloadError, match="is not x"):
        capture(network(broken), (2, 3, 8, 8))
    broken.inverse = lambda y: y.reshape(-1, 7)
    with pytest.raises(WorkloadError, match="the inverse of 1 fails"):
        capture(network(broken), (2, 3, 8, 8))


def test_the_check_leaves_the_module_and_the_random_numbers_alone():
    block = Coupling(nn.Sequential(conv(4, 4), nn.Dropout(0.5)), conv(4, 4), 4)
    before = {key: value.clone() for key, value in block.state_dict().items()}
    whole = network(block)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    graph = capture(whole, (2, 3, 8, 8))
    assert len(graph.blocks) == 1
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(value, before[key]) for key, value in block.state_dict().items())


def test_attention_and_mlp_couple_as_in_rev_vit():
    graph = capture(rev_vit(width=16, depth=3, heads=2, image=32, patch=8, classes=5), (2, 3, 32, 32))
    assert len(graph.blocks) == 3
    assert graph.blocks[0].x1 == graph.blocks[0].x2, "both streams begin as the embedded image"
    fused, generic = (
        lower(graph, Recipe(schedule="reversible", batch=2, micro_batch=2, reversible=kind))
        for kind in ("fused", "generic")
    )
    forward = sum(op.macs for op in fused.operations if op.pass_ is Pass.FORWARD)
    outside = sum(op.macs for op in fused.operations if op.name in ("patches.project", "classifier"))
    again = [sum(op.macs for op in s.operations if op.pass_ is Pass.RECONSTRUCT) for s in (fused, generic)]
    assert again == [forward - outside, 2 * (forward - outside)]


@pytest.mark.parametrize("name", ["revresnet", "rev-vit-s", "dudnn-branch6-bert12"])
def test_the_inverses_of_what_ships_are_right(name):
    assert load_network(name).graph.blocks


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


def test_any_module_with_an_inverse_need_not_keep_its_input():
    graph = capture(network(nn.Conv2d(8, 8, 1), Mixing(8), Mixing(8)), (2, 3, 8, 8))
    (note,) = graph.unsupported
    assert note.startswith("linalg_inv_ex in 2.inverse, 3.inverse: 2 x, ")
    assert not graph.blocks and [module.module for module in graph.invertible] == ["2", "3"]
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
