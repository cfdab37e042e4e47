"""Inputs of commands: files, folders, standard input, audio tracks."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earwitness.media.source import Source

STANDARD_INPUT = "-"  # its name in place of a path


@dataclass(frozen=True)
class Reader:
    """Maps a file name to the source to read. spooled: the copy of standard input."""

    track: int | None
    spooled: str | None

    def __call__(self, file: str) -> Any:
        if file == STANDARD_INPUT:
            return Source(self.spooled, self.track, file)
        return file if self.track is None else Source(file, self.track)


@contextmanager
def standard_input(files: Sequence[str]) -> Iterator[str | None]:
    """Copy standard input, if among the files, to a temporary file, for seeks; yield its name."""
    if STANDARD_INPUT not in files:
        yield None
        return
    with tempfile.NamedTemporaryFile(prefix="earwitness-") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()
        yield file.name


def find_files(paths: Sequence[Path], recursive: bool, failures: dict[str, str]) -> list[str]:
    """Return the files to caption, each once; add missing paths to `failures` with the reason."""
    from earwitness.media.containers import MediaError
    from earwitness.media.files import find_media

    files: dict[str, None] = {}
    for path in paths:
        if str(path) == STANDARD_INPUT:
            files[STANDARD_INPUT] = None
            continue
        try:
            files |= {str(file): None for file in find_media(path, recursive)}
        except MediaError as error:
            failures[error.path] = error.reason
    return list(files)
