"""DistillCaps: the branch that sees retrieved captions teaches the one that does not (Eq. 6-11).

Both branches share all weights and the audio embeddings; the model runs them as one padded batch
(`AudioCaptioningModel.forward` with captions). L = L_auto + L_rag + L_DDA: the names here are caption,
retrieval_caption and distillation.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from earwitness.losses.distillation import distillation_kl, distillation_kl_released
from earwitness.model import Trace


def distillation(trace: Trace, mask: Tensor, temperature: float = 1.0) -> Tensor:
    """L_DDA = KL(teacher || student) over the real caption tokens, teacher detached.

    The paper's temperature is 1.
    """
    return distillation_kl(_teacher(trace), trace.logits, mask, temperature)


def distillation_released(trace: Trace, temperature: float = 1.0) -> Tensor:
    """What the released code computes: one position late, padding included.

    Needs the logits after the last token of the caption too, which `one_more` provides for.
    """
    return distillation_kl_released(_teacher(trace)[:, 1:], trace.logits[:, 1:], temperature)


def one_more(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Captions with one more column of padding, so that there are logits after their last token."""
    return F.pad(ids, (0, 1)), F.pad(mask, (0, 1))


def _teacher(trace: Trace) -> Tensor:
    if trace.teacher_logits is None:
        raise ValueError("losses.distillation and retrieval_caption need batches with retrieved captions")
    return trace.teacher_logits
