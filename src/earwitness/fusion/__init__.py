"""Fusions map audio and visual tokens, [B, N_a, D] and [B, N_v, D_v], to one sequence [B, N, D]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "AudioOnly",
    "Concat",
    "CrossAttention",
    "JointEncoder",
    "Match",
    "OtAttention",
    "QFormerFusion",
    "VisualOnly",
]

if TYPE_CHECKING:
    from earwitness.fusion.concat import AudioOnly, Concat, VisualOnly
    from earwitness.fusion.cross_attention import CrossAttention
    from earwitness.fusion.joint import JointEncoder
    from earwitness.fusion.ot_attention import Match, OtAttention
    from earwitness.fusion.qformer import QFormerFusion

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AudioOnly": "concat",
        "Concat": "concat",
        "CrossAttention": "cross_attention",
        "JointEncoder": "joint",
        "Match": "ot_attention",
        "OtAttention": "ot_attention",
        "QFormerFusion": "qformer",
        "VisualOnly": "concat",
    },
)
