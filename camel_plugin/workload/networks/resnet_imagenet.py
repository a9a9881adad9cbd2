"""ResNet-18, -34 and -50 for ImageNet: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.

Post-activation, with shortcuts that change shape projected (1x1 convolution, batch norm). The stride stands in the 3x3
convolution of a bottleneck, as in torchvision's models (11,689,512, 21,797,672 and 25,557,032 parameters).
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.layers import stages, stem
from camel_plugin.workload.networks.units import ResidualUnit


def _branch(channels_in: int, convolutions: Sequence[tuple[int, int]], stride: int) -> nn.Sequential:
    """(Kernel, channels) of convolutions with batch norm, ReLUs between them; the stride stands in the first 3x3."""
    branch = nn.Sequential()
    strided = [kernel for kernel, _ in convolutions].index(3)
    for index, (kernel, width) in enumerate(convolutions):
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
    """Stem, stages ``stage1`` .. of 64, 128, 256, 512 channels, so many units each; linear classifier.

    A bottleneck has 1x1, 3x3 and 1x1 convolutions and four times the channels instead of two 3x3.
    """

    def __init__(self, units: Sequence[int], *, classes: int = 1000, bottleneck: bool = False) -> None:
        super().__init__()
        self.stem = stem(64, imagenet=True)
        widths = [(256 if bottleneck else 64) << index for index in range(len(units))]

        def unit(channels_in: int, channels_out: int, stride: int, _: bool) -> nn.Module:
            inner, out = channels_out // 4, channels_out
            branch = _branch(channels_in, [(1, inner), (3, inner), (1, out)] if bottleneck else [(3, out)] * 2, stride)
            return PostActivationUnit(branch, channels_in, channels_out, stride)

        for name, stage in stages(64, units, widths, unit):
            self.add_module(name, stage)
        self.tap_channels = [width for count, width in zip(units, widths, strict=True) for _ in range(count)]
        self.width = self.tap_channels[-1]
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(self.width, classes)

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 64, H / 4, W / 4)."""
        y: Tensor = self.stem(x)
        return y

    def units(self) -> Sequence[nn.Module]:
        """The residual units of all stages."""
        return [unit for name, part in self.named_children() if name.startswith("stage") for unit in part.children()]

    def features(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) -> (N, channels)."""
        y: Tensor = self.pool(x)
        return y.flatten(1)


def resnet_imagenet(units: Sequence[int], classes: int = 1000, bottleneck: bool = False) -> ResNetImageNet:
    """A ResNet; the arguments are those of :class:`ResNetImageNet`."""
    return ResNetImageNet(units, classes=classes, bottleneck=bottleneck)


def resnet50(units: Sequence[int] = (3, 4, 6, 3), classes: int = 1000) -> ResNetImageNet:
    """ResNet-50, or one with other numbers of bottlenecks."""
    return ResNetImageNet(units, classes=classes, bottleneck=True)
