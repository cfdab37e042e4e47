"""Manifests among the paths of a command: their files and row ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def files_of_manifests(paths: Sequence[Path]) -> tuple[list[Path], dict[str, str]]:
    """Replace each manifest (.jsonl) by its rows' files; return the paths, and file -> the row's id.

    A row's video replaces its audio. Raises ValueError for rows that are segments of files, or share one.
    """
    if not any(path.suffix.lower() == ".jsonl" for path in paths):
        return list(paths), {}
    from earwitness.data.manifest import Manifest

    found: list[Path] = []
    ids: dict[str, str] = {}
    for path in paths:
        if path.suffix.lower() != ".jsonl":
            found.append(path)
            continue
        for row in Manifest.open(path):
            file = row.video if row.video and not row.video.endswith(".npy") else row.audio
            if row.start or row.end is not None:
                raise ValueError(
                    f"{path}: {row.id} is a segment of a file; `earwitness evaluate` captions such rows"
                )
            if file in ids:
                raise ValueError(f"{path}: {ids[file]} and {row.id} are both {file}")
            ids[file] = row.id
            found.append(Path(file))
    return found, ids
