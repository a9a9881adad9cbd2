"""Stored activations against the figures that MemCNN publishes (JOSS 2019, table 2: CIFAR-10, batch 100, FP32)."""

from functools import cache

import pytest
from stored_bytes import stored_bytes
from torch import nn

from camel_plugin.workload.load import load_network
from camel_plugin.workload.lowering.memory import peak_bytes

MIB = 2**20
PUBLISHED_MB = {
    "resnet32": 238.6,
    "resnet110": 810.7,
    "resnet164": 2452.8,
    "revresnet": 85.6,
    "revnet110": 85.7,
    "revnet164": 432.7,
}
STEM_RELU_MIB = 100 * 32 * 32 * 32 * 4 / MIB
"""Input of the first reversible block; MemCNN reconstructs it although a ReLU's mask is taken from it, we keep it."""


@cache
def stored_mib(name, **settings):
    return stored_bytes(load_network(name, batch=100, micro_batch=100, **settings).step()) / MIB


@pytest.mark.parametrize("name", PUBLISHED_MB)
def test_stored_activations_are_those_published(name):
    kept = STEM_RELU_MIB if name in ("revresnet", "revnet110") else 0.0
    assert stored_mib(name) - kept == pytest.approx(PUBLISHED_MB[name], rel=0.025)


def test_reversible_memory_does_not_grow_with_depth():
    assert stored_mib("revnet110") < 1.03 * stored_mib("revresnet")
    assert stored_mib("revnet110", schedule="store-all") > 2.5 * stored_mib("revresnet", schedule="store-all")


def test_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1, bias=False))
    step = load_network(net, input=(3, 8, 8)).step()
    # The first convolution's input; the ReLU's output for its mask and the second one's weights; what the loss keeps.
    kept = 3 * 64 + 4 * 64 + 2 * 64 + 64
    assert stored_bytes(step, 1) == kept
    # The ReLU's gradient: input, mask, gradients of its output and of its input; labels and probabilities are gone.
    assert peak_bytes(step, 1) == 3 * 64 + 3 * 4 * 64


def test_checkpointing_stores_less_than_store_all_and_peaks_between():
    store, checkpoint = (load_network("resnet32", schedule=s).step() for s in ("store-all", "checkpoint"))
    assert stored_bytes(checkpoint) < stored_bytes(store) / 4
    assert stored_bytes(checkpoint) < peak_bytes(checkpoint) < peak_bytes(store)
