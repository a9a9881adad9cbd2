"""Pre-activation ResNet for CIFAR, the counterpart of RevNet: He et al., ECCV 2016, as built by MemCNN
(van de Leemput et al., JOSS 2019): shortcuts that change shape are a 1x1 convolution with batch norm.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from camel_plugin.workload.networks.branches import BasicBranch, BottleneckBranch
from camel_plugin.workload.networks.stem import Classifier, Stem
from camel_plugin.workload.networks.units import ResidualUnit


class ResNet(nn.Module):
    """Stem, stages ``stage1`` .. of residual units, classifier.

    Args:
        units: units of each stage.
        filters: channels of the stem and then of each stage, before the bottleneck's factor 4.
        classes: outputs.
        bottleneck: three convolutions a branch and four times the channels.
    """

    def __init__(
        self, units: Sequence[int], filters: Sequence[int], *, classes: int = 10, bottleneck: bool = False
    ) -> None:
        super().__init__()
        if len(filters) != len(units) + 1:
            raise ValueError(f"filters needs one entry more than units, not {len(filters)} for {len(units)}")
        self.stem = Stem(filters[0])
        self.stages = len(units)
        make = BottleneckBranch if bottleneck else BasicBranch
        channels = filters[0]
        for index, count in enumerate(units):
            stage = nn.Sequential()
            for unit in range(count):
                out = filters[index + 1] * (4 if bottleneck else 1)
                stride = 2 if unit == 0 and index > 0 else 1
                branch = make(channels, out, stride=stride, preactivate=unit > 0 or index > 0)
                stage.append(ResidualUnit(branch, channels, out, stride))
                channels = out
            self.add_module(f"stage{index + 1}", stage)
        self.classifier = Classifier(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = self.stem(x)
        for index in range(self.stages):
            x = self.get_submodule(f"stage{index + 1}")(x)
        return self.classifier(x)  # type: ignore[no-any-return]


def resnet(units: Sequence[int], filters: Sequence[int], classes: int = 10, bottleneck: bool = False) -> ResNet:
    """A pre-activation ResNet; the arguments are those of :class:`ResNet`."""
    return ResNet(units, filters, classes=classes, bottleneck=bottleneck)
