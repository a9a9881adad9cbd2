"""Units that networks are stacked from: residual, reversible, and the reversible network's down-sampling unit."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.layers import named


class ResidualUnit(nn.Module):
    """``shortcut(x) + branch(x)``, He et al. 2016.

    A 1x1 convolution with batch norm stands in the shortcut where ``branch`` has a stride or changes the channels.
    """

    def __init__(self, branch: nn.Module, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            convolution = nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)
            self.shortcut = named(conv=convolution, norm=nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        y: Tensor = self.branch(x) + self.shortcut(x)
        return y


class AdditiveCoupling(nn.Module):
    """A reversible block of two halves of the channels: ``y1 = x1 + F(x2)``, ``y2 = x2 + G(y1)``.

    Gomez et al., "The Reversible Residual Network", NeurIPS 2017, eq. 6 and 7.

    Args:
        f: residual function of the second half; keeps the shape. It is given the side inputs too.
        g: residual function of the new first half; keeps the shape.
        dim: of the channels.
    """

    def __init__(self, f: nn.Module, g: nn.Module, dim: int = 1) -> None:
        super().__init__()
        self.f = f
        self.g = g
        self.dim = dim

    def forward(self, x: Tensor, *side: Tensor) -> Tensor:
        """A tensor with an even number of channels -> one of the same shape."""
        x1, x2 = x.chunk(2, dim=self.dim)
        y1 = x1 + self.f(x2, *side)
        y2 = x2 + self.g(y1)
        return torch.cat([y1, y2], dim=self.dim)

    def inverse(self, y: Tensor, *side: Tensor) -> Tensor:
        """The ``x`` for which ``forward(x, *side)`` is ``y``, up to rounding."""
        y1, y2 = y.chunk(2, dim=self.dim)
        x2 = y2 - self.g(y1)
        x1 = y1 - self.f(x2, *side)
        return torch.cat([x1, x2], dim=self.dim)


class TwoStreamUnit(nn.Module):
    """First unit of a stage in Gomez et al.: a reversible block whose streams are down-sampled, so not invertible.

    Basic units average-pool the shortcut and pad its channels with zeros; bottlenecks project it (1x1).

    Args:
        f: residual function ``channels_in / 2`` -> ``channels_out / 2`` with the stride.
        g: residual function of ``channels_out / 2`` channels.
        channels_in: of both streams together.
        channels_out: of both streams together.
        stride: of ``f``.
        project: project instead of pooling and padding.
    """

    def __init__(
        self, f: nn.Module, g: nn.Module, channels_in: int, channels_out: int, stride: int, project: bool
    ) -> None:
        super().__init__()
        self.f = f
        self.g = g
        self.stride = stride
        self.missing = (channels_out - channels_in) // 2
        self.project = project and (stride != 1 or channels_in != channels_out)
        if self.project:
            shape = (channels_in // 2, channels_out // 2)
            self.project1 = nn.Conv2d(*shape, 1, stride=stride, bias=False)
            self.project2 = nn.Conv2d(*shape, 1, stride=stride, bias=False)

    def _shrink(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = functional.avg_pool2d(x, self.stride)
        if self.missing:
            before = self.missing // 2
            x = functional.pad(x, (0, 0, 0, 0, before, self.missing - before))
        return x

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        x1, x2 = x.chunk(2, dim=1)
        s1 = self.project1(x1) if self.project else self._shrink(x1)
        s2 = self.project2(x2) if self.project else self._shrink(x2)
        y1 = s1 + self.f(x2)
        y2 = s2 + self.g(y1)
        return torch.cat([y1, y2], dim=1)
