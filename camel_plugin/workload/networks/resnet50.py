"""ResNet-50 for ImageNet: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, post-activation.

The stride stands in the 3x3 convolution of a bottleneck, as in torchvision's weights (25,557,032 parameters).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.stem import Classifier, Stem
from camel_plugin.workload.networks.units import ResidualUnit


def _bottleneck(channels_in: int, width: int, stride: int) -> nn.Sequential:
    branch = nn.Sequential()
    branch.add_module("conv1", nn.Conv2d(channels_in, width, 1, bias=False))
    branch.add_module("norm1", nn.BatchNorm2d(width))
    branch.add_module("relu1", nn.ReLU())
    branch.add_module("conv2", nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False))
    branch.add_module("norm2", nn.BatchNorm2d(width))
    branch.add_module("relu2", nn.ReLU())
    branch.add_module("conv3", nn.Conv2d(width, 4 * width, 1, bias=False))
    branch.add_module("norm3", nn.BatchNorm2d(4 * width))
    return branch


class PostActivationUnit(ResidualUnit):
    """A residual unit with a ReLU behind the addition."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        return functional.relu(super().forward(x))


def resnet50(units: Sequence[int] = (3, 4, 6, 3), classes: int = 1000) -> nn.Sequential:
    """A post-activation bottleneck ResNet with stages of 256, 512, 1024 and 2048 channels.

    Args:
        units: units of each of the four stages.
        classes: outputs.
    """
    network = nn.Sequential()
    network.add_module("stem", Stem(64, imagenet=True))
    channels = 64
    for index, count in enumerate(units):
        width = 64 << index
        stage = nn.Sequential()
        for unit in range(count):
            stride = 2 if unit == 0 and index > 0 else 1
            branch = _bottleneck(channels, width, stride)
            stage.append(PostActivationUnit(branch, channels, 4 * width, stride))
            channels = 4 * width
        network.add_module(f"stage{index + 1}", stage)
    network.add_module("classifier", Classifier(channels, classes, preactivation=False))
    return network
