"""Beams chosen by how well they are aligned with the sound, in a space of sounds and captions."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.embeds import Embeds


class Space(Protocol):
    """Where a sound and its caption lie near to each other."""

    def hear(self, h_a: Embeds, z_a: Embeds) -> Tensor:
        """A clip's audio tokens and audio embeddings -> [B, D]."""

    def read(self, z_t: Embeds) -> Tensor:
        """Caption embeddings -> [B, D]."""


class MeanSpace:
    """The language model's own embeddings, where LAMB's losses bring the means of z_a and z_t together."""

    def hear(self, h_a: Embeds, z_a: Embeds) -> Tensor:
        return z_a.mean()

    def read(self, z_t: Embeds) -> Tensor:
        return z_t.mean()


def most_aligned(heard: Tensor, said: Tensor, scores: Tensor, weight: float) -> Tensor:
    """The row of each clip's best candidate, [B], by score + weight * cos(heard, said).

    heard: the clips in the space [B, D]. said: their candidates [B n, D], those of a clip side by side.
    scores: the candidates' mean log-probabilities [B n].
    """
    count = len(said) // len(heard)
    match = F.cosine_similarity(heard.repeat_interleave(count, 0), said)
    best = (scores + weight * match).view(-1, count).argmax(1)
    return best + count * torch.arange(len(heard), device=best.device)
