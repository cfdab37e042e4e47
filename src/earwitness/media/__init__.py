"""Sound and pictures out of media files: waveforms, windows, sampled frames, headers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "SAMPLE_RATE",
    "Audio",
    "MediaError",
    "MediaInfo",
    "Source",
    "Window",
    "find_media",
    "is_media_path",
    "load_audio",
    "probe",
    "resample",
    "sample_frames",
    "windows",
]

if TYPE_CHECKING:
    from earwitness.media.containers import MediaError
    from earwitness.media.files import MediaInfo, find_media, is_media_path, probe
    from earwitness.media.reading import Audio, Window, load_audio, windows
    from earwitness.media.resampling import resample
    from earwitness.media.source import Source
    from earwitness.media.video import sample_frames
    from earwitness.sample_rate import SAMPLE_RATE

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Audio": "reading",
        "MediaError": "containers",
        "MediaInfo": "files",
        "SAMPLE_RATE": "reading",
        "Source": "source",
        "Window": "reading",
        "find_media": "files",
        "is_media_path": "files",
        "load_audio": "reading",
        "probe": "files",
        "resample": "resampling",
        "sample_frames": "video",
        "windows": "reading",
    },
)
