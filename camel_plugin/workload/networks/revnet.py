"""RevNet: Gomez, Ren, Urtasun, Grosse, "The Reversible Residual Network", NeurIPS 2017 (arXiv 1707.04585).

Two readings of the first unit of a stage exist and differ in parameters and work:

- ``two-stream`` (the paper and its code, renmengye/revnet-public): the coupling is kept, the streams are pooled
  and padded (basic) or projected (bottleneck). RevNet-38 has 464,890 parameters.
- ``residual`` (MemCNN, van de Leemput et al., JOSS 2019, silvandeleemput/memcnn): an ordinary residual unit on all
  channels with a projected shortcut. RevNet-38 has 573,994 parameters, the figure that MemCNN publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from camel_plugin.workload.networks.branches import BasicBranch, BottleneckBranch
from camel_plugin.workload.networks.stem import Classifier, Stem
from camel_plugin.workload.networks.units import ResidualUnit, ReversibleBlock, TwoStreamUnit

Transition = Literal["residual", "two-stream"]


class RevNet(nn.Module):
    """Stem, stages ``stage1`` .. of reversible blocks, classifier.

    Args:
        units: units of each stage.
        filters: channels of the stem and then of each stage, before the bottleneck's factor 4.
        classes: outputs.
        bottleneck: three convolutions a branch and four times the channels.
        transition: the first unit of a stage that changes the shape, see above.
        imagenet: ImageNet stem.
    """

    def __init__(
        self,
        units: Sequence[int],
        filters: Sequence[int],
        *,
        classes: int = 10,
        bottleneck: bool = False,
        transition: Transition = "residual",
        imagenet: bool = False,
    ) -> None:
        super().__init__()
        if len(filters) != len(units) + 1:
            raise ValueError(f"filters needs one entry more than units, not {len(filters)} for {len(units)}")
        self.stem = Stem(filters[0], imagenet=imagenet)
        self.stages = len(units)
        channels = filters[0]
        for index, count in enumerate(units):
            stage = nn.Sequential()
            for unit in range(count):
                out = filters[index + 1] * (4 if bottleneck else 1)
                stride = 2 if unit == 0 and index > 0 else 1
                first = unit == 0 and index == 0
                stage.append(_unit(channels, out, stride, bottleneck, transition, preactivate=not first))
                channels = out
            self.add_module(f"stage{index + 1}", stage)
        self.classifier = Classifier(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, classes)."""
        x = self.stem(x)
        for index in range(self.stages):
            x = self.get_submodule(f"stage{index + 1}")(x)
        return self.classifier(x)  # type: ignore[no-any-return]


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
        return ReversibleBlock(f, g)
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
) -> RevNet:
    """A RevNet; the arguments are those of :class:`RevNet`."""
    return RevNet(units, filters, classes=classes, bottleneck=bottleneck, transition=transition, imagenet=imagenet)
