"""VGG: Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015; configuration D is VGG-16.

138,357,544 parameters ("138 million" in table 2). Dropout in the classifier as published.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from camel_plugin.workload.networks.backbone import Backbone
from camel_plugin.workload.networks.layers import named


class Vgg(Backbone):
    """Groups of 3x3 convolutions (64, 128, 256, 512, 512 channels) with ReLU and a max pool, three linear layers.

    ``side`` is the number of rows and columns of the features, image / 2^groups.
    """

    def __init__(self, groups: Sequence[int] = (2, 2, 3, 3, 3), classes: int = 1000, side: int = 7) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        self.tap_channels = []
        channels = 3
        for index, count in enumerate(groups):
            width = min(64 << index, 512)
            for layer in range(count):
                unit = named(conv=nn.Conv2d(channels, width, 3, padding=1), relu=nn.ReLU())
                if layer == count - 1:
                    unit.add_module("pool", nn.MaxPool2d(2))
                self.stages.append(unit)
                self.tap_channels.append(width)
                channels = width
        self.width = channels * side * side
        self.classifier = named(
            fc1=nn.Linear(self.width, 4096),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(),
            fc2=nn.Linear(4096, 4096),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(),
            fc3=nn.Linear(4096, classes),
        )

    def units(self) -> Sequence[nn.Module]:
        """The convolutions, with the pools behind them."""
        return list(self.stages)

    def features(self, x: Tensor) -> Tensor:
        """(N, channels, side, side) -> (N, channels * side * side)."""
        return x.flatten(1)


def vgg(groups: Sequence[int] = (2, 2, 3, 3, 3), classes: int = 1000, side: int = 7) -> Vgg:
    """A VGG, by default VGG-16; the arguments are those of :class:`Vgg`."""
    return Vgg(groups, classes, side)
