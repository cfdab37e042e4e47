"""Beams chosen by the model's own alignment: in the space where LAMB brings z_a and z_t together."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.embeds import Embeds


def most_aligned(
    language_model: Any, zbar: Tensor, candidates: list[str], scores: Tensor, weight: float
) -> Tensor:
    """The row of each clip's best candidate, [B], by score + weight * cos(zbar_a, zbar_t).

    zbar: mean audio embeddings [B, D_llm]. candidates: those of a clip side by side, B n in all. scores:
    their mean log-probabilities, [B n]. zbar_t is the mean caption embedding, as in the alignment losses
    (LAMB Eq. 6-9). An empty candidate has only its end of sentence to match with.
    """
    ids, mask = language_model.encode_captions(candidates)
    zbar_t = Embeds(language_model.embed(ids).to(zbar.dtype), mask).mean()  # [B n, D_llm]
    count = len(candidates) // len(zbar)
    match = F.cosine_similarity(zbar.repeat_interleave(count, 0), zbar_t)
    best = (scores + weight * match).view(-1, count).argmax(1)
    return best + count * torch.arange(len(zbar), device=best.device)
