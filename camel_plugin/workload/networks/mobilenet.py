"""MobileNetV2: Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.

3,504,872 parameters at width 1.0 ("3.4 M" in the paper, 300 M multiply-adds).
"""

from torch import Tensor, nn

from camel_plugin.workload.networks.layers import named

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, units and stride of the first unit of each stage."""


def _layer(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return named(conv=convolution, norm=nn.BatchNorm2d(channels_out), relu=nn.ReLU6())


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution with the stride, 1x1 projection without activation.

    The input is added where the stride is 1 and the channels stay.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = channels_in * expansion
        self.residual = stride == 1 and channels_in == channels_out
        self.body = nn.Sequential()
        if expansion != 1:
            self.body.add_module("expand", _layer(channels_in, hidden, 1))
        self.body.add_module("depthwise", _layer(hidden, hidden, 3, stride, hidden))
        self.body.add_module("project", nn.Conv2d(hidden, channels_out, 1, bias=False))
        self.body.add_module("norm", nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.residual else y


def mobilenet_v2(classes: int = 1000) -> nn.Sequential:
    """MobileNetV2 of width 1.0."""
    stages: dict[str, nn.Module] = {}
    channels = 32
    for index, (expansion, width, count, stride) in enumerate(STAGES):
        stage = stages[f"stage{index + 1}"] = nn.Sequential()
        for unit in range(count):
            stage.append(InvertedResidual(channels, width, stride if unit == 0 else 1, expansion))
            channels = width
    return named(
        stem=_layer(3, 32, 3, 2),
        **stages,
        head=_layer(channels, 1280, 1),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        dropout=nn.Dropout(0.2),
        classifier=nn.Linear(1280, classes),
    )
