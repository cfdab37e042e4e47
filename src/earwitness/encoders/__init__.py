"""Encoders map waveforms [B, S] (or frames of a video) to tokens: Embeds [B, N, D]."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "CedEncoder",
    "DashengEncoder",
    "FrameEncoder",
    "MobileNetEncoder",
    "load_ced",
    "load_dasheng",
    "load_mobilenet",
]

if TYPE_CHECKING:
    from earwitness.encoders.ced import CedEncoder, load_ced
    from earwitness.encoders.dasheng import DashengEncoder, load_dasheng
    from earwitness.encoders.frames import FrameEncoder
    from earwitness.encoders.mobilenet import MobileNetEncoder, load_mobilenet

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CedEncoder": "ced",
        "load_ced": "ced",
        "DashengEncoder": "dasheng",
        "load_dasheng": "dasheng",
        "FrameEncoder": "frames",
        "MobileNetEncoder": "mobilenet",
        "load_mobilenet": "mobilenet",
    },
)
