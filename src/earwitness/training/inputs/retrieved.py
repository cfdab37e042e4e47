"""Retrieve captions of similar clips for every row of a manifest, once, before training (DistillCaps).

A clip's own captions are never among them: the datastore excludes those with its id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from earwitness.data.manifest import Manifest, Row, write_manifest
from earwitness.media.containers import MediaError
from earwitness.media.reading import load_audio
from earwitness.retrieval.datastore import CaptionDatastore
from earwitness.sample_rate import SAMPLE_RATE

BATCH = 32  # clips embedded and searched at once


def write_retrieved(
    manifest: Manifest,
    store: CaptionDatastore,
    count: int,
    out: Path,
    progress: Callable[[Iterable[Row]], Iterable[Row]] = iter,
) -> list[str]:
    """Write `manifest` to `out` with a column `retrieved`; return the clips that cannot be decoded, and why.

    Those get no captions. Results are kept beside `out` until all are there, so that the job can resume.
    """
    kept = out.with_name(f".{out.name}.retrieved")
    lines = kept.read_text("utf-8").split("\n")[:-1] if kept.is_file() else []  # a torn line has no end
    out.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    faults: list[str] = []
    left = iter(progress(islice(iter(manifest), len(lines), None)))
    with kept.open("a", encoding="utf-8") as file:
        while rows := list(islice(left, BATCH)):
            found = similar_captions(rows, store, count, faults)
            file.writelines(json.dumps(captions, ensure_ascii=False) + "\n" for captions in found)
            file.flush()
    write_manifest(out, _rows(manifest, kept))
    kept.unlink()
    return faults


def similar_captions(
    rows: list[Row], store: CaptionDatastore, count: int, faults: list[str]
) -> list[list[str]]:
    """Return the captions nearest to each row's audio; none, and a line in `faults`, where decoding fails."""
    decoded: dict[int, np.ndarray] = {}
    for i, row in enumerate(rows):
        try:
            decoded[i] = load_audio(row.audio, SAMPLE_RATE, start=row.start, end=row.end).waveform
        except MediaError as error:
            faults.append(f"{row.id}: {error.reason}")
    found: list[list[str]] = [[] for _ in rows]
    if decoded:
        assert store.embedder is not None  # a store that was built or loaded has one
        vectors = store.embedder.embed_audio(list(decoded.values()), SAMPLE_RATE)
        own = [rows[i].id for i in decoded]
        for i, near in zip(decoded, store.retrieve(vectors, count, exclude=own)):
            found[i] = [caption.caption for caption in near]
    return found


def _rows(manifest: Manifest, kept: Path) -> Iterator[Row]:
    with kept.open(encoding="utf-8") as lines:
        for row, line in zip(manifest, lines, strict=True):
            yield replace(row, retrieved=tuple(json.loads(line)))
