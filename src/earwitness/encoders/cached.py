"""Frame features that were computed before, in place of a vision tower."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from earwitness.embeds import Embeds, length_mask


class CachedFrames(nn.Module):
    """Features [B, N_v, dim] and real frames [B] -> Embeds, zeros at padding; there is nothing to train."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, frames: Tensor, counts: Tensor | None = None) -> Embeds:
        """counts: [B] real frames (default: all)."""
        if frames.ndim != 3 or frames.shape[-1] != self.dim:
            raise ValueError(f"frame features must be [B, N, {self.dim}], got {tuple(frames.shape)}")
        if counts is None:
            counts = torch.full(frames.shape[:1], frames.shape[1], device=frames.device)
        mask = length_mask(counts.to(frames.device), frames.shape[1])
        return Embeds(frames.masked_fill(~mask[..., None], 0.0), mask)
