"""LeNet-5: LeCun et al., "Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998.

As it is built today: every map of C3 reads all maps of S2, subsampling has no weights, the output layer is linear. C1,
C5 and F6 have the published 156, 48,120 and 10,164 parameters; C3 has 2,416 (with the published sparse table 1,516), S2
and S4 have none (12 and 32), the output has 850 (fixed there). In all 61,706 instead of 60,000.
"""

from torch import nn

from camel_plugin.workload.networks.layers import named


def lenet5(classes: int = 10) -> nn.Sequential:
    """LeNet-5 for images of one channel, 32x32."""
    return named(
        c1=nn.Conv2d(1, 6, 5),
        tanh1=nn.Tanh(),
        s2=nn.AvgPool2d(2),
        c3=nn.Conv2d(6, 16, 5),
        tanh3=nn.Tanh(),
        s4=nn.AvgPool2d(2),
        c5=nn.Conv2d(16, 120, 5),
        tanh5=nn.Tanh(),
        flatten=nn.Flatten(),
        f6=nn.Linear(120, 84),
        tanh6=nn.Tanh(),
        output=nn.Linear(84, classes),
    )
