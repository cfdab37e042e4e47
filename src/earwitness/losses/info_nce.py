"""InfoNCE between the clips and the captions of a batch (LAMB, Eq. 8-9)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(audio: Tensor, text: Tensor, temperature: float | Tensor = 0.07) -> Tensor:
    """Symmetric InfoNCE: each clip against all captions, and each caption against all clips.

    audio, text: [B, D], row i of one belongs to row i of the other (for z_a and z_t: `Embeds.mean()`, which
    leaves padding out). temperature: tau > 0 of the cosine similarities, a number or a learnable scalar.
    Returns the mean of the two directions, each a mean over B; log B if all similarities are equal. fp32 at
    least.
    """
    if audio.shape != text.shape or audio.ndim != 2:
        raise ValueError(
            f"audio and text must be [B, D] of one shape, not {tuple(audio.shape)} and {tuple(text.shape)}"
        )
    with torch.autocast(audio.device.type, enabled=False):
        precision = torch.promote_types(torch.promote_types(audio.dtype, text.dtype), torch.float32)
        audio = F.normalize(audio.to(precision), dim=-1)
        text = F.normalize(text.to(precision), dim=-1)
        similarity = audio @ text.T / temperature  # [B audio, B text]
        own = torch.arange(len(similarity), device=similarity.device)
        return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
