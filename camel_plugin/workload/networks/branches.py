"""Residual functions of pre-activation networks: (norm, ReLU, conv) two or three times.

He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016.
"""

from __future__ import annotations

from torch import Tensor, nn


class BasicBranch(nn.Module):
    """Two 3x3 convolutions, ``channels_in`` -> ``channels_out`` -> ``channels_out``.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: of the first convolution.
        preactivate: whether the input passes norm and ReLU first; the first unit of a network, which
            follows the stem's own norm and ReLU, goes without.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, preactivate: bool = True) -> None:
        super().__init__()
        if preactivate:
            self.norm1 = nn.BatchNorm2d(channels_in)
            self.relu1 = nn.ReLU()
        self.preactivate = preactivate
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        if self.preactivate:
            x = self.relu1(self.norm1(x))
        return self.conv2(self.relu2(self.norm2(self.conv1(x))))  # type: ignore[no-any-return]


class BottleneckBranch(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a quarter of the output's channels between them.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output, a multiple of 4.
        stride: of the 3x3 convolution, or of the first one.
        stride_first: stride in the first 1x1 convolution (Gomez et al.) instead of the 3x3 (MemCNN).
        preactivate: as for :class:`BasicBranch`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        stride_first: bool = False,
        preactivate: bool = True,
    ) -> None:
        super().__init__()
        width = channels_out // 4
        first, middle = (stride, 1) if stride_first else (1, stride)
        if preactivate:
            self.norm1 = nn.BatchNorm2d(channels_in)
            self.relu1 = nn.ReLU()
        self.preactivate = preactivate
        self.conv1 = nn.Conv2d(channels_in, width, 1, stride=first, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, stride=middle, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(width)
        self.relu3 = nn.ReLU()
        self.conv3 = nn.Conv2d(width, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        if self.preactivate:
            x = self.relu1(self.norm1(x))
        x = self.relu2(self.norm2(self.conv1(x)))
        return self.conv3(self.relu3(self.norm3(self.conv2(x))))  # type: ignore[no-any-return]
