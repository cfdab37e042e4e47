"""Distillation from the branch that sees retrieved captions to the one that does not (DistillCaps)."""

from __future__ import annotations

import torch
from torch import Tensor


def distillation_kl(
    teacher_logits: Tensor, student_logits: Tensor, mask: Tensor, temperature: float = 1.0
) -> Tensor:
    """KL(teacher || student) in nats, averaged over real caption tokens, times T^2 (L_DDA, Eq. 9-11).

    teacher_logits, student_logits: [B, L, V], position i of either predicts caption token i. mask: bool
    [B, L], padding counts nothing. The teacher is detached. T^2 keeps the size of the gradient when the
    temperature changes (Hinton et al. 2015). Computed in fp32 at least.
    """
    if teacher_logits.shape != student_logits.shape or teacher_logits.shape[:2] != mask.shape:
        raise ValueError(
            f"teacher [B, L, V], student [B, L, V] and mask [B, L] do not fit: "
            f"{tuple(teacher_logits.shape)}, {tuple(student_logits.shape)}, {tuple(mask.shape)}"
        )
    divergences = _kl(teacher_logits[mask], student_logits[mask], temperature)  # [tokens]
    return temperature**2 * divergences.sum() / max(len(divergences), 1)


def distillation_kl_released(
    teacher_logits: Tensor, student_logits: Tensor, temperature: float = 1.0
) -> Tensor:
    """The mean DistillCaps' code takes: over all B x L positions, padding included, times T^2.

    Its slices begin one position late, at the caption's first token (which is so never distilled) and end
    with its last one; that is for the caller to cut. Its log(softmax), nan for a gap of 200 between logits,
    is replaced by log_softmax, which is equal wherever the former is finite.
    """
    return temperature**2 * _kl(teacher_logits, student_logits, temperature).mean()


def _kl(teacher_logits: Tensor, student_logits: Tensor, temperature: float) -> Tensor:
    """[..., V], [..., V] -> [...]."""
    precision = torch.promote_types(student_logits.dtype, torch.float32)
    teacher = (teacher_logits.detach().to(precision) / temperature).log_softmax(-1)
    student = (student_logits.to(precision) / temperature).log_softmax(-1)
    return (teacher.exp() * (teacher - student)).sum(-1)
