"""Inspection of every clip of a set before use, and the report on it.

The header states whether a clip can be decoded and how long it is. Files of one size are compared by their
bytes: the same recording may be in a split twice, or in two splits.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from earwitness.atomic_write import atomic_write
from earwitness.data.clips import Found
from earwitness.data.manifest import Row, write_manifest
from earwitness.media.containers import MediaError
from earwitness.media.files import probe
from earwitness.media.reading import SHORTEST, load_audio
from earwitness.prefetch import map_ahead

READERS = 8  # threads: reading headers is mostly waiting
SHOWN = 5  # names of each kind that are printed; the report has all

Placed = tuple[str, Row]  # split or set, row of it
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Bounds:
    """Allowed durations of clips, s. Others are not in the manifest."""

    shortest: float = SHORTEST
    longest: float = float("inf")


@dataclass
class SplitReport:
    """One split. rows: those of its manifest; the rest reports missing, faulty and duplicate clips."""

    rows: list[Row] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # of each row
    missing: list[str] = field(default_factory=list)
    without_caption: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)  # id -> why
    too_short: list[str] = field(default_factory=list)
    too_long: list[str] = field(default_factory=list)
    damaged: dict[str, float] = field(default_factory=dict)  # id -> share that decodes; these are kept
    duplicates: list[list[str]] = field(default_factory=list)  # ids of one sound, or an id again

    def to_json(self) -> dict[str, Any]:
        some = self.seconds or [0.0]
        return {
            "rows": len(self.rows),
            "captions": sum(len(row.captions) for row in self.rows),
            "hours": sum(self.seconds) / 3600,
            "seconds": {"shortest": min(some), "mean": sum(some) / len(some), "longest": max(some)},
        } | {name: getattr(self, name) for name in KINDS}


KINDS = ["missing", "without_caption", "unreadable", "too_short", "too_long", "damaged", "duplicates"]


@dataclass(frozen=True)
class Leak:
    """A clip of two or more splits. by: "id" or "sound". places: (split, id)."""

    by: str
    places: list[tuple[str, str]]


@dataclass
class Report:
    splits: dict[str, SplitReport]
    left_out: Mapping[str, int]
    leaks: list[Leak]
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "splits": {name: split.to_json() for name, split in self.splits.items()},
            "left_out": dict(self.left_out),
            "leaks": [{"by": leak.by, "places": leak.places} for leak in self.leaks],
        }

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        for name, split in self.splits.items():
            hours, captions = sum(split.seconds) / 3600, sum(len(row.captions) for row in split.rows)
            yield f"{name}: {len(split.rows)} clips, {captions} captions, {hours:.2f} hours"
            for kind in KINDS:
                if found := getattr(split, kind):
                    yield f"  {len(found)} {kind.replace('_', ' ')}: {_some(found)}"
        yield from (f"left out, {reason}: {count}" for reason, count in self.left_out.items() if count)
        yield from self.notes
        if self.leaks:
            shown = ["/".join(f"{split}:{id_}" for split, id_ in leak.places) for leak in self.leaks]
            yield f"{len(self.leaks)} clips are in more than one split: {_some(shown)}"


def examine(
    found: Found, bounds: Bounds, *, decode: bool = False, against: Mapping[str, Sequence[Row]] | None = None
) -> Report:
    """Inspect every clip that was found. decode: all of it, not the header alone.

    against: other sets by name, whose clips must not be among these.
    """
    splits = {name: _look_at(name, rows, bounds, decode) for name, rows in found.splits.items()}
    for name, missing in found.missing.items():
        splits.setdefault(name, SplitReport()).missing = missing
    for name, bare in found.uncaptioned.items():
        splits.setdefault(name, SplitReport()).without_caption = bare
    sets = {name: split.rows for name, split in splits.items()} | dict(against or {})
    clips = [(name, row) for name, rows in sets.items() for row in rows]
    leaks = []
    for by, group in chain(zip(repeat("id"), _same_ids(clips)), zip(repeat("sound"), _same_sounds(clips))):
        names = {name for name, _ in group}
        if len(names) == 1 and names <= splits.keys():
            splits[names.pop()].duplicates.append([row.id for _, row in group])
        elif len(names) > 1 and names & splits.keys():
            leaks.append(Leak(by, [(name, row.id) for name, row in group]))
    return Report(splits, found.left_out, leaks, found.notes)


def write(report: Report, out: Path) -> None:
    """Write OUT/SPLIT.jsonl for every split, and OUT/report.json."""
    for name, split in report.splits.items():
        write_manifest(out / f"{name}.jsonl", split.rows)
    with atomic_write(out / "report.json") as file:
        text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
        file.write(text.encode("utf-8", "backslashreplace"))


def _look_at(name: str, rows: Sequence[Row], bounds: Bounds, decode: bool) -> SplitReport:
    split = SplitReport()
    look = _decoded if decode else _declared
    for row, seen in zip(rows, _map(look, rows, f"Looking at {name}")):
        if isinstance(seen, MediaError):
            split.unreadable[row.id] = seen.reason
            continue
        seconds, covered = seen
        if seconds < bounds.shortest:
            split.too_short.append(row.id)
        elif seconds > bounds.longest:
            split.too_long.append(row.id)
        else:
            split.rows.append(row)
            split.seconds.append(seconds)
            if covered < 1:
                split.damaged[row.id] = covered
    return split


def _declared(row: Row) -> tuple[float, float] | MediaError:
    """Return (seconds, 1) from the header, or by decoding where the header has no duration."""
    try:
        info = probe(row.audio)
        if not info.has_audio:
            return MediaError(row.audio, "holds no sound")
        if info.duration is None:
            return _decoded(row)
        return max(0.0, min(row.end or info.duration, info.duration) - row.start), 1.0
    except MediaError as error:
        return error


def _decoded(row: Row) -> tuple[float, float] | MediaError:
    """Return (decoded seconds, their share of the header's duration)."""
    try:
        audio = load_audio(row.audio, start=row.start, end=row.end)
    except MediaError as error:
        return error
    return audio.duration, audio.covered if audio.damaged else 1.0


def _same_ids(clips: Sequence[Placed]) -> list[list[Placed]]:
    return _groups((placed[1].id, placed) for placed in clips)


def _same_sounds(clips: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Yield clips of equal files; within a split, of equal segments. Only files of equal size are read."""
    there = [(size, placed) for placed, size in zip(clips, _map(_size, clips, "Comparing sizes")) if size]
    doubtful = [placed for group in _groups(there) for placed in group]
    digests = _map(_digest, doubtful, "Comparing sounds")
    for group in _groups(zip(digests, doubtful)):
        if len({name for name, _ in group}) > 1:
            yield group
        else:
            yield from _groups(((row.start, row.end), (name, row)) for name, row in group)


def _size(placed: Placed) -> int:
    """Bytes; 0 for a file of another set that is not there."""
    file = Path(placed[1].audio)
    return file.stat().st_size if file.is_file() else 0


def _digest(placed: Placed) -> bytes:
    with open(placed[1].audio, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _groups(pairs: Iterable[tuple[Any, T]]) -> list[list[T]]:
    """Group values by key; return groups of more than one."""
    groups: dict[Any, list[T]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return [group for group in groups.values() if len(group) > 1]


def _map(function: Callable[[T], R], items: Sequence[T], what: str) -> Iterator[R]:
    results = map_ahead(function, items, workers=READERS, most=4 * READERS)
    return iter(tqdm(results, total=len(items), desc=what, unit=" clips", delay=2))


def _some(names: Iterable[Any]) -> str:
    if isinstance(names, Mapping):
        names = [f"{n} ({why if isinstance(why, str) else f'{why:.0%} decodes'})" for n, why in names.items()]
    texts = [name if isinstance(name, str) else " = ".join(name) for name in names]
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")
