"""Modality gap: distance between the embeddings of clips and of their captions; reported, not trained on."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def modality_gap(audio: Tensor, text: Tensor) -> dict[str, Tensor]:
    """The two columns of LAMB's Table 2, as means over the clips: |a_i - t_i| and cos(a_i, t_i).

    audio, text: [B, D], mean embeddings of clip i and of its caption. The paper does not print its formula;
    the distance between the two centres (Liang et al. 2022) is in `centre_gap`.
    """
    audio, text = audio.float(), text.float()
    return {"l2": (audio - text).norm(dim=-1).mean(), "cosine": F.cosine_similarity(audio, text).mean()}


def centre_gap(audio: Tensor, text: Tensor) -> dict[str, Tensor]:
    """The same of the means of both samples (Liang et al. 2022, "Mind the gap")."""
    return modality_gap(audio.float().mean(0, keepdim=True), text.float().mean(0, keepdim=True))
