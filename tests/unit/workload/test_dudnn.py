"""DuDNN: what is frozen, what is reversible, and what each of the paper's methods trains."""

from functools import cache

import pytest
import torch

from camel_plugin.resources import available
from camel_plugin.spec.step import Pass, TensorKind
from camel_plugin.workload.load import load_network
from camel_plugin.workload.networks.dudnn import dudnn

SHIPPED = sorted(name for name in available("workloads") if name.startswith("dudnn"))
DUPLEX = [name for name in SHIPPED if name.startswith("dudnn-branch")]


@cache
def loaded(name):
    network = load_network(name)
    return network, network.step()


def test_the_networks_of_the_paper_ship():
    beside = {
        (6, "resnet50"),
        (8, "resnet50"),
        (12, "resnet50"),
        (6, "vit12"),
        (8, "vit12"),
        (12, "vit16"),
        (6, "bert12"),
    }
    assert {f"dudnn-branch{blocks}-{backbone}" for blocks, backbone in beside} == set(DUPLEX)
    assert {"dudnn-fi-resnet50", "dudnn-ca-resnet50", "dudnn-bo-branch6"} <= set(SHIPPED)


@pytest.mark.parametrize("name", DUPLEX)
def test_the_backbone_is_frozen_and_the_branch_one_reversible_chain(name):
    network, step = loaded(name)
    graph = network.graph
    blocks = int(name.split("-")[1].removeprefix("branch"))
    couplings = graph.couplings
    assert [c.module for c in couplings] == [f"branch.blocks.{index}" for index in range(blocks) for _ in range(2)]
    for coupling, following in zip(couplings, couplings[2:], strict=False):
        assert following.inversions[0].operand == coupling.inversions[0].result
    for coupling in couplings:
        assert all(name.startswith(f"{coupling.module}.") for name in coupling.branch)
    behind = [op for op in step.operations if op.pass_ is not Pass.FORWARD]
    assert not [op.name for op in behind if op.name.startswith("backbone.")]
    kinds = {name: tensor.kind for name, tensor in step.tensors.items()}
    trained = {name for name, kind in kinds.items() if kind is TensorKind.WEIGHT_GRAD}
    assert trained and all(name.startswith(("branch.", "classifier.")) for name in trained)
    assert not step.coverage.unsupported and not step.coverage.not_reached


@pytest.mark.parametrize("name", DUPLEX)
def test_only_connections_and_the_last_streams_wait_for_the_backward_pass(name):
    network, step = loaded(name)
    graph = network.graph
    forward = {name for op in step.operations if op.pass_ is Pass.FORWARD for name in op.writes}
    read = {name for op in step.operations if op.pass_ is not Pass.FORWARD for name in op.reads}
    kept = {name for name in forward & read if name.startswith(("branch.blocks.", "backbone."))}
    # The streams behind the last block; with one tensor a block they wait as their concatenation, or not at all.
    last = graph.node(f"{graph.couplings[-1].module}.concat")
    assert kept <= {*last.inputs, *last.outputs}


def test_norms_of_the_backbone_keep_their_statistics():
    graph = loaded("dudnn-branch6-resnet50")[0].graph
    norms = [node for node in graph.nodes if node.kind == "batch_norm"]
    assert len(norms) == 53  # the stem's, 3 a bottleneck, 4 projections
    assert not any(node.attributes["training"] for node in norms)


def test_branch_by_hand():
    module = dudnn("resnet50", 6, classes=200)
    taps = [256, 512, 1024, 1024, 1024, 2048]  # units 2, 5, 8, 10, 13 and 16 of the stages' 3 + 4 + 6 + 3
    conv = 64 * 64 * 9 + 64
    expected = (3 * 9 + 1) * 128 + 6 * 4 * conv + sum((tap + 1) * 64 for tap in taps) + (2048 + 128 + 1) * 200
    assert sum(p.numel() for p in module.parameters() if p.requires_grad) == expected
    frozen = sum(p.numel() for p in module.parameters() if not p.requires_grad)
    assert frozen == 25_557_032 - 2049 * 1000  # torchvision's ResNet-50 without its classifier


def test_methods_train_what_their_names_say():
    trained = {}
    for method in ("FI", "CA", "BO"):
        module = dudnn("resnet50", 6, method=method, classes=200)
        trained[method] = {name.split(".")[0] for name, p in module.named_parameters() if p.requires_grad}
    assert trained == {
        "FI": {"stem", "stage1", "stage2", "stage3", "stage4", "classifier"},
        "CA": {"classifier"},
        "BO": {"branch", "classifier"},
    }
    step = loaded("dudnn-ca-resnet50")[1]
    gradients = {op.name for op in step.operations if op.pass_ in (Pass.INPUT_GRAD, Pass.WEIGHT_GRAD)}
    assert gradients == {"loss:input_grad", "classifier:weight_grad", "classifier:bias_grad"}


def test_interleaving_changes_the_order_and_nothing_else():
    torch.manual_seed(0)
    first, second = (dudnn("resnet50", 4, channels=4, grid=8, classes=3, interleave=mixed) for mixed in (False, True))
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(first.train()(x), second.train()(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"backbone": "resnet51"}, "valid: resnet50"), ({"blocks": 17}, "has 16"), ({"method": "XX"}, "DuDNN, FI, CA")],
)
def test_wrong_choices_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        dudnn(**{"backbone": "resnet50", "blocks": 6, **arguments})
