"""Post-norm transformer parts shared by adapters and fusions (BERT's form, as in BLIP-2's Q-Former)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.embeds import Embeds

_NORM_EPS = 1e-12  # BERT's


class AttentionLayer(nn.Module):
    """LN(x + W_o MHA(x, context)): x [B, N, dim] reads context [B, M, context_dim] -> [B, N, dim].

    context_dim: None where x reads itself. Padding is not attended to; a row without a real token reads the
    values of its padding, finite but without meaning, for the caller to mask.
    """

    def __init__(self, *, dim: int, heads: int, context_dim: int | None = None, dropout: float = 0.1) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim {dim} is not a multiple of heads {heads}")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(context_dim or dim, dim)
        self.value = nn.Linear(context_dim or dim, dim)
        self.output = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim, eps=_NORM_EPS)
        self.dropout = dropout

    def forward(self, x: Tensor, context: Embeds | None = None) -> Tensor:
        values, mask = context or (x, None)
        if mask is not None:  # softmax needs an unmasked entry
            mask = (mask | ~mask.any(1, keepdim=True))[:, None, None, :]  # [B, 1, 1, M]
        q, k, v = (self._split(y) for y in (self.query(x), self.key(values), self.value(values)))
        rate = self.dropout if self.training else 0.0
        read = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)  # [B, H, N, dim/H]
        read = F.dropout(self.output(read.transpose(1, 2).flatten(2)), self.dropout, self.training)
        return self.norm(x + read)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForwardLayer(nn.Module):
    """LN(x + W_2 GELU(W_1 x)): [B, N, dim] -> [B, N, dim]."""

    def __init__(self, *, dim: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.up = nn.Linear(dim, hidden)
        self.down = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim, eps=_NORM_EPS)
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + F.dropout(self.down(F.gelu(self.up(x))), self.dropout, self.training))


class ReadingLayer(nn.Module):
    """x reads a context, or itself: an AttentionLayer and a FeedForwardLayer, [B, N, dim] -> [B, N, dim]."""

    def __init__(self, *, dim: int, heads: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.attention = AttentionLayer(dim=dim, heads=heads, dropout=dropout)
        self.feed_forward = FeedForwardLayer(dim=dim, hidden=4 * dim, dropout=dropout)

    def forward(self, x: Tensor, context: Embeds) -> Tensor:
        return self.feed_forward(self.attention(x, context))


class QueryLayer(nn.Module):
    """Self-attention of the queries, then cross-attention to the context: [B, Q, dim] -> [B, Q, dim]."""

    def __init__(self, *, dim: int, context_dim: int, heads: int, hidden: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.self_attention = AttentionLayer(dim=dim, heads=heads, dropout=dropout)
        self.cross_attention = AttentionLayer(dim=dim, heads=heads, context_dim=context_dim, dropout=dropout)
        self.feed_forward = FeedForwardLayer(dim=dim, hidden=hidden, dropout=dropout)

    def forward(self, x: Tensor, context: Embeds) -> Tensor:
        return self.feed_forward(self.cross_attention(self.self_attention(x), context))


class QFormer(nn.Module):
    """A few learnable queries read any number of tokens (Li et al. 2023, BLIP-2).

    Embeds [B, N, context_dim] -> [B, queries, dim]. hidden: width of the feed-forward part, default 4 dim.
    Weights start as BERT's do, normal with standard deviation 0.02.
    """

    def __init__(
        self,
        *,
        dim: int,
        context_dim: int,
        queries: int,
        layers: int = 2,
        heads: int = 12,
        hidden: int | None = None,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(queries, dim))
        self.norm = nn.LayerNorm(dim, eps=_NORM_EPS)
        self.layers = nn.ModuleList(
            QueryLayer(
                dim=dim, context_dim=context_dim, heads=heads, hidden=hidden or 4 * dim, dropout=dropout
            )
            for _ in range(layers)
        )
        self.dropout = dropout
        nn.init.normal_(self.queries, std=0.02)
        initialise_as_bert(self)

    def forward(self, context: Embeds) -> Tensor:
        x = F.dropout(self.norm(self.queries), self.dropout, self.training)
        x = x.expand(len(context.values), -1, -1)  # [B, Q, dim]
        for layer in self.layers:
            x = layer(x, context)
        return x


def initialise_as_bert(module: nn.Module) -> None:
    """Linear weights normal with standard deviation 0.02, biases zero, in place."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)
