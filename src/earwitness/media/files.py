"""Which files are media, and what their headers say."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.media.arrays import array_and_rate
from earwitness.media.containers import MediaError, declared_duration, open_container, pictures
from earwitness.media.source import is_array, is_live, track_of
from earwitness.sample_rate import SAMPLE_RATE

# fmt: off
AUDIO_SUFFIXES = frozenset({
    ".wav", ".wave", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac", ".ogg", ".oga",
    ".opus", ".spx", ".mp3", ".mp2", ".mpga", ".m4a", ".m4b", ".aac", ".adts", ".ac3", ".eac3", ".amr",
    ".ape", ".wv", ".tta", ".dsf", ".dts", ".wma", ".mka", ".weba", ".voc", ".sox",
})
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".vob",
    ".flv", ".f4v", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".rm", ".rmvb", ".mxf", ".dv",
})
# fmt: on


@dataclass(frozen=True)
class MediaInfo:
    """What the header says, nothing decoded."""

    duration: float | None  # s, None if the header has none
    channels: int  # 0 without sound
    sample_rate: int  # Hz, 0 without sound
    has_audio: bool
    has_video: bool  # moving pictures: cover art does not count
    container: str  # FFmpeg's name of the format, or "array"


def probe(source: Any) -> MediaInfo:
    """What the header of `source` (as in load_audio) says. MediaError if it is not media."""
    if is_live(source):
        return MediaInfo(None, 1, int(source[1]), True, False, "array")
    if is_array(source):
        array, rate = array_and_rate(source, SAMPLE_RATE)
        return MediaInfo(array.shape[1] / rate, len(array), rate, True, False, "array")
    with open_container(source) as container:
        moving, tracks, number = pictures(container), container.streams.audio, track_of(source)
        sound = container.streams.best("audio") if tracks else None
        if sound is not None and number is not None:
            sound = tracks[number - 1] if number <= len(tracks) else None
        context = None if sound is None else sound.codec_context
        return MediaInfo(
            duration=declared_duration(container, sound or (moving[0] if moving else None)),
            channels=0 if context is None else context.channels,
            sample_rate=0 if context is None else context.sample_rate or 0,
            has_audio=sound is not None,
            has_video=bool(moving),
            container=container.format.name,
        )


def is_media_path(path: str | os.PathLike) -> bool:
    """Whether the name ends like a sound or video file."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES


def find_media(paths: str | os.PathLike | Iterable[str | os.PathLike], recursive: bool = False) -> list[Path]:
    """Files to caption, each once: files named are kept as they are, folders give their media files, sorted.

    Hidden files are skipped; with `recursive` so are hidden subfolders, and links to folders are not
    followed. Raises MediaError for a path that does not exist.
    """
    found: dict[Path, None] = {}
    for path in map(Path, [paths] if isinstance(paths, str | os.PathLike) else paths):
        if not path.exists():
            raise MediaError(str(path), "no such file or folder")
        found.update(dict.fromkeys(_in_folder(path, recursive) if path.is_dir() else [path]))
    return list(found)


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    found = []
    for root, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        found += [Path(root, name) for name in names if not name.startswith(".") and is_media_path(name)]
    return sorted(found)
