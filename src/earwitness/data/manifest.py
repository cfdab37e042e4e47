"""Manifests: JSON lines, one row per clip, opened quickly at any size.

    rows = Manifest.open("audiocaps/train.jsonl")
    rows[1_234_567].captions

The offset of each line is stored beside the manifest, in NAME.index (8 bytes a row), and mapped into memory:
a manifest opens at once when it was opened before, and only requested rows are read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from earwitness.atomic_write import atomic_write

BLOCK = 1 << 24  # bytes read at once while lines are looked for
SHOWN = 100  # characters of a faulty value that a message quotes


class ManifestError(ValueError):
    """A manifest that cannot be used: the message names the file, the line and the fix."""


@dataclass(frozen=True, slots=True)
class Row:
    """A clip: `audio` from `start` to `end` (None: its end), in seconds.

    audio, video: absolute paths when read by a Manifest. captions: may be empty. labels: tags of the audio.
    retrieved: captions of similar clips; None where no retrieval was done.
    """

    id: str
    audio: str
    captions: tuple[str, ...] = ()
    video: str | None = None
    start: float = 0.0
    end: float | None = None
    labels: tuple[str, ...] = ()
    retrieved: tuple[str, ...] | None = None

    @classmethod
    def from_json(cls, data: Any) -> Row:
        """Parse a row; unknown columns are ignored unless they resemble a known name.

        Raises ValueError that names the column.
        """
        if not isinstance(data, dict):
            raise ValueError("is no JSON object")
        unknown = [name for name in data if name not in _READ]
        if misspelt := [name for name in unknown if get_close_matches(name, _READ, 1, cutoff=0.8)]:
            raise ValueError(f"has unknown columns {sorted(misspelt)}; there are {', '.join(_READ)}")
        if lacking := {"id", "audio", "captions"} - data.keys():
            raise ValueError(f"lacks {', '.join(sorted(lacking))}")
        row = cls(**{name: _READ[name](name, value) for name, value in data.items() if name in _READ})
        if row.end is not None and row.end <= row.start:
            raise ValueError(f"ends at {row.end:g} s, before its start at {row.start:g} s")
        return row

    def to_json(self) -> dict[str, Any]:
        """Return id, audio, captions, and the other columns that are set."""
        more = {
            "video": self.video,
            "start": self.start or None,
            "end": self.end,
            "labels": list(self.labels) or None,
            "retrieved": None if self.retrieved is None else list(self.retrieved),
        }
        always = {"id": self.id, "audio": self.audio, "captions": list(self.captions)}
        return always | {name: value for name, value in more.items() if value is not None}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} must be text, not {_quoted(value)}")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise ValueError(f"{name} must be a list of texts, not {_quoted(value)}")
    return tuple(value)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} must be 0 or more seconds, not {_quoted(value)}")
    return float(value)


def _quoted(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _or_none(read: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else read(name, value)


_READ: dict[str, Callable[[str, Any], Any]] = {  # column -> how it is read
    "id": _text,
    "audio": _text,
    "captions": _texts,
    "video": _or_none(_text),
    "start": _seconds,
    "end": _or_none(_seconds),
    "labels": _texts,
    "retrieved": _or_none(_texts),
}


class Manifest(Sequence[Row]):
    """The rows of a JSONL file; a row is read and checked on access.

    Safe to share between threads and to send to other processes.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64]):
        self.path, self.offsets = path, offsets

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Manifest:
        """Open a manifest. Raises ManifestError if there is no such file."""
        path = Path(path).absolute()
        if not path.is_file():
            raise ManifestError(f"{path}: there is no such manifest")
        return cls(path, line_offsets(path))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, i: int) -> Row: ...
    @overload
    def __getitem__(self, i: slice) -> list[Row]: ...
    def __getitem__(self, i: int | slice) -> Row | list[Row]:
        """Return a row or a slice. Raises ManifestError, with the line's number, for a faulty row."""
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        i = range(len(self))[i]  # negative ones count from the end; IndexError
        first, last = self.offsets[i : i + 2].tolist()
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != self.offsets[-1]:
                raise ManifestError(f"{self.path}: was changed after it was opened; start again")
            file.seek(first)
            return self._row(i, file.read(last - first))

    def __iter__(self) -> Iterator[Row]:
        with self.path.open("rb") as file:
            for i, line in enumerate(file):
                yield self._row(i, line)

    def __reduce__(self) -> tuple[Any, ...]:  # the offsets are mapped again, not sent
        return Manifest.open, (self.path,)

    def _row(self, i: int, line: bytes) -> Row:
        try:
            row = Row.from_json(json.loads(line.decode("utf-8-sig" if i == 0 else "utf-8")))
        except UnicodeDecodeError:
            raise ManifestError(f"{self.path}, line {i + 1}: is not UTF-8 text") from None
        except json.JSONDecodeError as error:
            raise ManifestError(f"{self.path}, line {i + 1}: is no JSON: {error}") from None
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{self.path}, line {i + 1}: {error}") from None
        return located(row, self.path.parent)


def located(row: Row, folder: Path) -> Row:
    """Return the row with its paths, relative to `folder`, made absolute."""
    video = None if row.video is None else os.path.join(folder, row.video)
    return replace(row, audio=os.path.join(folder, row.audio), video=video)


def write_manifest(path: str | os.PathLike[str], rows: Iterable[Row]) -> int:
    """Write rows with absolute paths as a manifest, atomically; return their number.

    Paths are written relative to the manifest, so that it can be moved together with its files.
    """
    path = Path(path).absolute()
    folder, count = os.path.realpath(path.parent), 0
    with atomic_write(path) as file:
        for row in rows:
            video = None if row.video is None else _relative(row.video, folder)
            row = replace(row, audio=_relative(row.audio, folder), video=video)
            text = json.dumps(row.to_json(), ensure_ascii=False) + "\n"
            file.write(text.encode("utf-8", "backslashreplace"))  # file names that are no text: \udcff
            count += 1
    return count


def _relative(path: str, folder: str) -> str:
    """Make a path relative to the real path of `folder`: ".." of a linked folder would lead elsewhere."""
    return os.path.relpath(os.path.join(_real(os.path.dirname(path)), os.path.basename(path)), folder)


_real = lru_cache(maxsize=4096)(os.path.realpath)


def line_offsets(path: Path) -> NDArray[np.int64]:
    """Return the byte offsets of a file's lines and its end: int64 [lines + 1].

    They are stored in PATH.index, after the time of the file's last change, and rebuilt when that or the size
    differs; in memory if the index cannot be written.
    """
    kept, now = path.with_name(path.name + ".index"), path.stat()
    with suppress(OSError, ValueError, EOFError):  # none yet, or none of ours
        found = np.load(kept, mmap_mode="r", allow_pickle=False)
        fits = found.dtype == np.int64 and found.ndim == 1 and len(found) >= 2
        if fits and (found[0], found[-1]) == (now.st_mtime_ns, now.st_size):
            return found[1:]
    offsets = np.concatenate([[now.st_mtime_ns, 0], *_line_ends(path, now.st_size)], dtype=np.int64)
    with suppress(OSError), atomic_write(kept) as file:
        np.save(file, offsets, allow_pickle=False)
    return offsets[1:]


def _line_ends(path: Path, size: int) -> Iterator[NDArray[np.int64]]:
    """The byte after each line, block by block."""
    done = last = 0
    with path.open("rb") as file, tqdm(total=size, unit="B", unit_scale=True, delay=2, desc=str(path)) as bar:
        while block := file.read(BLOCK):
            ends = done + 1 + np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
            done, last = done + len(block), int(ends[-1]) if len(ends) else last
            bar.update(len(block))
            yield ends
    if last < done:  # the last line ends with the file
        yield np.array([done])
