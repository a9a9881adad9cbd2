"""LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

As it is built today: every map of C3 reads all maps of S2, subsampling has no weights, the output layer is linear. C1,
C5 and F6 have the published 156, 48,120 and 10,164 parameters; C3 has 2,416 (with the published sparse table 1,516), S2
and S4 have none (12 and 32), the output has 850 (fixed there). In all 61,706 instead of 60,000.
"""

from __future__ import annotations

from torch import nn


def lenet5(classes: int = 10) -> nn.Sequential:
    """LeNet-5 for images of one channel, 32x32.

    Args:
        classes: outputs.
    """
    network = nn.Sequential()
    network.add_module("c1", nn.Conv2d(1, 6, 5))
    network.add_module("tanh1", nn.Tanh())
    network.add_module("s2", nn.AvgPool2d(2))
    network.add_module("c3", nn.Conv2d(6, 16, 5))
    network.add_module("tanh3", nn.Tanh())
    network.add_module("s4", nn.AvgPool2d(2))
    network.add_module("c5", nn.Conv2d(16, 120, 5))
    network.add_module("tanh5", nn.Tanh())
    network.add_module("flatten", nn.Flatten())
    network.add_module("f6", nn.Linear(120, 84))
    network.add_module("tanh6", nn.Tanh())
    network.add_module("output", nn.Linear(84, classes))
    return network
