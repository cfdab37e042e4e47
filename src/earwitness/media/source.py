"""What a recording is read from: a path, bytes, a file object or an array, and which track of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Source:
    """A source with the audio track to read, or with the name that messages and captions give it.

    media: what load_audio takes. track: the number of an audio track, 1 the first; None: the one that FFmpeg
    ranks first (most channels, then the flag "default"). name: None for the media's own.
    """

    media: Any
    track: int | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if self.track is not None and self.track < 1:
            raise ValueError(f"audio tracks are counted from 1; there is no track {self.track}")


def media_of(source: Any) -> Any:
    """The path, bytes, file object or array of a source."""
    return source.media if isinstance(source, Source) else source


def track_of(source: Any) -> int | None:
    """The number of the audio track that a source names, if it names one."""
    return source.track if isinstance(source, Source) else None


def name_of(source: Any) -> str:
    """What messages and captions call this source."""
    if isinstance(source, Source) and source.name is not None:
        return source.name
    source = media_of(source)
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) and name else "<file object>"
    return "<array>" if is_array(source) else f"<{type(source).__name__}>"


def is_array(source: Any) -> bool:
    """A numpy array, a torch tensor, or a pair (array or an iterator of arrays, sample_rate)."""
    source = media_of(source)
    if isinstance(source, tuple):
        return len(source) == 2 and (is_array(source[0]) or is_live(source))
    return hasattr(source, "__array__") and hasattr(source, "shape")


def is_live(source: Any) -> bool:
    """A pair (iterator of arrays, sample_rate): sound that may still be arriving."""
    source = media_of(source)
    return isinstance(source, tuple) and len(source) == 2 and hasattr(source[0], "__next__")
