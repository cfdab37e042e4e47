"""Cross-attention fusion: each modality reads the other (LAVCap, Table III)."""

from __future__ import annotations

from torch import nn

from earwitness.attention import ReadingLayer, initialise_as_bert
from earwitness.embeds import Embeds
from earwitness.fusion.concat import visual_projection


class CrossAttention(nn.Module):
    """Audio reads video while video reads audio, in `layers` rounds, then both side by side.

    Embeds [B, N_a, dim], [B, N_v, dim_visual] -> Embeds [B, N_a + N_v, dim]. Padding is never read; a clip
    without visual tokens reads zeros.
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
        self.audio_layers, self.visual_layers = (
            nn.ModuleList(ReadingLayer(dim=dim, heads=heads, dropout=dropout) for _ in range(layers))
            for _ in range(2)
        )
        initialise_as_bert(self)

    def forward(self, audio: Embeds, visual: Embeds) -> Embeds:
        h_a = audio.values
        h_v = self.visual_projection(visual.values)
        for read_visual, read_audio in zip(self.audio_layers, self.visual_layers):
            a = h_a.masked_fill(~audio.mask[..., None], 0.0)
            v = h_v.masked_fill(~visual.mask[..., None], 0.0)
            h_a = read_visual(a, Embeds(v, visual.mask))
            h_v = read_audio(v, Embeds(a, audio.mask))
        return Embeds(h_a, audio.mask).cat(Embeds(h_v, visual.mask))
