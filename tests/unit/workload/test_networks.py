"""Networks against the counts that their authors publish, and reversible blocks against their inverse."""

import pytest
import torch

from camel_plugin.spec.step import Pass
from camel_plugin.workload.load import load_network
from camel_plugin.workload.networks.branches import BasicBranch, BottleneckBranch
from camel_plugin.workload.networks.resnet_imagenet import resnet50
from camel_plugin.workload.networks.revnet import revnet
from camel_plugin.workload.networks.units import AdditiveCoupling


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("revresnet", 573_994),  # MemCNN, JOSS 2019, table 2
        ("revnet110", 1_854_890),
        ("revnet164", 1_983_786),
        ("resnet32", 466_906),
        ("resnet110", 1_730_714),
        ("resnet164", 1_704_154),
        ("resnet50", 25_557_032),  # torchvision's model page
    ],
)
def test_parameters_are_those_published(name, published):
    assert parameters(load_network(name).factory()) == published


def two_stream_parameters(units, filters, *, bottleneck):
    """Counted by hand from the layer definitions in renmengye/revnet-public, resnet/models/revnet_model.py."""

    def norm(channels):
        return 2 * channels

    def branch(c_in, c_out, preactivate=True):
        first = norm(c_in) if preactivate else 0
        if bottleneck:
            w = c_out // 4
            return first + c_in * w + norm(w) + 9 * w * w + norm(w) + w * c_out
        return first + 9 * c_in * c_out + norm(c_out) + 9 * c_out * c_out

    total, c_in = 27 * filters[0] + norm(filters[0]), filters[0]
    for stage, count in enumerate(units):
        for unit in range(count):
            c_out = filters[stage + 1] * (4 if bottleneck else 1)
            half_in, half_out = c_in // 2, c_out // 2
            total += branch(half_in, half_out, preactivate=bool(stage or unit)) + branch(half_out, half_out)
            total += 2 * half_in * half_out if bottleneck and c_in != c_out else 0
            c_in = c_out
    return total + norm(c_in) + 10 * c_in + 10


@pytest.mark.parametrize(
    ("units", "filters", "bottleneck", "recalled_millions"),
    [
        ([3, 3, 3], [32, 32, 64, 112], False, 0.46),  # recalled from the paper's table of results: unconfirmed
        ([9, 9, 9], [32, 32, 64, 128], False, 1.73),
        ([9, 9, 9], [32, 32, 64, 128], True, 1.75),
    ],
)
def test_two_stream_transition_is_that_of_the_paper(units, filters, bottleneck, recalled_millions):
    network = revnet(units, filters, bottleneck=bottleneck, transition="two-stream")
    assert parameters(network) == two_stream_parameters(units, filters, bottleneck=bottleneck)
    assert round(parameters(network) / 1e6, 2) == recalled_millions


def test_resnet50_has_the_published_work():
    step = load_network("resnet50").step()
    forward = sum(operation.macs for operation in step.operations if operation.pass_ is Pass.FORWARD)
    assert forward == 4_089_184_256  # "4.09 GFLOPs" (multiply-accumulates) on torchvision's model page


@pytest.mark.parametrize("branch", [BasicBranch, BottleneckBranch])
@pytest.mark.parametrize("training", [True, False])
def test_inverse_gives_the_input_back(branch, training):
    torch.manual_seed(0)
    block = AdditiveCoupling(branch(8, 8), branch(8, 8)).double().train(training)
    x = torch.randn(4, 16, 6, 6, dtype=torch.float64)
    with torch.no_grad():
        y = block(x)
        assert (y - x).abs().max() > 0.1
        torch.testing.assert_close(block.inverse(y), x, rtol=0, atol=1e-9)


def test_inverse_of_a_whole_chain():
    torch.manual_seed(0)
    network = revnet([3, 3, 3], [32, 32, 64, 112]).double()
    blocks = list(network.get_submodule("stage1").children())
    x = torch.randn(2, 32, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        y = network.get_submodule("stage1")(x)
        for block in reversed(blocks):
            y = block.inverse(y)
    torch.testing.assert_close(y, x, rtol=0, atol=1e-9)


def test_units_and_filters_must_match():
    with pytest.raises(ValueError, match="one entry more"):
        revnet([3, 3], [32, 32])


def test_resnet50_factory_takes_fewer_units():
    assert parameters(resnet50([1, 1, 1, 1], 10)) < 25_557_032
