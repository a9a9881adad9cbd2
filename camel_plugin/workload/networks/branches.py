"""Residual functions of pre-activation networks: (norm, ReLU, conv) two or three times.

He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016. (N, channels_in, H, W) -> (N, channels_out,
H / stride, W / stride).
"""

from collections import OrderedDict

from torch import nn


class BasicBranch(nn.Sequential):
    """Two 3x3 convolutions, ``channels_in`` -> ``channels_out`` -> ``channels_out``; the first has the stride.

    The input passes norm and ReLU first if ``preactivate``: the first unit of a network follows those of the stem.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, preactivate: bool = True) -> None:
        first = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        super().__init__(_normed(first, second, preactivate=preactivate))


class BottleneckBranch(nn.Sequential):
    """1x1, 3x3 and 1x1 convolutions with a quarter of the output's channels (a multiple of 4) between them.

    The stride stands in the 3x3 convolution (MemCNN), or with ``stride_first`` in the first one (Gomez et al.).
    """

    def __init__(
        self, channels_in: int, channels_out: int, *,
        stride: int = 1, stride_first: bool = False, preactivate: bool = True,
    ) -> None:  # fmt: skip
        width = channels_out // 4
        first, middle = (stride, 1) if stride_first else (1, stride)
        reduce = nn.Conv2d(channels_in, width, 1, stride=first, bias=False)
        filter_ = nn.Conv2d(width, width, 3, stride=middle, padding=1, bias=False)
        expand = nn.Conv2d(width, channels_out, 1, bias=False)
        super().__init__(_normed(reduce, filter_, expand, preactivate=preactivate))


def _normed(*convolutions: nn.Conv2d, preactivate: bool) -> OrderedDict[str, nn.Module]:
    """``norm1``, ``relu1``, ``conv1``, ``norm2`` ..."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, convolution in enumerate(convolutions, 1):
        if preactivate or number > 1:
            layers[f"norm{number}"] = nn.BatchNorm2d(convolution.in_channels)
            layers[f"relu{number}"] = nn.ReLU()
        layers[f"conv{number}"] = convolution
    return layers
