"""Shared by the readers of published sets: folders of clips, tables of captions, results."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from earwitness.data.manifest import Row
from earwitness.media.files import AUDIO_SUFFIXES, is_media_path


class DataError(ValueError):
    """A set with an unexpected layout; the message states what is missing and the fix."""


@dataclass
class Found:
    """Results of a reader: rows by split, names of missing clips, skipped rows by reason.

    uncaptioned: names of clips without a caption, by split. notes: messages on the rest.
    """

    splits: dict[str, list[Row]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    uncaptioned: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def lists(self, split: str) -> tuple[list[Row], list[str]]:
        """Return the rows and missing names of a split, for additions."""
        return self.splits.setdefault(split, []), self.missing.setdefault(split, [])


@dataclass(frozen=True)
class Clip:
    """The files of one clip. audio: its sound, or the video that carries it."""

    audio: str
    video: str | None


class ClipFolder:
    """Audio and video files in a folder and its subfolders, found by name without ending.

    Names are compared in Unicode's composed form: file systems differ in how they write an accent.
    """

    def __init__(self, root: Path, files: Iterable[Path]):
        self.root, self.files = root, sorted(files)
        self._by_name: dict[str, list[Path]] = {}
        for file in self.files:
            self._by_name.setdefault(_composed(file.stem), []).append(file)

    @classmethod
    def open(cls, folder: Path) -> ClipFolder:
        """List a folder; links to folders are not followed. Raises DataError if there is no such folder."""
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder}")
        root = folder.absolute()
        tree = tqdm(os.walk(root), desc=f"Looking into {folder}", unit=" folders", delay=2)
        named = (Path(place, name) for place, _, names in tree for name in names if not name.startswith("."))
        return cls(root, filter(is_media_path, named))

    def below(self, *words: str) -> list[Path]:
        """Return the files below a folder that has one of these words in its name."""
        return [f for f in self.files if set(words) & set(_words(str(f.parent.relative_to(self.root))))]

    def by_split(self, words: Mapping[str, Sequence[str]]) -> dict[str, ClipFolder]:
        """Return each split with the files below its folders; files below none may belong to any split.

        words: of the folders' names. A clip of the same name in another split's folder is another clip.
        """
        own = {split: self.below(*names) for split, names in words.items()}
        placed = {file for files in own.values() for file in files}
        others = [file for file in self.files if file not in placed]
        return {split: ClipFolder(self.root, files + others) for split, files in own.items()}

    def find(self, *names: str) -> Clip | None:
        """Return the clip of the first of these names, without endings, that exists."""
        for name in names:
            if files := self._by_name.get(_composed(name)):
                sounds = [file for file in files if file.suffix.lower() in AUDIO_SUFFIXES]
                videos = [str(file) for file in files if file not in sounds]
                return Clip(str(sounds[0]) if sounds else videos[0], videos[0] if videos else None)
        return None


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _words(path: str) -> list[str]:
    return re.split(r"[^a-z0-9]+", path.lower())


def read_text(file: Path) -> str:
    """Read a file in UTF-8, UTF-16 with byte order mark (Excel's "Unicode text"), or else Latin-1.

    Raises DataError.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    try:
        marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_table(file: Path, needed: Sequence[str], delimiter: str = ",") -> list[dict[str, str]]:
    """Read the rows of a CSV file with a header; missing cells are empty. Raises DataError."""
    reader = csv.DictReader(io.StringIO(read_text(file), newline=""), delimiter=delimiter, restval="")
    try:
        columns = reader.fieldnames or []
        if lacking := [name for name in needed if name not in columns]:
            raise DataError(f"{file} has no column {', '.join(lacking)}, only {', '.join(columns) or 'none'}")
        return list(reader)
    except csv.Error as error:
        raise DataError(f"{file}, after line {reader.line_num}: {error}") from None


def find_file(folder: Path, name: str) -> Path | None:
    """Return the file of that name in a folder or one folder below. Raises DataError if there are several."""
    found = [file for file in [folder / name, *sorted(folder.glob(f"*/{name}"))] if file.is_file()]
    if len(found) > 1:
        raise DataError(f"there are {' and '.join(map(str, found))}: name the folder of one of them")
    return found[0] if found else None
