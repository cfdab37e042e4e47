"""METEOR's word data, compact: paraphrases and synonyms from the files that pycocoevalcap carries.

The index (some 70 MB, memory-mapped) is built once into the user's cache. It is written into a folder of its
own and then renamed: a killed build leaves nothing that looks complete, and two builds at once do not meet.
"""

from __future__ import annotations

import getpass
import gzip
import importlib.util
import os
import shutil
import sys
import tempfile
import time
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LONGEST_PHRASE = 7  # words; no phrase of the table is longer
_LAYOUT = "meteor-1.5-en-v1"  # change it with the files below
_KEY = "S14"  # seven word numbers of two bytes, big-endian, so that bytes sort as phrases do


class MissingData(RuntimeError):
    """Something that a metric needs is not installed; the message says what to do."""


@dataclass(frozen=True)
class MeteorData:
    """Paraphrase table, synonym sets and function words."""

    words: dict[str, int]  # word -> number in paraphrase keys, from 1
    phrases: NDArray[np.bytes_]  # sorted keys of all phrases: [P]
    starts: NDArray[np.int32]  # the paraphrases of phrase p are targets[starts[p]:starts[p + 1]]
    targets: NDArray[np.int32]  # phrase numbers, in the order of the source file
    synsets: dict[str, str]  # word -> its synset numbers, separated by blanks
    bases: dict[str, str]  # irregular form -> its base words, separated by blanks
    function_words: frozenset[str]
    prefixes: frozenset[str]  # abbreviations that keep their dot


def cache_folder() -> Path:
    """Where indexes are kept: $EARWITNESS_CACHE, else the platform's cache folder."""
    if chosen := os.environ.get("EARWITNESS_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "earwitness"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "earwitness"


def package_folder() -> Path:
    """The folder of pycocoevalcap, found without importing it.

    Raises:
        MissingData: it is not installed.
    """
    found = importlib.util.find_spec("pycocoevalcap")
    if found is None or not found.submodule_search_locations:
        raise MissingData(
            "METEOR's word data come with the package pycocoevalcap: pip install 'earwitness[metrics]'"
        )
    return Path(next(iter(found.submodule_search_locations)))


@lru_cache(maxsize=1)
def load() -> MeteorData:
    """The index, built first if the cache has none.

    Raises:
        MissingData: pycocoevalcap or one of its files is missing.
    """
    folder = _index()
    return MeteorData(
        words={word: number for number, word in enumerate(_lines(folder / "words.txt"), 1)},
        phrases=np.load(folder / "phrases.npy", mmap_mode="r"),
        starts=np.load(folder / "starts.npy", mmap_mode="r"),
        targets=np.load(folder / "targets.npy", mmap_mode="r"),
        synsets=_pairs(folder / "synsets.txt"),
        bases=_pairs(folder / "bases.txt"),
        function_words=frozenset(_lines(folder / "function_words.txt")),
        prefixes=frozenset(_lines(folder / "prefixes.txt")),
    )


def _index() -> Path:
    """The folder of the index, built if need be; in a temporary folder where the cache cannot be written."""
    folder = cache_folder() / _LAYOUT
    if folder.is_dir():
        return folder
    try:
        build(folder)
    except OSError as error:
        folder = temporary_cache() / _LAYOUT
        warnings.warn(
            f"{cache_folder()} cannot be written ({error}): METEOR's index goes to {folder}; name another "
            "folder in EARWITNESS_CACHE",
            stacklevel=2,
        )
        if not folder.is_dir():
            build(folder)
    return folder


def temporary_cache() -> Path:
    """A cache of this user's among the temporary files."""
    return Path(tempfile.gettempdir()) / f"earwitness-{getpass.getuser()}"


def build(folder: Path) -> None:
    """Build the index into `folder`. Raises OSError where it cannot be written."""
    source = package_folder() / "meteor"
    table, jar = source / "data" / "paraphrase-en.gz", source / "meteor-1.5.jar"
    for path in (table, jar):
        if not path.is_file():
            raise MissingData(
                f"METEOR's word data are incomplete: {path} is missing; reinstall pycocoevalcap"
            )
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder)
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.part-", dir=folder.parent))
    try:
        _write_words(jar, temporary)
        _write_paraphrases(table, temporary)
        try:
            temporary.rename(folder)
        except OSError:  # another process was first: its index is as good
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """Delete what builds that were killed left behind, once they are an hour old."""
    for path in folder.parent.glob(f"{folder.name}.part-*"):
        if time.time() - path.stat().st_mtime > 3600:
            shutil.rmtree(path, ignore_errors=True)


def _write_words(jar: Path, folder: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        read = lambda name: archive.read(name).decode("utf-8").splitlines()  # noqa: E731
        synsets = read("synonym/english.synsets")
        exceptions = read("synonym/english.exceptions")
        function_words = read("function/english.words")
        prefixes = read("nonbreaking/english.prefixes")
    (folder / "synsets.txt").write_text("\n".join(synsets) + "\n", encoding="utf-8")
    bases: dict[str, list[str]] = {}
    for base, forms in zip(exceptions[::2], exceptions[1::2], strict=True):
        for form in forms.split():
            bases.setdefault(form, []).append(base)
    lines = [line for form, found in bases.items() for line in (form, " ".join(found))]
    (folder / "bases.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = [word.strip() for word in function_words if word.strip()]
    (folder / "function_words.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    kept = [line.strip() for line in prefixes if line.strip() and not line.startswith("#")]
    (folder / "prefixes.txt").write_text("\n".join(kept) + "\n", encoding="utf-8")


def _write_paraphrases(table: Path, folder: Path) -> None:
    numbers: dict[bytes, int] = defaultdict(count().__next__)  # phrase -> its place among those met
    found = [_numbered(lines, numbers) for lines in _blocks(table)]
    keys, words = _keys(list(numbers))
    numbers.clear()
    order = np.argsort(keys, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    ids = place[np.concatenate(found)]
    sources, targets = ids[0::2], ids[1::2]
    by_source = np.argsort(sources, kind="stable")
    counts = np.bincount(sources, minlength=len(order))
    np.save(folder / "phrases.npy", keys[order])
    np.save(folder / "starts.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    np.save(folder / "targets.npy", targets[by_source])
    (folder / "words.txt").write_bytes(b"".join(word + b"\n" for word in words))


def _keys(phrases: list[bytes]) -> tuple[NDArray[np.bytes_], list[bytes]]:
    """The keys of phrases, and the words in the order of their numbers, which is the alphabet's."""
    words: dict[bytes, int] = defaultdict(count().__next__)
    ids = _numbered(b" ".join(phrases).split(b" "), words)
    vocabulary = sorted(words)
    rank = np.empty(len(words), np.uint16)
    rank[[words[word] for word in vocabulary]] = np.arange(1, len(words) + 1)
    lengths = np.array([phrase.count(b" ") + 1 for phrase in phrases])
    first = np.cumsum(lengths) - lengths
    keys = np.zeros((len(phrases), LONGEST_PHRASE), dtype=">u2")
    rows, columns = (
        np.repeat(np.arange(len(phrases)), lengths),
        np.arange(len(ids)) - np.repeat(first, lengths),
    )
    keys[rows, columns] = rank[ids]
    return keys.view(_KEY).ravel(), vocabulary


def _numbered(texts: Sequence[bytes], numbers: dict[bytes, int]) -> NDArray[np.int32]:
    return np.fromiter(map(numbers.__getitem__, texts), np.int32, len(texts))


def _blocks(table: Path, size: int = 1 << 24) -> Iterator[list[bytes]]:
    """Phrase lines (source, target, source, ...) of the table, some hundred thousand at a time; shows
    progress."""
    from tqdm import tqdm

    shown = {"desc": "METEOR index (built once)", "unit": "B", "unit_scale": True}
    with (
        table.open("rb") as raw,
        gzip.open(raw) as unpacked,
        tqdm(total=table.stat().st_size, **shown) as bar,
    ):
        rest: list[bytes] = []
        while block := unpacked.read(size):
            lines = block.split(b"\n")
            if rest:
                lines[0] = rest.pop() + lines[0]
            whole = (len(rest) + len(lines) - 1) // 3 * 3  # the last line may continue in the next block
            lines = rest + lines
            rest = lines[whole:]
            del lines[whole:]
            del lines[::3]  # the probabilities are not used
            yield lines
            bar.update(raw.tell() - bar.n)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def _pairs(path: Path) -> dict[str, str]:
    lines = _lines(path)
    return dict(zip(lines[::2], lines[1::2], strict=True))
