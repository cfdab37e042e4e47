"""The sounds of clips: for metrics that need them and for pages that link them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

_ENDINGS = ("", ".wav", ".flac", ".mp3", ".ogg", ".m4a", ".mp4")


class Sound(NamedTuple):
    """A sound file, or the stretch of it from `start` to `end` (None: its end), in seconds."""

    path: str
    start: float = 0.0
    end: float | None = None

    def waveform(self, rate: int) -> NDArray[np.float32]:
        """Samples [S] at `rate`. Raises MediaError."""
        from earwitness.media.reading import load_audio

        return load_audio(self.path, rate, start=self.start, end=self.end).waveform

    def link(self, page: Path) -> str:
        """Address of the sound, relative to the folder of a page; an address stays as it is."""
        if "://" in self.path:
            return self.path
        address = quote(os.path.relpath(self.path, page).replace(os.sep, "/"))
        if not self.start and self.end is None:
            return address
        return f"{address}#t={self.start:g}{'' if self.end is None else f',{self.end:g}'}"


def as_sound(sound: Sound | str | os.PathLike[str]) -> Sound:
    return sound if isinstance(sound, Sound) else Sound(os.fspath(sound))


def find_sound(name: str, folder: Path) -> Sound | None:
    """The sound file of an id in a folder: named like it, with or without an ending."""
    files = (folder / f"{name}{ending}" for ending in _ENDINGS)
    return next((Sound(str(file)) for file in files if file.is_file()), None)
