"""Index of a manifest's clips, checked before the first step: each exists, is readable and has captions.

Results are kept in the run folder, so that a resumed run starts at once: of each row how long it lasts
and how many captions it has, which is all that sampling needs to know.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from earwitness.atomic_write import atomic_write
from earwitness.config.errors import ConfigError
from earwitness.data.manifest import Manifest, ManifestError, Row
from earwitness.data.overlap import clip_keys
from earwitness.decoding.words import normalise_caption
from earwitness.media.containers import MediaError
from earwitness.media.files import probe
from earwitness.media.reading import SHORTEST

SHOWN = 10  # faults
_CHUNK = 4096  # rows checked together


@dataclass(frozen=True)
class Needs:
    """A stage's requirements of a set. excluded: ids to skip. foreign: keys (data/overlap.py) of
    recordings that must not be in it.

    video: whether a row's video is checked too.
    """

    video: bool = False
    retrieved: bool = False
    excluded: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    foreign_name: str = ""


@dataclass(frozen=True)
class ClipIndex:
    """Of each row: seconds, float32 [N], nan if skipped; its captions, uint16 [N]; a video, bool [N]."""

    seconds: NDArray[np.float32]
    captions: NDArray[np.uint16]
    video: NDArray[np.bool_]

    @property
    def kept(self) -> NDArray[np.int64]:
        """Numbers of the rows that are used."""
        return np.flatnonzero(~np.isnan(self.seconds))


class RowFault(ValueError):
    """The fault of a row."""


def clip_index(path: str, needs: Needs, cache: Path) -> ClipIndex:
    """Check every row of a manifest, or read the results of an earlier check from the folder `cache`.

    Raises ConfigError that names the first faulty rows, what is wrong with each, and what to do.
    """
    try:
        manifest = Manifest.open(path)
    except ManifestError as error:
        raise ConfigError(f"{error}; `earwitness data ...` writes one") from None
    with Path(path).open("rb") as file:
        mark = hashlib.file_digest(file, "sha256")
    mark.update(repr((needs.video, needs.retrieved, sorted(needs.excluded), sorted(needs.foreign))).encode())
    kept = cache / f"{Path(path).stem}-{mark.hexdigest()[:16]}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as found:
            return ClipIndex(found["seconds"], found["captions"], found["video"])
    index = _look_at_all(manifest, path, needs)
    with atomic_write(kept) as file:
        np.savez(file, **vars(index))
    return index


def read_ids(path: str | None) -> frozenset[str]:
    """Ids of a text file, one a line; none for None."""
    if path is None:
        return frozenset()
    if not Path(path).is_file():
        raise ConfigError(f"exclude: there is no file {path}")
    lines = Path(path).read_text("utf-8-sig").splitlines()
    return frozenset(line.strip() for line in lines if line.strip())


def _look_at_all(manifest: Manifest, path: str, needs: Needs) -> ClipIndex:
    count = len(manifest)
    seconds, captions = np.full(count, np.nan, np.float32), np.zeros(count, np.uint16)
    video = np.zeros(count, np.bool_)
    faults: list[str] = []
    wrong = 0
    look = partial(_look, manifest, needs)
    with ThreadPoolExecutor(8) as pool, tqdm(total=count, desc=f"looking at {path}", unit="clip") as bar:
        for start in range(0, count, _CHUNK):
            rows = range(start, min(start + _CHUNK, count))
            for i, found in zip(rows, pool.map(look, rows)):
                bar.update()
                if isinstance(found, str):
                    wrong += 1
                    faults += [f"  row {i + 1}: {found}"] if len(faults) < SHOWN else []
                else:
                    seconds[i], captions[i], video[i] = found
    if wrong:
        more = f"\n  and {wrong - SHOWN} more" if wrong > SHOWN else ""
        raise ConfigError(
            f"{path}: {wrong} of {count} rows cannot be used:\n" + "\n".join(faults) + more + "\n"
            "Remove or correct these rows; `earwitness data ...` writes a manifest without such clips"
        )
    if not (~np.isnan(seconds)).any():
        raise ConfigError(f"{path} has no row that may be used (of {count})")
    return ClipIndex(seconds, captions, video)


def _look(manifest: Manifest, needs: Needs, i: int) -> tuple[float, int, bool] | str:
    """Return (seconds, captions, whether there is a video) of a row, or its fault."""
    try:
        row = manifest[i]
        if row.id in needs.excluded:
            return float("nan"), 0, False
        if not needs.foreign.isdisjoint(clip_keys(row.id)):
            return f"{row.id} is in {needs.foreign_name} too: a split must not be trained and tested on"
        if not (captions := captions_of(row)):
            return f"{row.id} has no caption"
        if needs.retrieved and row.retrieved is None:
            return f"{row.id} has no column `retrieved`: write it with `earwitness retrieve`"
        if needs.video and row.video is not None:
            _check_video(row.id, Path(row.video))
        return duration(row), len(captions), row.video is not None
    except (ValueError, MediaError) as error:
        return " ".join(str(error).split())


def _check_video(name: str, video: Path) -> None:
    """Raises MediaError, RowFault for what cannot be watched: moving pictures, or their features [N, D]."""
    if not video.is_file():
        raise RowFault(f"{name}: there is no file {video}")
    if video.suffix != ".npy":
        if not probe(video).has_video:
            raise RowFault(f"{name}: {video} has no video")
        return
    try:
        shape = np.load(video, mmap_mode="r", allow_pickle=False).shape
    except (ValueError, EOFError) as error:
        raise RowFault(f"{name}: {video} is no array of NumPy: {error}") from None
    if len(shape) != 2 or 0 in shape:
        raise RowFault(f"{name}: {video} must hold a row of features a frame, [N, D], not {list(shape)}")


def captions_of(row: Row) -> list[str]:
    """Return the captions of a row that are not empty."""
    return [caption for caption in row.captions if normalise_caption(caption)]


def duration(row: Row, sound: bytes | None = None) -> float:
    """Seconds of a row's clip, by its bounds and the header of its file, or of `sound`, the file's bytes.

    Raises MediaError, RowFault.
    """
    if sound is None and not Path(row.audio).is_file():
        raise RowFault(f"{row.id}: there is no file {row.audio}")
    info = probe(row.audio if sound is None else sound)
    if not info.has_audio:
        raise RowFault(f"{row.id}: {row.audio} holds no sound")
    whole = info.duration
    end = row.end if row.end is not None else whole
    if end is None:
        raise RowFault(f"{row.id}: {row.audio} states no duration; give the row an `end`")
    if whole is not None and row.start > whole:
        raise RowFault(f"{row.id}: starts at {row.start:g} s, {row.audio} lasts {whole:g} s")
    seconds = min(end, whole or end) - row.start
    if seconds < SHORTEST:
        raise RowFault(f"{row.id}: lasts {seconds:g} s; {SHORTEST:g} s are the least")
    return seconds
