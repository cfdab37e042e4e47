"""Multi-label sound-event tagging."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def tagging_loss(
    logits: Tensor, targets: Tensor, mask: Tensor | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Binary cross-entropy between tag logits and multi-label targets, mean over what counts.

    logits: [B, C]. targets: [B, C] in [0, 1]. mask: bool [B, C] or [B], True where a label is known (weakly
    labelled sets leave some unknown); None counts all. label_smoothing s moves targets to t (1 - s) + s / 2.
    Nothing known in the whole batch gives 0. fp32 at least.
    """
    if logits.shape != targets.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)} must be [B, C] of one shape"
        )
    precision = torch.promote_types(logits.dtype, torch.float32)
    targets = targets.to(precision) * (1.0 - label_smoothing) + label_smoothing / 2
    losses = F.binary_cross_entropy_with_logits(logits.to(precision), targets, reduction="none")
    if mask is None:
        return losses.mean()
    known = (mask if mask.ndim == 2 else mask[:, None]).expand_as(losses)
    return losses.masked_fill(~known, 0.0).sum() / known.sum().clamp(min=1)
