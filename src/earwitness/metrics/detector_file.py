"""The file of FENSE's error detector: at a path, where its authors' tools keep it, or at its source."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from earwitness.atomic_write import atomic_path
from earwitness.metrics.meteor.data import cache_folder

TIMEOUT = 60  # s without an answer


class Published(NamedTuple):
    """A file as its authors publish it."""

    url: str
    sha256: str


DETECTORS = {
    "echecker_clotho_audiocaps_base.ckpt": Published(
        "https://github.com/blmoistawinde/fense/releases/download/V0.1/echecker_clotho_audiocaps_base.ckpt",
        "1a719f090af70614bbdb9f9437530b7e133c48cfa4a58d964de0d47fc974a2fa",
    ),
}


def find_detector(name: str) -> Path:
    """The checkpoint of a name, a path, or a folder; a published one is fetched into the cache if need be.

    Raises:
        OSError: there is no such file, or it can neither be found nor fetched; names the source.
        ValueError: the file found or fetched is not the published one.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        if found := sorted(path.glob("*.ckpt")):
            return found[0]
        raise FileNotFoundError(f"{path} holds no .ckpt file")
    file = path.name if path.suffix == ".ckpt" else f"{path.name}.ckpt"
    if path.parent != Path() or file not in DETECTORS:
        raise FileNotFoundError(f"there is no file {name}; published is {', '.join(DETECTORS)}")
    for folder in _folders():
        if (folder / file).is_file():
            return _checked(folder / file, DETECTORS[file])
    return _fetched(file, DETECTORS[file])


def _folders() -> Iterator[Path]:
    """Where FENSE's own program keeps it, where aac-metrics does, and our cache."""
    yield Path(os.environ.get("FENSE_DATA", "~/.fense_data")).expanduser()
    torch_home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
    yield Path(torch_home).expanduser() / "hub" / "fense_data"
    yield cache_folder()


def _checked(path: Path, published: Published) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != published.sha256:
        raise ValueError(f"{path} is damaged: its sha256 is not that of {published.url}; delete it")
    return path


def _fetched(file: str, published: Published) -> Path:
    if os.environ.get("HF_HUB_OFFLINE", "0").upper() in ("1", "TRUE", "YES", "ON"):
        raise FileNotFoundError(
            f"{file} is not in {', '.join(map(str, _folders()))}; get it at {published.url}"
        )
    target = cache_folder() / file
    try:
        with atomic_path(target) as part:
            with urllib.request.urlopen(published.url, timeout=TIMEOUT) as source, part.open("wb") as copy:
                while block := source.read(1 << 20):
                    copy.write(block)
            _checked(part, published)
    except OSError as error:
        raise OSError(f"{published.url} cannot be fetched into {target.parent}: {error}") from error
    return target
