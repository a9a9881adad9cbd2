"""Pre-activation ResNet for CIFAR, the counterpart of RevNet: He et al., ECCV 2016, as built by MemCNN
(van de Leemput et al., JOSS 2019): shortcuts that change shape are a 1x1 convolution with batch norm.
"""

from collections.abc import Sequence

from torch import nn

from camel_plugin.workload.networks.branches import BasicBranch, BottleneckBranch
from camel_plugin.workload.networks.layers import preactivated
from camel_plugin.workload.networks.units import ResidualUnit


def resnet(units: Sequence[int], filters: Sequence[int], classes: int = 10, bottleneck: bool = False) -> nn.Sequential:
    """Stem, stages ``stage1`` .. of residual units, classifier; arguments as for :func:`preactivated`."""
    branch = BottleneckBranch if bottleneck else BasicBranch

    def unit(channels_in: int, channels_out: int, stride: int, preactivate: bool) -> nn.Module:
        residual = branch(channels_in, channels_out, stride=stride, preactivate=preactivate)
        return ResidualUnit(residual, channels_in, channels_out, stride)

    return preactivated(units, filters, classes, unit, bottleneck=bottleneck, imagenet=False)
