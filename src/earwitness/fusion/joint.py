"""Joint encoder: one transformer over the tokens of both modalities (LAVCap, Table III)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.attention import AttentionLayer, FeedForwardLayer, initialise_as_bert
from earwitness.embeds import Embeds
from earwitness.fusion.concat import visual_projection


class JointLayer(nn.Module):
    """Self-attention and feed-forward part: Embeds [B, N, dim] -> [B, N, dim]."""

    def __init__(self, *, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = AttentionLayer(dim=dim, heads=heads, dropout=dropout)
        self.feed_forward = FeedForwardLayer(dim=dim, hidden=4 * dim, dropout=dropout)

    def forward(self, x: Embeds) -> Tensor:
        return self.feed_forward(self.attention(x.values, x))


class JointEncoder(nn.Module):
    """Audio and visual tokens, each marked with its modality, attend to one another in one sequence.

    Embeds [B, N_a, dim], [B, N_v, dim_visual] -> Embeds [B, N_a + N_v, dim].
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_visual: int | None = None,
        layers: int = 2,
        heads: int = 12,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.visual_projection = visual_projection(dim, dim_visual)
        self.modality = nn.Embedding(2, dim)  # audio, visual
        self.layers = nn.ModuleList(JointLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(layers))
        initialise_as_bert(self)
        nn.init.normal_(self.modality.weight, std=0.02)

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        marks = self.modality.weight
        values = torch.cat([audio.values + marks[0], self.visual_projection(visual.values) + marks[1]], 1)
        mask = torch.cat([audio.mask, visual.mask], 1)
        for layer in self.layers:
            values = layer(Embeds(values.masked_fill(~mask[..., None], 0.0), mask))
        return Embeds(values, mask)
