"""Cross-entropy on caption tokens (LAMB Eq. 13-14, LAVCap Eq. 8, DistillCaps Eq. 6-8)."""

from __future__ import annotations

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
) -> Tensor:
    """Negative log-likelihood of the captions, in nats, mean over all real tokens of the batch.

    logits: [B, L, V], position i predicts ids[:, i] (already aligned, nothing is shifted here). ids: [B, L].
    mask: bool [B, L], padding counts nothing. label_smoothing: share of the target mass spread evenly over
    the vocabulary. Computed in fp32 at least.
    """
    if logits.shape[:2] != ids.shape or ids.shape != mask.shape:
        raise ValueError(
            f"logits [B, L, V], ids [B, L] and mask [B, L] do not fit: "
            f"{tuple(logits.shape)}, {tuple(ids.shape)}, {tuple(mask.shape)}"
        )
    targets = ids.masked_fill(~mask, _IGNORED)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    loss = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=_IGNORED,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return loss / mask.sum().clamp(min=1)
