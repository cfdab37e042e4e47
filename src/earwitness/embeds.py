"""Embeds: the one thing that travels between the parts of a captioner.

Legend of dimension letters used in shapes throughout the project:

    B  clips in a batch            S    waveform samples
    F  feature frames (100 /s)     N_a  audio tokens        N_v  visual tokens
    N_g audio embeddings           L    caption tokens      V    vocabulary size
    D  width of the tokens         D_llm width of the language model's embedding space
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Embeds(NamedTuple):
    """Token vectors and which of them are real.

    values: [B, N, D] float.  mask: [B, N] bool, True where a token is real, False where it is padding.
    """

    values: Tensor
    mask: Tensor

    @classmethod
    def full(cls, values: Tensor) -> Embeds:
        """Embeds with nothing padded."""
        return cls(values, torch.ones(values.shape[:2], dtype=torch.bool, device=values.device))

    def mean(self) -> Tensor:
        """Mean over the real tokens: [B, D]. A clip without any real token gives zeros."""
        weight = self.mask.unsqueeze(-1).to(self.values.dtype)
        return (self.values * weight).sum(1) / weight.sum(1).clamp(min=1)

    def cat(self, other: Embeds) -> Embeds:
        """The tokens of both, along the token axis."""
        return Embeds(torch.cat([self.values, other.values], 1), torch.cat([self.mask, other.mask], 1))

    def without(self, left_out: Tensor) -> Embeds:
        """The same tokens but for those of bool [B, N]; a clip of which nothing would be left keeps all."""
        kept = self.mask & ~left_out
        return Embeds(self.values, torch.where(kept.any(1, keepdim=True), kept, self.mask))


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """lengths [B] -> bool [B, size], True at positions before each length."""
    return torch.arange(size, device=lengths.device)[None, :] < lengths[:, None]
