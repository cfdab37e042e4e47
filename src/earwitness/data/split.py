"""Split of a manifest into training clips and held-out validation clips."""

from __future__ import annotations

import hashlib
from pathlib import Path

from earwitness.data.manifest import Manifest, Row, write_manifest

HELD_OUT = 1 / 6


def split_manifest(manifest: Path, out: Path, share: float = HELD_OUT) -> tuple[Path, Path]:
    """Write `out`/train.jsonl and `out`/validation.jsonl; return both paths.

    `share` of the recordings are held out, at least two, which caption metrics need. The choice depends on
    the recordings' file names alone: it is the same each time, and segments of one recording stay together.
    Rows without a caption are in neither. Raises ValueError for fewer than three such recordings.
    """
    rows = [row for row in Manifest.open(manifest) if any(caption.strip() for caption in row.captions)]
    ranked = sorted({row.audio for row in rows}, key=_rank)
    if len(ranked) < 3:
        raise ValueError(
            f"{manifest}: {len(ranked)} recordings have captions; training needs three at the least, two of "
            "them to be held out"
        )
    held = set(ranked[: max(2, round(share * len(ranked)))])
    parts: dict[str, list[Row]] = {"train": [], "validation": []}
    for row in rows:
        parts["validation" if row.audio in held else "train"].append(row)
    paths = {name: out / f"{name}.jsonl" for name in parts}
    for name, own in parts.items():
        write_manifest(paths[name], own)
    return paths["train"], paths["validation"]


def _rank(audio: str) -> bytes:
    return hashlib.sha256(Path(audio).name.encode("utf-8", "surrogateescape")).digest()
