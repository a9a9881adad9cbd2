"""DuDNN, the duplex network of CAMEL: Zhang et al., HPCA 2024 (arXiv 2305.03148v3).

A frozen pre-trained backbone and a small trainable reversible branch see the same input. The branch reads a pooled
input and pooled intermediate outputs of the backbone, and has no batch norm. The paper names its parts and the number
of reversible blocks (Branch-6, -8, -12); the sizes of the branch could not be read there. All arguments but
``backbone``, ``blocks`` and ``method`` are therefore ASSUMPTIONS of ours. The paper's comparisons, by ``method``:

- ``DuDNN``: the branch, its connections and the classifier are trained.
- ``FI``: the backbone alone, all of it trained (fine-tuned irreversible network).
- ``CA``: the backbone alone, only its classifier trained.
- ``BO``: the branch alone, without connections.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.bert import bert
from camel_plugin.workload.networks.dudnn_branches import Branch, ImageBranch, TokenBranch
from camel_plugin.workload.networks.layers import named
from camel_plugin.workload.networks.resnet_imagenet import resnet50
from camel_plugin.workload.networks.vgg import vgg
from camel_plugin.workload.networks.vit import vit

Method = Literal["DuDNN", "FI", "CA", "BO"]

BACKBONES: dict[str, Callable[[int], Backbone]] = {
    "resnet50": lambda classes: resnet50(classes=classes),
    "vgg16": lambda classes: vgg(classes=classes),
    "vit12": lambda classes: vit(depth=12, classes=classes),
    "vit16": lambda classes: vit(depth=16, classes=classes),
    "bert12": lambda classes: bert(depth=12, classes=classes),
}
"""Name -> a backbone with so many classes; ViT and BERT in the paper are named by their layers, their width is ours."""


class ClassifierOnly(nn.Module):
    """A new classifier on a backbone that is frozen and loses its own.

    The backbone stays in evaluation mode: its batch norms keep their statistics.
    """

    def __init__(self, backbone: Backbone, features: int, classes: int) -> None:
        super().__init__()
        del backbone.classifier
        self.backbone = backbone.requires_grad_(False)
        self.classifier = nn.Linear(features, classes)

    def train(self, mode: bool = True) -> ClassifierOnly:
        """Training mode for all but the backbone."""
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The backbone's input -> (N, classes)."""
        y: Tensor = self.classifier(self.backbone.encode(x))
        return y


class DuDNN(ClassifierOnly):
    """Frozen backbone and branch side by side; the classifier reads the features of both.

    Args:
        backbone: to be frozen.
        branch: with a connection from the backbone for each block.
        after: for each block, the unit of the backbone that it is connected to.
        classes: of the classifier.
        interleave: run each block as soon as its connection is there, instead of the whole backbone first. That
            saves the connections their wait and makes the activations of the branch wait instead.
    """

    def __init__(
        self, backbone: Backbone, branch: Branch, after: Sequence[int], classes: int, interleave: bool
    ) -> None:
        super().__init__(backbone, backbone.width + branch.width, classes)
        self.branch = branch
        self.after = tuple(after)
        self.interleave = interleave

    def forward(self, x: Tensor) -> Tensor:
        """The backbone's input -> (N, classes)."""
        given, x = x, self.backbone.embed(x)
        start = self.backbone.tap(x) if self.branch.reads_embedding else given
        if not self.interleave:
            x, sides = self._through_backbone(x, 0, len(self.backbone.units()))
        z = self.branch.embed(start)
        begin = 0
        for block, unit in zip(self.branch.blocks, self.after, strict=True):
            if self.interleave:
                x, sides = self._through_backbone(x, begin, unit + 1)
                begin = unit + 1
            z = block(z, sides.pop(0))
        y: Tensor = self.classifier(torch.cat([self.backbone.features(x), self.branch.features(z)], 1))
        return y

    def _through_backbone(self, x: Tensor, begin: int, end: int) -> tuple[Tensor, list[Tensor]]:
        """Units ``begin`` to ``end`` of the backbone, and the pooled connections taken there."""
        sides = []
        for index, unit in enumerate(self.backbone.units()[begin:end], begin):
            x = unit(x)
            if index in self.after:
                sides.append(self.branch.pool_tap(self.backbone.tap(x)))
        return x, sides


def dudnn(
    backbone: str,
    blocks: int,
    method: Method = "DuDNN",
    channels: int = 64,
    grid: int = 28,
    tap_grid: int = 7,
    classes: int = 10,
    interleave: bool = False,
) -> nn.Module:
    """DuDNN, or what the paper compares it with.

    Args:
        backbone: a name of ``BACKBONES``.
        blocks: reversible blocks of the branch, connected to evenly spread units of the backbone.
        method: ``DuDNN``, ``FI``, ``CA`` or ``BO``.
        channels: of each stream of the branch.
        grid: rows and columns of the branch, or its tokens.
        tap_grid: rows and columns of the connections, or their tokens.
        classes: outputs.
        interleave: see :class:`DuDNN`.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"no backbone {backbone!r}; valid: {', '.join(BACKBONES)}")
    branch_of = TokenBranch if backbone.startswith("bert") else ImageBranch
    if method == "BO":
        if branch_of is TokenBranch:
            raise ValueError("a branch alone reads images; beside BERT it reads the backbone's embedding")
        branch: Branch = ImageBranch([0] * blocks, channels, grid, tap_grid)
        return named(branch=branch, classifier=nn.Linear(branch.width, classes))
    network = BACKBONES[backbone](classes)
    if method == "FI":
        return network
    if method == "CA":
        return ClassifierOnly(network, network.width, classes)
    if method != "DuDNN":
        raise ValueError(f"no method {method!r}; valid: {', '.join(get_args(Method))}")
    units = len(network.units())
    if blocks > units:
        raise ValueError(f"{blocks} blocks need as many units of the backbone, which has {units}")
    after = [units * (index + 1) // blocks - 1 for index in range(blocks)]
    branch = branch_of([network.tap_channels[unit] for unit in after], channels, grid, tap_grid)
    return DuDNN(network, branch, after, classes, interleave)
