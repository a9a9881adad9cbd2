"""BERT: Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", NAACL 2019 (arXiv 1810.04805).

BERT-base has 12 layers of width 768 with 12 heads, "110M" parameters in the paper; 109,482,240 in the released uncased
model (30,522 words) with its pooler. Without dropout.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.transformer import PostNormBlock


class Bert(Backbone):
    """Embeddings, encoder layers, pooler, classifier of whole sequences of at most ``positions`` words."""

    def __init__(
        self, depth: int = 12, width: int = 768, heads: int = 12, classes: int = 2, words: int = 30522,
        positions: int = 512,
    ) -> None:  # fmt: skip
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.positions = nn.Embedding(positions, width)
        self.segments = nn.Embedding(2, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(PostNormBlock(width, heads, 4 * width) for _ in range(depth))
        self.pooler = nn.Linear(width, width)
        self.classifier = nn.Linear(width, classes)
        self.width = width
        self.tap_channels = [width] * depth

    def embed(self, x: Tensor) -> Tensor:
        """Words (N, tokens) of one segment, as integers -> (N, tokens, width)."""
        places = torch.arange(x.shape[1], device=x.device)
        y: Tensor = self.norm(self.words(x) + self.positions(places) + self.segments(torch.zeros_like(x)))
        return y

    def units(self) -> Sequence[nn.Module]:
        """The encoder layers."""
        return list(self.layers)

    def tap(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> (N, width, tokens)."""
        return x.transpose(1, 2)

    def features(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> (N, width), of the first token."""
        y: Tensor = self.pooler(x[:, 0])
        return y.tanh()


def bert(
    depth: int = 12, width: int = 768, heads: int = 12, classes: int = 2, words: int = 30522, positions: int = 512
) -> Bert:
    """BERT; the arguments are those of :class:`Bert`."""
    return Bert(depth, width, heads, classes, words, positions)
