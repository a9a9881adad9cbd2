"""First and last layers that the networks share."""

from __future__ import annotations

from torch import Tensor, nn


class Stem(nn.Sequential):
    """First convolution, norm and ReLU.

    Args:
        channels: channels out, from 3.
        imagenet: 7x7 with stride 2 and a 3x3/2 max pool instead of 3x3 with stride 1.
    """

    def __init__(self, channels: int, *, imagenet: bool = False) -> None:
        super().__init__()
        kernel, stride = (7, 2) if imagenet else (3, 1)
        self.add_module("conv", nn.Conv2d(3, channels, kernel, stride=stride, padding=kernel // 2, bias=False))
        self.add_module("norm", nn.BatchNorm2d(channels))
        self.add_module("relu", nn.ReLU())
        if imagenet:
            self.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))


class Classifier(nn.Module):
    """The norm and ReLU that the features of a pre-activation network still lack, global average pool, linear layer.

    Args:
        channels: channels in.
        classes: outputs.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.activate = nn.Sequential()
        self.activate.add_module("norm", nn.BatchNorm2d(channels))
        self.activate.add_module("relu", nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, classes)."""
        return self.linear(self.pool(self.activate(x)).flatten(1))  # type: ignore[no-any-return]
