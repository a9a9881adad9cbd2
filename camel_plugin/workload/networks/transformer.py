"""Parts that transformers share: Vaswani et al., "Attention Is All You Need", NeurIPS 2017."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head self-attention with biases.

    Args:
        width: of a token, a multiple of ``heads``.
        heads: heads.
    """

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
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(n, tokens, width))  # type: ignore[no-any-return]


class Mlp(nn.Sequential):
    """Linear layer, GELU, linear layer.

    Args:
        width: of input and output.
        hidden: between them.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.add_module("fc1", nn.Linear(width, hidden))
        self.add_module("gelu", nn.GELU())
        self.add_module("fc2", nn.Linear(hidden, width))


class Normed(nn.Sequential):
    """``body`` behind a layer norm (pre-norm).

    Args:
        width: of a token.
        body: attention or MLP.
    """

    def __init__(self, width: int, body: nn.Module, eps: float = 1e-6) -> None:
        super().__init__()
        self.add_module("norm", nn.LayerNorm(width, eps=eps))
        self.add_module("body", body)


class PreNormBlock(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``: Dosovitskiy et al., ICLR 2021."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Normed(width, Attention(width, heads))
        self.mlp = Normed(width, Mlp(width, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same."""
        x = x + self.attention(x)
        return x + self.mlp(x)  # type: ignore[no-any-return]


class PostNormBlock(nn.Module):
    """``norm(x + attention(x))``, then ``norm(x + mlp(x))``: Vaswani et al., Devlin et al."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm1 = nn.LayerNorm(width, eps=1e-12)
        self.mlp = Mlp(width, hidden)
        self.norm2 = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, width) -> the same."""
        x = self.norm1(x + self.attention(x))
        return self.norm2(x + self.mlp(x))  # type: ignore[no-any-return]
