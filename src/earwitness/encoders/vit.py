"""Pre-norm transformer blocks of the vision transformer, with a mask over padded tokens.

Dosovitskiy et al. 2021, "An image is worth 16x16 words". Queries, keys and values have a projection each
(`q_proj`, `k_proj`, `v_proj`), the names that LoRA settings refer to.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_EPS = 1e-6  # of timm's vision transformer, which CED and Dasheng were trained with


class Attention(nn.Module):
    """residual + multi-head self-attention(x): [B, N, D] -> [B, N, D]."""

    def __init__(self, *, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        self.heads, self.dropout = heads, dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, residual: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: bool [B, N], True where a token may be attended to; at least one a row."""
        q, k, v = (
            project(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, heads, N, D / heads]
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        keys = None if mask is None else mask[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys, dropout_p=dropout)
        return add_linear(residual, mixed.transpose(1, 2).flatten(2), self.proj, dropout)


class Mlp(nn.Module):
    """residual + two linear layers with an exact GELU between, of x: [B, N, D] -> [B, N, D]."""

    def __init__(self, *, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)
        self.dropout = dropout

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        return add_linear(residual, F.dropout(F.gelu(self.fc1(x)), dropout), self.fc2, dropout)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): [B, N, D] -> [B, N, D]."""

    def __init__(self, *, dim: int, heads: int, mlp_ratio: float = 4.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attn = Attention(dim=dim, heads=heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(dim, eps=NORM_EPS)
        self.mlp = Mlp(dim=dim, hidden=int(dim * mlp_ratio), dropout=dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask: bool [B, N], True where a token may be attended to. Without gradients x is overwritten."""
        x = self.attn(self.norm1(x), x, mask)
        return self.mlp(self.norm2(x), x)


def add_linear(x: Tensor, y: Tensor, layer: nn.Module, dropout: float) -> Tensor:
    """x + dropout(layer(y)), written into x where no gradient is recorded.

    Bias and sum are then part of the matrix product: on a CPU that saves two passes over memory, 5 % of a
    narrow block. Dropout, autocast and layers that are more than a matrix (LoRA) take the general form.
    """
    if torch.is_grad_enabled() or dropout or type(layer) is not nn.Linear or x.dtype != y.dtype:
        return x + F.dropout(layer(y), dropout)
    x.add_(layer.bias).view(-1, x.shape[-1]).addmm_(y.flatten(0, -2), layer.weight.t())
    return x
