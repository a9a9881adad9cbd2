"""Layers in named sequences, stages of units, and the first and last layers that the networks share."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from torch import nn

MakeUnit = Callable[[int, int, int, bool], nn.Module]
"""(channels in, channels out, stride, whether norm and ReLU have yet to come) -> a unit."""


def named(**layers: nn.Module) -> nn.Sequential:
    """Layers one after the other, under their names."""
    return nn.Sequential(OrderedDict(layers))


def stem(channels: int, *, imagenet: bool = False) -> nn.Sequential:
    """First convolution (3 -> channels), norm and ReLU: 3x3; for ImageNet 7x7 with stride 2 and a 3x3/2 max pool."""
    kernel, stride = (7, 2) if imagenet else (3, 1)
    layers = named(
        conv=nn.Conv2d(3, channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        norm=nn.BatchNorm2d(channels),
        relu=nn.ReLU(),
    )
    if imagenet:
        layers.add_module("pool", nn.MaxPool2d(3, stride=2, padding=1))
    return layers


def stages(
    channels: int, units: Sequence[int], widths: Sequence[int], make: MakeUnit
) -> Iterator[tuple[str, nn.Sequential]]:
    """``stage1`` .. of so many units and channels (``widths``) each; all but the first begin with stride 2.

    What the very first unit reads, of ``channels`` channels, has passed the stem's norm and ReLU.
    """
    for index, (count, width) in enumerate(zip(units, widths, strict=True)):
        stage = nn.Sequential()
        for unit in range(count):
            stage.append(make(channels, width, 2 if unit == 0 and index > 0 else 1, unit > 0 or index > 0))
            channels = width
        yield f"stage{index + 1}", stage


def preactivated(
    units: Sequence[int], filters: Sequence[int], classes: int, make: MakeUnit, *, bottleneck: bool, imagenet: bool
) -> nn.Sequential:
    """Stem, stages of pre-activation units, the norm and ReLU that their result still lacks, pool, linear classifier.

    Args:
        units: units of each stage.
        filters: channels of the stem and then of each stage, before the bottleneck's factor 4.
        classes: outputs.
        make: makes a unit.
        bottleneck: whether units are bottlenecks.
        imagenet: whether the stem is that for ImageNet.
    """
    if len(filters) != len(units) + 1:
        raise ValueError(f"filters needs one entry more than units, not {len(filters)} for {len(units)}")
    widths = [width * (4 if bottleneck else 1) for width in filters[1:]]
    channels = [filters[0], *(width for width, count in zip(widths, units, strict=True) if count)][-1]
    return named(
        stem=stem(filters[0], imagenet=imagenet),
        **dict(stages(filters[0], units, widths, make)),
        classifier=named(
            activate=named(norm=nn.BatchNorm2d(channels), relu=nn.ReLU()),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            linear=nn.Linear(channels, classes),
        ),
    )
