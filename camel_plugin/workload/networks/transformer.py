"""Parts that transformers share: Vaswani et al., "Attention Is All You Need", NeurIPS 2017."""

from torch import Tensor, nn
from torch.nn import functional

from camel_plugin.workload.networks.layers import named


class Attention(nn.Module):
    """Multi-head self-attention with biases; ``width`` is a multiple of ``heads``."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same."""
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        heads = functional.scaled_dot_product_attention(q, k, v)
        y: Tensor = self.out(heads.transpose(1, 2).reshape(n, tokens, width))
        return y


def mlp(width: int, hidden: int) -> nn.Sequential:
    """Linear layer to ``hidden`` channels, GELU, linear layer back to ``width``."""
    return named(fc1=nn.Linear(width, hidden), gelu=nn.GELU(), fc2=nn.Linear(hidden, width))


def normed(width: int, body: nn.Module) -> nn.Sequential:
    """``body`` behind a layer norm (pre-norm)."""
    return named(norm=nn.LayerNorm(width, eps=1e-6), body=body)


class PreNormBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``: Dosovitskiy et al., ICLR 2021."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = normed(width, Attention(width, heads))
        self.mlp = normed(width, mlp(width, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same."""
        x = x + self.attention(x)
        y: Tensor = x + self.mlp(x)
        return y


class PostNormBlock(nn.Module):
    """``norm(x + attention(x))``, then ``norm(x + mlp(x))``: Vaswani et al., Devlin et al."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.mlp = mlp(width, hidden)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same."""
        x = self.norm1(x + self.attention(x))
        y: Tensor = self.norm2(x + self.mlp(x))
        return y
