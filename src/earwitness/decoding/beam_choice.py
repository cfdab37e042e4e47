"""Choice of a beam by its similarity to the audio, in a joint space of audio and captions."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.embeds import Embeds


class Space(Protocol):
    """A joint space of audio and captions."""

    def embed_audio(self, h_a: Embeds, z_a: Embeds) -> Tensor:
        """Embed clips from their audio tokens and adapted embeddings: [B, D]."""

    def embed_text(self, z_t: Embeds) -> Tensor:
        """Embed captions from their token embeddings: [B, D]."""


class MeanSpace:
    """The language model's embedding space, in which LAMB's losses align the means of z_a and z_t."""

    def embed_audio(self, h_a: Embeds, z_a: Embeds) -> Tensor:
        return z_a.mean()

    def embed_text(self, z_t: Embeds) -> Tensor:
        return z_t.mean()


def most_aligned(audio: Tensor, captions: Tensor, scores: Tensor, weight: float) -> Tensor:
    """Return the row of each clip's best candidate, [B], by score + weight * cos(audio, caption).

    audio: the clips in the space [B, D]. captions: their candidates [B n, D], those of a clip side by side.
    scores: the candidates' mean log-probabilities [B n].
    """
    count = len(captions) // len(audio)
    match = F.cosine_similarity(audio.repeat_interleave(count, 0), captions)
    best = (scores + weight * match).view(-1, count).argmax(1)
    return best + count * torch.arange(len(audio), device=best.device)
