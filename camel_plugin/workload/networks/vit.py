"""ViT and Rev-ViT.

ViT: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021: width 768, 12 layers, 12 heads is ViT-B (86,567,656
parameters with patches of 16 and 1000 classes); 384, 12, 6 is ViT-S (Touvron et al., ICML 2021; 22,050,664).
Rev-ViT: Mangalam et al., "Reversible Vision Transformers", CVPR 2022 (22 M and 87 M parameters, 4.6 and 17.6 G): both
streams start as the embedded image; as in the authors' karttikeya/minREV, there is no class token, and the head reads
the normed mean over tokens of both streams.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.transformer import Attention, PreNormBlock, mlp, normed
from camel_plugin.workload.networks.units import AdditiveCoupling


class _Patches(nn.Module):
    """(N, 3, image, image) -> (N, tokens, width), with a class token in front or not, plus position embeddings."""

    def __init__(self, image: int, patch: int, width: int, *, class_token: bool) -> None:
        super().__init__()
        self.grid = image // patch
        self.project = nn.Conv2d(3, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width)) if class_token else None
        self.positions = nn.Parameter(torch.randn(1, self.grid**2 + class_token, width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x).flatten(2).transpose(1, 2)
        if self.class_token is not None:
            x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], 1)
        return x + self.positions


class Vit(Backbone):
    """Patches, encoder layers, norm, linear classifier on the class token; ``image`` and ``patch`` are squares."""

    def __init__(self, width: int, depth: int, heads: int, *, image: int, patch: int, classes: int) -> None:
        super().__init__()
        self.patches = _Patches(image, patch, width, class_token=True)
        self.layers = nn.ModuleList(PreNormBlock(width, heads, 4 * width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.classifier = nn.Linear(width, classes)
        self.width = width
        self.tap_channels = [width] * depth

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, image, image) -> (N, 1 + patches, width)."""
        y: Tensor = self.patches(x)
        return y

    def units(self) -> Sequence[nn.Module]:
        """The encoder layers."""
        return list(self.layers)

    def tap(self, x: Tensor) -> Tensor:
        """(N, 1 + patches, width) -> (N, width, rows, columns), without the class token."""
        side = self.patches.grid
        return x[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, side, side)

    def features(self, x: Tensor) -> Tensor:
        """(N, 1 + patches, width) -> (N, width), the normed class token."""
        y: Tensor = self.norm(x)
        return y[:, 0]


class RevVit(nn.Module):
    """Patches, reversible blocks of attention (F) and MLP (G), mean, norm, linear classifier.

    Each of the two streams has ``width`` channels: the blocks' values are (N, tokens, 2 width).
    """

    def __init__(self, width: int, depth: int, heads: int, *, image: int, patch: int, classes: int) -> None:
        super().__init__()
        self.patches = _Patches(image, patch, width, class_token=False)
        self.blocks = nn.Sequential()
        for _ in range(depth):
            f, g = normed(width, Attention(width, heads)), normed(width, mlp(width, 4 * width))
            self.blocks.append(AdditiveCoupling(f, g, dim=2))
        self.norm = nn.LayerNorm(2 * width, eps=1e-6)
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, image, image) -> (N, classes)."""
        x = self.patches(x)
        x = self.blocks(torch.cat([x, x], -1))
        y: Tensor = self.classifier(self.norm(x.mean(1)))
        return y


def vit(
    width: int = 768, depth: int = 12, heads: int = 12, image: int = 224, patch: int = 16, classes: int = 1000
) -> Vit:
    """A ViT, by default ViT-B/16; the arguments are those of :class:`Vit`."""
    return Vit(width, depth, heads, image=image, patch=patch, classes=classes)


def rev_vit(
    width: int = 768, depth: int = 12, heads: int = 12, image: int = 224, patch: int = 16, classes: int = 1000
) -> RevVit:
    """A Rev-ViT, by default Rev-ViT-B; the arguments are those of :class:`RevVit`."""
    return RevVit(width, depth, heads, image=image, patch=patch, classes=classes)
