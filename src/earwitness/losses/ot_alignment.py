"""Optimal-transport alignment of audio and visual tokens (LAVCap, Eq. 4).

The assignment of a token (a row of the plan Q) should resemble its own similarities (the same row of S) more
than those of the other tokens of its clip.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def ot_alignment_loss(similarity: Tensor, log_plan: Tensor, temperature: float | Tensor = 0.07) -> Tensor:
    """Sum of the audio and the visual side of Eq. 4:

        L_m = - sum_i log softmax_j( <q_i, s_j> / tau )[i]

    with q_i, s_j the rows of Q and S (m = a) or their columns (m = v).

    similarity: S [B, N_a, N_v]. log_plan: log Q [B, N_a, N_v], detached here, -inf where a token is padding;
    padding counts neither as i nor as j. Sum over a clip's tokens, mean over the clips that have any; fp32 at
    least. tau 0.07 is where the learnable scale of the released code starts.
    """
    if similarity.ndim != 3 or similarity.shape != log_plan.shape:
        raise ValueError(
            f"similarity and log_plan must both be [B, N_a, N_v], not {tuple(similarity.shape)} and "
            f"{tuple(log_plan.shape)}"
        )
    with torch.autocast(similarity.device.type, enabled=False):
        similarity = similarity.to(torch.promote_types(similarity.dtype, torch.float32))
        real = log_plan > float("-inf")  # [B, N_a, N_v]
        plan = log_plan.detach().to(similarity.dtype).exp()
        similarity = similarity.masked_fill(~real, 0.0)
        audio = _self_matching(plan @ similarity.mT / temperature, real.any(2))
        visual = _self_matching(plan.mT @ similarity / temperature, real.any(1))
        return (audio + visual).sum() / real.any(2).any(1).sum().clamp(min=1)


def _self_matching(logits: Tensor, mask: Tensor) -> Tensor:
    """-sum_i log softmax_j(logits[i, j])[i] over real i and j: [B, N, N], [B, N] -> [B]."""
    # The lowest number instead of -inf: a row of padding alone then has a finite value, and is dropped.
    logits = logits.masked_fill(~mask[:, None, :], torch.finfo(logits.dtype).min)
    own = logits.log_softmax(2).diagonal(dim1=1, dim2=2)
    return -own.masked_fill(~mask, 0.0).sum(1)


def ot_alignment_loss_released(similarity: Tensor, log_plan: Tensor, logit_scale: Tensor) -> Tensor:
    """The objective LAVCap's code minimises with its shipped settings, for its checkpoints and its numbers.

    It is not Eq. 4: log Q replaces Q; the scale (a parameter, initially ln(1 / 0.07) = 2.66, limited to
    [0, 4.6052]) is never exponentiated; the softmax runs over i, the rows of log Q, for each s_j; tokens are
    averaged, not summed; padding is unknown. Shapes as in `ot_alignment_loss`; the similarities are cosines.
    """
    if not log_plan.isfinite().all():
        raise ValueError("the released loss knows no padding; give it clips of one length")
    with torch.autocast(similarity.device.type, enabled=False):
        similarity = similarity.to(torch.promote_types(similarity.dtype, torch.float32))
        log_plan = log_plan.detach().to(similarity.dtype)
        scale = logit_scale.to(similarity.dtype).clamp(0, 4.6052)
        sides = (log_plan @ similarity.mT, log_plan.mT @ similarity)  # [B, N_a, N_a], [B, N_v, N_v]
        targets = [torch.arange(s.shape[1], device=s.device).expand(len(s), -1) for s in sides]
        losses = [F.cross_entropy(scale * s, t) for s, t in zip(sides, targets)]  # classes along dim 1
        return losses[0] + losses[1]
