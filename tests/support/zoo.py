"""The networks that ship, on the meta device, and what autograd keeps of them."""

from contextlib import contextmanager

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode

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


class Saved(TorchDispatchMode):
    """Elements of the memory that autograd keeps alive; parameters left out.

    A view keeps the whole that it shows. What shows one operand of a concatenation keeps that operand instead.
    """

    def __init__(self, module):
        super().__init__()
        self.known = {key(t) for t in (*module.parameters(), *module.buffers())}
        self.kept = {}
        self.joined = {}
        self.keep = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.cat.default:
            begin, dim = 0, args[1] if len(args) > 1 else 0
            for operand in args[0]:
                part = result.narrow(dim, begin, operand.shape[dim])
                self.joined[key(result), part.storage_offset(), part.numel()] = operand
                begin += operand.shape[dim]
            self.keep.append((result, args[0]))
        return result

    def pack(self, tensor):
        self.keep.append(tensor)
        shown = tensor
        while (place := (key(shown), shown.storage_offset(), shown.numel())) in self.joined:
            shown = self.joined[place]
        if key(shown) not in self.known:
            self.kept[key(shown)] = shown.untyped_storage().nbytes() // shown.dtype.itemsize
        return tensor

    @contextmanager
    def following(self):
        """Autograd keeps tensors inside."""
        with self, saved_tensors_hooks(self.pack, lambda tensor: tensor):
            yield

    @property
    def elements(self):
        return sum(self.kept.values())


def key(tensor):
    return tensor.untyped_storage()._cdata


def graph_of(name):
    return load_network(name, batch=BATCH, micro_batch=BATCH, norm_group=BATCH).graph


def build(name):
    network = load_network(name)
    with torch.device("meta"):
        module = network.factory().train()
        if network.input_type == "float":
            return module, torch.empty(BATCH, *network.input)
        return module, torch.empty(BATCH, *network.input, dtype=torch.int64)
