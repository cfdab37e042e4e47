"""Overlap of two sets: clips of the same recording, by the names that published sets give them.

AudioCaps and the AudioSet part of WavCaps name a clip by its YouTube id, in several spellings; WavCaps names
a Freesound recording by its number; Clotho names files, with or without their ending.
"""

from __future__ import annotations

import re
from pathlib import Path

from earwitness.data.clips import DataError
from earwitness.data.manifest import Manifest, ManifestError
from earwitness.data.wavcaps import read_ids

_ENDING = re.compile(r"\.(wav|flac|mp3|ogg|opus|m4a|aac|mp4|mkv|webm)$", re.IGNORECASE)
_YOUTUBE = re.compile(r"^Y?(?P<id>[\w-]{11})(?:_\d+(?:[._]\d+)*)?$")  # VIDEO, VIDEO_30, YVIDEO_30000_40000
_FREESOUND = re.compile(r"^freesound[_:-]?(?P<id>\d+)$", re.IGNORECASE)


def clip_keys(name: str) -> frozenset[str]:
    """Return keys of a row's recording from its id; rows that share a key have the same recording."""
    plain = _ENDING.sub("", name.strip())
    keys = {plain}
    if found := _FREESOUND.match(plain):
        keys.add(f"freesound:{found['id']}")
    elif (found := _YOUTUBE.match(plain)) and not plain.isalpha():
        keys.add(f"youtube:{found['id']}")
    return frozenset(keys)


def keys_of_test(path: str) -> frozenset[str]:
    """Return the keys of a test set: a manifest, or ids as `earwitness data wavcaps --forbid` takes them.

    Raises ManifestError, DataError.
    """
    if Path(path).suffix == ".jsonl":
        return frozenset(key for row in Manifest.open(path) for key in clip_keys(row.id))
    if not Path(path).is_file():
        raise ManifestError(f"{path}: there is no such file")
    try:
        kinds = {"FreeSound": "freesound", "AudioSet_SL": "youtube"}
        return frozenset(f"{kinds[source]}:{name}" for source, name in read_ids(Path(path)))
    except DataError as error:
        raise ManifestError(str(error)) from None
