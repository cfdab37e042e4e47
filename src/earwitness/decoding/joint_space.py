"""Joint space of audio and captions, in which a caption is chosen among the beams of a search."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from earwitness.embeds import Embeds


class JointSpace(nn.Module):
    """Map a clip's audio tokens and a caption's token embeddings to vectors of one space.

    Two networks as in CLAP (Elizalde et al. 2023, Sec. 2), but each has two layers on features that the
    captioner computes anyway. InfoNCE aligns each clip with its caption. The audio network's hidden layer is
    pooled over time by mean and maximum, so that long and short sounds both count.
    """

    def __init__(self, dim_audio: int, dim_text: int, *, dim: int, hidden: int, dropout: float) -> None:
        """dim_audio: D of h_a. dim_text: D_llm. dim: of the space. dropout: of the audio network's inputs."""
        super().__init__()
        self.audio_in, self.audio_out = nn.Linear(dim_audio, hidden), nn.Linear(2 * hidden, dim)
        self.text_norm = nn.LayerNorm(dim_text)
        self.text_in, self.text_out = nn.Linear(dim_text, hidden), nn.Linear(hidden, dim)
        self.dropout = nn.Dropout(dropout)

    def embed_audio(self, h_a: Embeds, z_a: Embeds | None = None) -> Tensor:
        """h_a [B, N_a, D] -> unit vectors [B, dim]. z_a is not used."""
        x = F.gelu(self.audio_in(self.dropout(h_a.values)))  # [B, N_a, hidden]
        lowest = torch.finfo(x.dtype).min
        peak = x.masked_fill(~h_a.mask[..., None], lowest).amax(1)
        pooled = torch.cat([Embeds(x, h_a.mask).mean(), peak], 1)  # [B, 2 hidden]
        return F.normalize(self.audio_out(self.dropout(pooled)), dim=1)

    def embed_text(self, z_t: Embeds) -> Tensor:
        """z_t [B, L, D_llm] -> unit vectors [B, dim], whatever the order of the words."""
        x = F.gelu(self.text_in(self.text_norm(z_t.values)))  # [B, L, hidden]
        return F.normalize(self.text_out(Embeds(x, z_t.mask).mean()), dim=1)
