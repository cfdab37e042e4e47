"""Captions as subtitles (SRT, WebVTT) and as tables (JSONL, CSV).

Every function takes captions: objects with `text`, `score`, `start` and `end` in seconds, `tags` as (name,
probability) pairs, and `source`. Files appear whole or not at all: they are written beside their place and
moved.
"""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

COLUMNS = ("id", "path", "start", "end", "caption", "score", "tags", "model")
UNCORRECTED = "uncorrected"  # one column more, in rows whose caption was corrected: what it was before


class CaptionLike(Protocol):
    """What a caption has; `earwitness.Caption` is one."""

    @property
    def text(self) -> str: ...
    @property
    def score(self) -> float: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def tags(self) -> Sequence[tuple[str, float]]: ...
    @property
    def source(self) -> str: ...
    @property
    def uncorrected(self) -> str | None: ...


def to_srt(captions: Iterable[CaptionLike]) -> str:
    """SubRip: numbered cues in order of their start, "00:01:05,250 --> 00:01:15,250", one line of text each.

    Captions without text are left out. An arrow "-->" within a text, which players take for times, becomes
    "→". Raises ValueError for times that are negative, not finite, or end before they start.
    """
    cues = enumerate(_cues(captions), start=1)
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '→')}\n\n"
        for number, (start, end, text) in cues
    )


def to_vtt(captions: Iterable[CaptionLike]) -> str:
    """WebVTT: as `to_srt`, with "." before the milliseconds and &, < and > escaped (which disarms "-->")."""
    cues = "".join(
        f"\n{_clock(start, '.')} --> {_clock(end, '.')}\n{_escape(text)}\n"
        for start, end, text in _cues(captions)
    )
    return f"WEBVTT\n{cues}"


def write_srt(captions: Iterable[CaptionLike], path: str | os.PathLike) -> None:
    """`to_srt` into a UTF-8 file."""
    with _whole(path) as file:
        file.write(to_srt(captions))


def write_vtt(captions: Iterable[CaptionLike], path: str | os.PathLike) -> None:
    """`to_vtt` into a UTF-8 file."""
    with _whole(path) as file:
        file.write(to_vtt(captions))


def write_jsonl(captions: Iterable[CaptionLike], path: str | os.PathLike, model: str = "") -> None:
    """One JSON object a line with the keys of COLUMNS; `tags` is [[name, probability], ...]."""
    with _whole(path) as file:
        for caption in captions:
            file.write(json.dumps(row(caption, model), ensure_ascii=False) + "\n")


def write_csv(captions: Iterable[CaptionLike], path: str | os.PathLike, model: str = "") -> None:
    """A header of COLUMNS and one row a caption; tags as "dog 0.9000; rain 0.3100"."""
    captions = list(captions)
    more = (UNCORRECTED,) if any(caption.uncorrected is not None for caption in captions) else ()
    with _whole(path) as file:
        table = csv.DictWriter(file, (*COLUMNS, *more), lineterminator="\n")
        table.writeheader()
        for caption in captions:
            cells = row(caption, model)
            cells["tags"] = "; ".join(f"{name} {probability:.4f}" for name, probability in cells["tags"])
            table.writerow(cells)


def row(caption: CaptionLike, model: str = "") -> dict[str, Any]:
    """The row of a caption in tables: times to the millisecond, probabilities to four digits."""
    corrected = {} if caption.uncorrected is None else {UNCORRECTED: caption.uncorrected}
    return {
        "id": Path(caption.source).stem,
        "path": str(caption.source),
        "start": round(float(caption.start), 3),
        "end": round(float(caption.end), 3),
        "caption": caption.text,
        "score": round(float(caption.score), 4),
        "tags": [[name, round(float(probability), 4)] for name, probability in caption.tags],
        "model": model,
    } | corrected


def _cues(captions: Iterable[CaptionLike]) -> list[tuple[int, int, str]]:
    """(start, end, text) in milliseconds, in order, each text on one line, each cue at least 1 ms long."""
    cues = []
    for caption in captions:
        start, end, text = float(caption.start), float(caption.end), " ".join(caption.text.split())
        if not (math.isfinite(end) and 0 <= start <= end):
            raise ValueError(f"a caption cannot last from {start} to {end} s: {text!r}")
        if text:
            first = round(start * 1000)
            cues.append((first, max(round(end * 1000), first + 1), text))
    return sorted(cues, key=lambda cue: cue[:2])


def _clock(milliseconds: int, point: str) -> str:
    """65250 -> "00:01:05,250"; hours take as many digits as they need."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@contextmanager
def _whole(path: str | os.PathLike) -> Iterator[TextIO]:
    """A text file that takes its place when it is complete; an exception leaves what was there before.

    Names of files need not be valid Unicode: what UTF-8 cannot hold is written as an escape, JSON's own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
