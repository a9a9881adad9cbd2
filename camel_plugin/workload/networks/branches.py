"""Residual functions of pre-activation networks: (norm, ReLU, conv) two or three times.

He et al., "Identity Mappings in Deep Residual Networks", ECCV 2016. (N, channels_in, H, W) -> (N, channels_out,
H / stride, W / stride).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


class BasicBranch(nn.Sequential):
    """Two 3x3 convolutions, ``channels_in`` -> ``channels_out`` -> ``channels_out``.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output.
        stride: of the first convolution.
        preactivate: whether the input passes norm and ReLU first; the first unit of a network, which
            follows the stem's own norm and ReLU, goes without.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, preactivate: bool = True) -> None:
        first = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        second = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        super().__init__(_normed(first, second, preactivate=preactivate))


class BottleneckBranch(nn.Sequential):
    """1x1, 3x3 and 1x1 convolutions with a quarter of the output's channels between them.

    Args:
        channels_in: channels of the input.
        channels_out: channels of the output, a multiple of 4.
        stride: of the 3x3 convolution, or of the first one.
        stride_first: stride in the first 1x1 convolution (Gomez et al.) instead of the 3x3 (MemCNN).
        preactivate: as for :class:`BasicBranch`.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        stride: int = 1,
        stride_first: bool = False,
        preactivate: bool = True,
    ) -> None:
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
