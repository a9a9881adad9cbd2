"""ResNet-18, -34 and -50 for ImageNet: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

Post-activation, with shortcuts that change shape projected (1x1 convolution, batch norm). The stride stands in the 3x3
convolution of a bottleneck, as in torchvision's models (11,689,512, 21,797,672 and 25,557,032 parameters).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.stem import Stem
from camel_plugin.workload.networks.units import ResidualUnit


def _branch(channels_in: int, kernels: Sequence[int], widths: Sequence[int], stride: int) -> nn.Sequential:
    """Convolutions with batch norm, ReLUs between them; the stride stands in the first 3x3."""
    branch = nn.Sequential()
    strided = list(kernels).index(3)
    for index, (kernel, width) in enumerate(zip(kernels, widths, strict=True)):
        if index:
            branch.add_module(f"relu{index}", nn.ReLU())
        step = stride if index == strided else 1
        convolution = nn.Conv2d(channels_in, width, kernel, stride=step, padding=kernel // 2, bias=False)
        branch.add_module(f"conv{index + 1}", convolution)
        branch.add_module(f"norm{index + 1}", nn.BatchNorm2d(width))
        channels_in = width
    return branch


class PostActivationUnit(ResidualUnit):
    """A residual unit with a ReLU behind the addition."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        return functional.relu(super().forward(x))


class ResNetImageNet(Backbone):
    """Stem, four stages ``stage1`` .. of 64, 128, 256 and 512 channels (four times as many with bottlenecks).

    Args:
        units: units of each of the four stages.
        classes: outputs.
        bottleneck: 1x1, 3x3 and 1x1 convolutions a unit instead of two 3x3.
    """

    def __init__(self, units: Sequence[int], *, classes: int = 1000, bottleneck: bool = False) -> None:
        super().__init__()
        self.stem = Stem(64, imagenet=True)
        self.stages = len(units)
        channels = 64
        self.tap_channels = []
        for index, count in enumerate(units):
            width = 64 << index
            out = 4 * width if bottleneck else width
            stage = nn.Sequential()
            for unit in range(count):
                stride = 2 if unit == 0 and index > 0 else 1
                kernels, widths = ((1, 3, 1), (width, width, out)) if bottleneck else ((3, 3), (width, width))
                stage.append(PostActivationUnit(_branch(channels, kernels, widths, stride), channels, out, stride))
                channels = out
                self.tap_channels.append(out)
            self.add_module(f"stage{index + 1}", stage)
        self.width = channels
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(channels, classes)

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 64, H / 4, W / 4)."""
        return self.stem(x)  # type: ignore[no-any-return]

    def units(self) -> Sequence[nn.Module]:
        """The residual units of all stages."""
        return [unit for index in range(self.stages) for unit in self.get_submodule(f"stage{index + 1}").children()]

    def features(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels)."""
        return self.pool(x).flatten(1)  # type: ignore[no-any-return]


def resnet_imagenet(units: Sequence[int], classes: int = 1000, bottleneck: bool = False) -> ResNetImageNet:
    """A ResNet; the arguments are those of :class:`ResNetImageNet`."""
    return ResNetImageNet(units, classes=classes, bottleneck=bottleneck)


def resnet50(units: Sequence[int] = (3, 4, 6, 3), classes: int = 1000) -> ResNetImageNet:
    """ResNet-50, or one with other numbers of bottlenecks."""
    return ResNetImageNet(units, classes=classes, bottleneck=True)
