"""Q-Former fusion: a few queries read both modalities (LAVCap, Table III)."""

from __future__ import annotations

from torch import nn

from earwitness.attention import QFormer
from earwitness.embeds import Embeds
from earwitness.fusion.concat import Concat


class QFormerFusion(nn.Module):
    """Embeds [B, N_a, dim], [B, N_v, dim_visual] -> Embeds [B, queries, dim], nothing padded.

    The audio tokens are read beside the visual ones by `queries` learnable vectors. A clip without any token
    at all reads zeros.
    """

    def __init__(
        self,
        *,
        dim: int,
        dim_visual: int | None = None,
        queries: int = 32,
        layers: int = 2,
        heads: int = 12,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.concat = Concat(dim=dim, dim_visual=dim_visual)
        self.qformer = QFormer(
            dim=dim, context_dim=dim, queries=queries, layers=layers, heads=heads, dropout=dropout
        )

    @property
    def visual_projection(self) -> nn.Module:
        return self.concat.visual_projection

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        both = self.concat(audio, visual)
        tokens = Embeds(both.values.masked_fill(~both.mask[..., None], 0.0), both.mask)
        return Embeds.full(self.qformer(tokens))
