"""Networks that can be taken apart into units, so that something else may look at what lies between them."""

from collections.abc import Sequence

from torch import Tensor, nn


class Backbone(nn.Module):
    """Embedding, a sequence of units, features, classifier.

    Attributes:
        width: features that the classifier reads.
        tap_channels: channels of each unit's output.
        classifier: the last layer, or layers.
    """

    width: int
    tap_channels: Sequence[int]
    classifier: nn.Module

    def embed(self, x: Tensor) -> Tensor:
        """The network's input -> what the first unit reads."""
        return x

    def units(self) -> Sequence[nn.Module]:
        """The units, in order, each from tensor to tensor."""
        raise NotImplementedError

    def tap(self, x: Tensor) -> Tensor:
        """What a unit returned -> (N, channels, rows, columns), or (N, channels, tokens)."""
        return x

    def features(self, x: Tensor) -> Tensor:
        """What the last unit returned -> (N, width)."""
        raise NotImplementedError

    def encode(self, x: Tensor) -> Tensor:
        """The network's input -> (N, width)."""
        x = self.embed(x)
        for unit in self.units():
            x = unit(x)
        return self.features(x)

    def forward(self, x: Tensor) -> Tensor:
        """The network's input -> (N, classes)."""
        y: Tensor = self.classifier(self.encode(x))
        return y
