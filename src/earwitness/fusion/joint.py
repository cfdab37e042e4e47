"""Joint encoder: one transformer over the tokens of both modalities (LAVCap, Table III)."""

from __future__ import annotations

import torch
from torch import nn

from earwitness.attention import ReadingLayer, initialise_as_bert
from earwitness.embeds import Embeds
from earwitness.fusion.concat import visual_projection


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
        self.layers = nn.ModuleList(
            ReadingLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(layers)
        )
        initialise_as_bert(self)
        nn.init.normal_(self.modality.weight, std=0.02)

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        marks = self.modality.weight
        values = torch.cat([audio.values + marks[0], self.visual_projection(visual.values) + marks[1]], 1)
        mask = torch.cat([audio.mask, visual.mask], 1)
        for layer in self.layers:
            values = values.masked_fill(~mask[..., None], 0.0)
            values = layer(values, Embeds(values, mask))
        return Embeds(values, mask)
