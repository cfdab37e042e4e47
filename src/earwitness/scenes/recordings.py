"""The recordings of a bank: rows of its manifest.csv, and which of them are kept for validation."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earwitness.features import SAMPLE_RATE
from earwitness.media.reading import load_audio
from earwitness.scenes.synthesis import MAKERS, SOURCE, synthesise

MAX_SECONDS = 30.0  # of one recording, to bound memory
LARGEST_HELD_OUT = 0.04  # share of all audio: a source with more is never held out


@dataclass(frozen=True)
class Recording:
    """One row of manifest.csv. label: "" where there is none; hint: words for it."""

    path: str
    label: str
    hint: str
    group: str
    source: str
    license: str

    @property
    def synthetic(self) -> bool:
        return self.source == SOURCE

    def waveform(self, folder: Path) -> np.ndarray:
        """float32 [samples] at 16 kHz, at most MAX_SECONDS. Errors: MediaError."""
        if self.synthetic:
            return synthesise(self.label, int(self.path.rpartition("/")[2]))
        return load_audio(folder / self.path, SAMPLE_RATE, end=MAX_SECONDS).waveform


def read_manifest(folder: Path, *, labelled: bool = True) -> list[Recording]:
    """Read the rows of FOLDER/manifest.csv that may be redistributed.

    Required columns: path, label, group; or, without labels, path and source_repo (or
    source_repo_or_package).
    """
    file = folder / "manifest.csv"
    needed = ("path", "label", "group") if labelled else ("path", "source_repo")
    if not file.is_file():
        raise ValueError(f"{folder} is no bank: it has no manifest.csv (columns {', '.join(needed)})")
    with file.open(newline="", encoding="utf-8") as handle:
        rows = [_plain_names(row) for row in csv.DictReader(handle)]
    missing = set(needed) - set(rows[0] if rows else {})
    if missing:
        raise ValueError(f"{file} lacks the columns {sorted(missing)}")
    return [
        Recording(
            r["path"],
            r["label"] if labelled else "",
            r.get("caption_hint") or r.get("label") or r.get("kind") or "",
            r.get("group") or r.get("original_path") or r["path"],
            r.get("source_repo", ""),
            r.get("license", ""),
        )
        for r in rows
        if r.get("redistributable", "yes") in ("yes", "check")
    ]


def _plain_names(row: dict[str, str]) -> dict[str, str]:
    """Rename the columns of a row to one set of names."""
    other = {"source_repo_or_package": "source_repo", "licence": "license"}
    return {other.get(name, name): value for name, value in row.items()}


def _by_hash(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())


def held_out_groups(recordings: Iterable[Recording], share: float = 0.1) -> frozenset[str]:
    """Groups kept for validation: of each label with at least three, `share` of them, at least one.

    A group is an original recording; it is wholly in training or wholly in validation. The choice depends on
    a hash of the group's name alone, so it stays when the bank grows. Synthetic and unlabelled recordings
    are never held out.
    """
    by_label: dict[str, set[str]] = defaultdict(set)
    for r in recordings:
        if r.label and not r.synthetic:
            by_label[r.label].add(r.group)
    held: set[str] = set()
    for groups in by_label.values():
        if len(groups) >= 3:
            held.update(_by_hash(groups)[: max(1, round(share * len(groups)))])
    # a label all of whose groups were held out through other labels gets them back
    for groups in by_label.values():
        if groups <= held:
            held -= groups
    return frozenset(held)


def held_out_sources(
    recordings: Sequence[Recording], lengths: Sequence[int], share: float = 0.1
) -> frozenset[str]:
    """Sources of unlabelled recordings kept for validation, in all `share` of their sound.

    lengths: of each recording, in any unit. Sources are taken in the order of a hash of their names until
    the share is reached.
    """
    total: Counter[str] = Counter()
    for r, length in zip(recordings, lengths, strict=True):
        if not r.label:
            total[r.source] += length
    held: set[str] = set()
    whole = sum(total.values())
    for source in _by_hash(total):
        if total[source] < LARGEST_HELD_OUT * whole and sum(total[s] for s in held) < share * whole:
            held.add(source)
    return frozenset(held)


def synthetic_recordings(labels: set[str], count: int) -> list[Recording]:
    """Return `count` synthetic recordings of each label that has a generator."""
    return [
        Recording(f"synthesis/{label}/{i}", label, label, f"synthesis:{label}:{i}", SOURCE, "Apache-2.0")
        for label in sorted(labels & set(MAKERS))
        for i in range(count)
    ]


def credits(recordings: Iterable[Recording]) -> list[tuple[str, str, int]]:
    """Return (source, licence, recordings), most recordings first, for a model card."""
    counts = Counter((r.source, r.license) for r in recordings)
    return [(source, licence, n) for (source, licence), n in counts.most_common()]
