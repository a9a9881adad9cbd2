"""One small operator of each kind that becomes a loop nest, trained in all passes."""

from torch import nn
from torch.nn import functional


class EveryKind(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.strided = nn.Conv2d(8, 8, 3, stride=2, padding=1)  # input = stride x output: phases
        self.dilated = nn.Conv2d(8, 8, 3, stride=2, dilation=2, padding=2)
        self.uneven = nn.Conv2d(8, 6, 3, stride=3)  # input != stride x output: the transposed nest
        self.grouped = nn.Conv2d(6, 4, 1, groups=2)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.line = nn.Conv1d(4, 6, 3, padding=1)
        self.volume = nn.Conv3d(6, 4, (2, 2, 3), padding=(1, 0, 1))
        self.heads = nn.Linear(4, 12)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        x = self.uneven(self.dilated(self.strided(self.stem(x))))
        x = self.up(self.depthwise(self.grouped(x)))
        x = self.line(x.flatten(2))
        x = self.volume(x.unflatten(2, (1, 4, 4)))
        q, k, v = self.heads(x.flatten(2).transpose(1, 2)).unflatten(2, (3, 2, 2)).permute(2, 0, 3, 1, 4)
        x = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.classifier(x.mean(1))
