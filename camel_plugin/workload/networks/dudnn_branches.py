"""The trainable branches of DuDNN: reversible blocks without batch norm, connected to a backbone.

Zhang et al., HPCA 2024 (arXiv 2305.03148v3) name pooled input, pooled connections and reversible blocks without batch
norm; layers and sizes are ASSUMPTIONS of ours.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.layers import named
from camel_plugin.workload.networks.transformer import Attention, mlp, normed
from camel_plugin.workload.networks.units import AdditiveCoupling


def conv_branch(channels: int) -> nn.Sequential:
    """Two 3x3 convolutions with a ReLU between them, without norm."""
    first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
    return named(conv1=first, relu=nn.ReLU(), conv2=second)


class Connected(nn.Module):
    """A residual function that adds a projected side input to its own: ``body(x + project(side))``.

    The grid of the side input may be coarser than that of ``x``: it is repeated then.
    """

    def __init__(self, body: nn.Module, channels: int, side_channels: int, *, tokens: bool = False) -> None:
        super().__init__()
        self.project = (nn.Conv1d if tokens else nn.Conv2d)(side_channels, channels, 1)
        self.body = body
        self.tokens = tokens

    def forward(self, x: Tensor, side: Tensor) -> Tensor:
        """(N, channels, H, W) and (N, side_channels, h, w), or (N, tokens, channels) and (N, side_channels, fewer)."""
        side = functional.interpolate(self.project(side), size=x.shape[1:2] if self.tokens else x.shape[2:])
        y: Tensor = self.body(x + (side.transpose(1, 2) if self.tokens else side))
        return y


class Branch(nn.Module):
    """Embedding, reversible blocks, features.

    Attributes:
        width: number of features.
        blocks: reversible blocks, called with their side input where they have one.
        pool_tap: pools what the backbone gives to a side input.
        reads_embedding: whether it starts from the backbone's embedding instead of the network's input.
    """

    width: int
    blocks: nn.ModuleList
    pool_tap: nn.Module
    reads_embedding = False

    def embed(self, x: Tensor) -> Tensor:
        """What it starts from -> what the first block reads."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """What the last block returned -> (N, width)."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """The branch without side inputs: what it starts from -> (N, width)."""
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.features(x)


class ImageBranch(Branch):
    """Pooled image, one convolution, reversible blocks, global average pool.

    Args:
        taps: channels of each block's side input; 0 for a block without one.
        channels: of each of the two streams, hence of every convolution.
        grid: rows and columns, to which the image is pooled.
        tap_grid: rows and columns, to which the side inputs are pooled.
    """

    def __init__(self, taps: Sequence[int], channels: int, grid: int, tap_grid: int) -> None:
        super().__init__()
        self.width = 2 * channels
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.pool_tap = nn.AdaptiveAvgPool2d(tap_grid)
        self.stem = nn.Conv2d(3, 2 * channels, 3, padding=1)
        self.blocks = nn.ModuleList()
        for tap in taps:
            f = Connected(conv_branch(channels), channels, tap) if tap else conv_branch(channels)
            self.blocks.append(AdditiveCoupling(f, conv_branch(channels)))

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 2 channels, grid, grid)."""
        y: Tensor = self.stem(self.pool(x))
        return y

    def features(self, x: Tensor) -> Tensor:
        """(N, 2 channels, grid, grid) -> (N, 2 channels)."""
        return x.mean((2, 3))


class TokenBranch(Branch):
    """Pooled embedding of the backbone, projected; reversible blocks of attention and MLP; mean over tokens.

    The blocks are those of Rev-ViT (Mangalam et al., CVPR 2022) with heads of 16 channels.

    Args:
        taps: channels of each block's side input; the first one's are those of the embedding, too.
        channels: of each of the two streams.
        grid: tokens, to which the embedding is pooled.
        tap_grid: tokens, to which the side inputs are pooled.
    """

    reads_embedding = True

    def __init__(self, taps: Sequence[int], channels: int, grid: int, tap_grid: int) -> None:
        super().__init__()
        self.width = 2 * channels
        self.pool = nn.AdaptiveAvgPool1d(grid)
        self.pool_tap = nn.AdaptiveAvgPool1d(tap_grid)
        self.stem = nn.Linear(taps[0], 2 * channels)
        self.blocks = nn.ModuleList()
        for tap in taps:
            f = Connected(normed(channels, Attention(channels, channels // 16)), channels, tap, tokens=True)
            self.blocks.append(AdditiveCoupling(f, normed(channels, mlp(channels, 4 * channels)), dim=2))

    def embed(self, x: Tensor) -> Tensor:
        """(N, width of the backbone, tokens) -> (N, grid, 2 channels)."""
        y: Tensor = self.stem(self.pool(x).transpose(1, 2))
        return y

    def features(self, x: Tensor) -> Tensor:
        """(N, grid, 2 channels) -> (N, 2 channels)."""
        return x.mean(1)
