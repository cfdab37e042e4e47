"""Cross-entropy on caption tokens (LAMB Eq. 13-14, LAVCap Eq. 8, DistillCaps Eq. 6-8)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

_IGNORED = -100


def caption_cross_entropy(
    logits: Tensor,
    ids: Tensor,
    mask: Tensor,
    *,
    label_smoothing: float = 0.0,
    reduction: Literal["token", "sequence"] = "token",
) -> Tensor:
    """Negative log-likelihood of the captions, in nats.

    logits: [B, L, V], position i predicts ids[:, i] (already aligned, nothing is shifted here). ids: [B, L].
    mask: bool [B, L], padding counts nothing. reduction: "token" is the mean over all real tokens of the
    batch; "sequence" is the mean over captions of each caption's mean, so that long captions weigh no more
    than short ones. label_smoothing: share of the target mass spread evenly over the vocabulary. Computed in
    fp32 at least.
    """
    if logits.shape[:2] != ids.shape or ids.shape != mask.shape:
        raise ValueError(
            f"logits [B, L, V], ids [B, L] and mask [B, L] do not fit: "
            f"{tuple(logits.shape)}, {tuple(ids.shape)}, {tuple(mask.shape)}"
        )
    targets = ids.masked_fill(~mask, _IGNORED)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    losses = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=_IGNORED,
        reduction="none",
        label_smoothing=label_smoothing,
    ).view_as(targets)  # [B, L], zero at padding
    if reduction == "token":
        return losses.sum() / mask.sum().clamp(min=1)
    if reduction == "sequence":
        lengths = mask.sum(1)
        return (losses.sum(1) / lengths.clamp(min=1)).sum() / (lengths > 0).sum().clamp(min=1)
    raise ValueError(f"reduction must be 'token' or 'sequence', not {reduction!r}")
