"""RevNet: Gomez, Ren, Urtasun, Grosse, "The Reversible Residual Network", NeurIPS 2017 (arXiv 1707.04585).

Two readings of the first unit of a stage exist and differ in parameters and work:

- ``two-stream`` (the paper and its code, renmengye/revnet-public): the coupling is kept, the streams are pooled
  and padded (basic) or projected (bottleneck). RevNet-38 has 464,890 parameters.
- ``residual`` (MemCNN, van de Leemput et al., JOSS 2019, silvandeleemput/memcnn): an ordinary residual unit on all
  channels with a projected shortcut. RevNet-38 has 573,994 parameters, the figure that MemCNN publishes.
"""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from camel_plugin.workload.networks.branches import BasicBranch, BottleneckBranch
from camel_plugin.workload.networks.layers import preactivated
from camel_plugin.workload.networks.units import AdditiveCoupling, ResidualUnit, TwoStreamUnit

Transition = Literal["residual", "two-stream"]


def _unit(
    channels_in: int, channels_out: int, stride: int, bottleneck: bool, transition: Transition, preactivate: bool
) -> nn.Module:
    def branch(fan_in: int, fan_out: int, stride: int = 1, preactivate: bool = True) -> nn.Module:
        if not bottleneck:
            return BasicBranch(fan_in, fan_out, stride=stride, preactivate=preactivate)
        stride_first = transition == "two-stream"
        return BottleneckBranch(fan_in, fan_out, stride=stride, stride_first=stride_first, preactivate=preactivate)

    half_in, half_out = channels_in // 2, channels_out // 2
    if stride == 1 and channels_in == channels_out:
        # MemCNN leaves the pre-activation out of both branches of the first block, Gomez et al. out of F only.
        g_preactivate = preactivate or transition == "two-stream"
        f, g = branch(half_in, half_out, 1, preactivate), branch(half_in, half_out, 1, g_preactivate)
        return AdditiveCoupling(f, g)
    if transition == "residual":
        return ResidualUnit(branch(channels_in, channels_out, stride, preactivate), channels_in, channels_out, stride)
    f, g = branch(half_in, half_out, stride, preactivate), branch(half_out, half_out)
    return TwoStreamUnit(f, g, channels_in, channels_out, stride, project=bottleneck)


def revnet(
    units: Sequence[int],
    filters: Sequence[int],
    classes: int = 10,
    bottleneck: bool = False,
    transition: Transition = "residual",
    imagenet: bool = False,
) -> nn.Sequential:
    """Stem, stages ``stage1`` .. of reversible blocks, classifier; arguments as for :func:`preactivated`.

    ``transition`` is the first unit of a stage that changes the shape, see above.
    """

    def unit(channels_in: int, channels_out: int, stride: int, preactivate: bool) -> nn.Module:
        return _unit(channels_in, channels_out, stride, bottleneck, transition, preactivate)

    return preactivated(units, filters, classes, unit, bottleneck=bottleneck, imagenet=imagenet)
