"""Subtitle files of captions, sound cues, and cues merged into the subtitles of a dialogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "CueLimits",
    "SoundEvent",
    "merge_cues",
    "sound_events",
    "to_json",
    "to_labels",
    "to_srt",
    "to_vtt",
    "write_subtitles",
]

if TYPE_CHECKING:
    from earwitness.subtitles.formats import to_json, to_labels, to_srt, to_vtt, write_subtitles
    from earwitness.subtitles.merging import merge_cues
    from earwitness.subtitles.sound_cues import CueLimits, SoundEvent, sound_events

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CueLimits": "sound_cues",
        "SoundEvent": "sound_cues",
        "merge_cues": "merging",
        "sound_events": "sound_cues",
        "to_json": "formats",
        "to_labels": "formats",
        "to_srt": "formats",
        "to_vtt": "formats",
        "write_subtitles": "formats",
    },
)
