"""The networks that ship, on the meta device, and what autograd keeps of them."""

import pytest
import torch

from camel_plugin.resources import available
from camel_plugin.workload.load import load_network

ALIKE = {
    "resnet34",
    "revnet56",
    "resnet110",
    "resnet164",
    "revnet110",
    "revnet164",
    "revnet104",
    "vit-b",
    "rev-vit-b",
    "resnet50",
}
ALIKE |= {f"dudnn-branch{name}" for name in ("8-resnet50", "12-resnet50", "8-vit12", "12-vit16", "6-vit12")}
"""Further members of families: slow tests."""
NAMES = sorted(available("workloads"))

BATCH = 2


def networks(chosen=lambda name: True):
    """Parameters of a test: the networks that ship, those that are like another one marked slow."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in ALIKE else n for n in NAMES if chosen(n)]


class Saved:
    """Elements that autograd keeps: whole storages where a whole was saved, else the views; parameters left out."""

    def __init__(self, module):
        self.known = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
        self.views = {}
        self.keep = []

    def pack(self, tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in self.known:
            self.keep.append(storage)
            whole = storage.nbytes() // tensor.dtype.itemsize
            view = (tensor.storage_offset(), tensor.numel())
            self.views.setdefault((storage._cdata, whole), set()).add(view)
        return tensor

    @property
    def elements(self):
        total = 0
        for (_, whole), views in self.views.items():
            total += whole if any(size >= whole for _, size in views) else sum(size for _, size in views)
        return total


def graph_of(name):
    return load_network(name, batch=BATCH, micro_batch=BATCH).graph


def build(name):
    network = load_network(name)
    with torch.device("meta"):
        module = network.factory().train()
        if network.input_type == "float":
            return module, torch.empty(BATCH, *network.input)
        return module, torch.empty(BATCH, *network.input, dtype=torch.int64)
