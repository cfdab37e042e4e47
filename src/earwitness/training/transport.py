"""LAVCap's transport loss of a trace, beside any fusion that takes up pictures."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from earwitness.fusion.ot_attention import matched
from earwitness.losses.ot_alignment import ot_alignment_loss, ot_alignment_loss_released
from earwitness.model import AudioCaptioningModel, Trace


def transport_loss(model: AudioCaptioningModel, trace: Trace, temperature: float) -> Tensor:
    """LAVCap Eq. 4, or the form of its code where the fusion holds that form's parameter.

    Similarity and plan are the fusion's where it transports, else computed from h_a and h_v alone.
    """
    assert trace.h_v is not None  # config/checks.py
    fusion: Any = model.fusion
    similarity, log_plan = trace.match or matched(fusion, trace.h_a, trace.h_v)
    scale = getattr(model.fusion, "logit_scale", None)
    if scale is not None:
        return ot_alignment_loss_released(similarity, log_plan, scale)
    return ot_alignment_loss(similarity, log_plan, temperature)
