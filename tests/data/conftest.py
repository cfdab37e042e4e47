"""Short clips for trees that are laid out as the published sets are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    """write_clip(path, seconds=0.1, seed=None): a clip of noise; the same seed gives the same bytes."""

    def write(path: Path, seconds: float = 0.1, seed: int | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(crc32(path.name.encode()) if seed is None else seed)
        sound = 0.1 * rng.standard_normal(round(seconds * 16_000))
        kind = {".flac": "FLAC", ".wav": "WAV", ".ogg": "OGG", ".opus": "OGG", ".mp3": "MP3"}[path.suffix]
        subtype = "OPUS" if path.suffix == ".opus" else None
        soundfile.write(path, sound, 16_000, format=kind, subtype=subtype)
        return path

    return write
