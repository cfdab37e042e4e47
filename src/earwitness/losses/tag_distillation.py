"""A tagger learns from another one: its probabilities, and what its layers make of the same sound."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_VARIANCE = 1e-4
LEAST_SHARE = 0.1  # of the channels' mean variance: a channel that hardly moves must not dominate


def tag_kl(teacher_logits: Tensor, student_logits: Tensor) -> Tensor:
    """KL(teacher || student) of independent tags, in nats, summed over the tags: [B, tags] twice -> [B].

    The teacher is detached. fp32 at least.
    """
    if teacher_logits.shape != student_logits.shape:
        raise ValueError(
            f"teacher {tuple(teacher_logits.shape)} and student {tuple(student_logits.shape)} "
            "must be [B, tags] of one shape"
        )
    precision = torch.promote_types(student_logits.dtype, torch.float32)
    t, s = teacher_logits.detach().to(precision), student_logits.to(precision)
    p = t.sigmoid()
    present = p * (F.logsigmoid(t) - F.logsigmoid(s))
    return (present + (1 - p) * (F.logsigmoid(-t) - F.logsigmoid(-s))).sum(1)


def channel_error(student: Tensor, teacher: Tensor, reference: Tensor | None = None) -> Tensor:
    """Mean squared error of [B, C, ...], each channel relative to its variance in the reference: a scalar.

    reference: [B, C, ...], whose variance over all but the channels counts; default: the teacher's values.
    The teacher is detached. fp32 at least.
    """
    precision = torch.promote_types(student.dtype, torch.float32)
    s, t = student.to(precision), teacher.detach().to(precision)
    kept = [axis for axis in range(s.ndim) if axis != 1]
    source = t if reference is None else reference.detach().to(precision)
    variance = source.var(kept, correction=0) + LEAST_VARIANCE
    variance = torch.maximum(variance, LEAST_SHARE * variance.mean())
    return ((s - t).square().mean(kept) / variance).mean()
