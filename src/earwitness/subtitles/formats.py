"""Captions of a recording as subtitles (SRT, WebVTT), as labels for Audacity, and as a JSON document."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from earwitness.atomic_write import atomic_write
from earwitness.captions import Caption
from earwitness.tables import row


class Cue(Protocol):
    """A stretch of time, in seconds, and its text; a Caption is one."""

    @property
    def text(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


def to_srt(captions: Iterable[Cue]) -> str:
    """SubRip: numbered cues in order of their start, "00:01:05,250 --> 00:01:15,250", one line of text each.

    Captions without text are left out. An arrow "-->" within a text, which players take for times, becomes
    "→". Raises ValueError for times that are negative, not finite, or end before they start.
    """
    cues = enumerate(_cues(captions), start=1)
    return "".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{disarmed(text)}\n\n"
        for number, (start, end, text) in cues
    )


def to_vtt(captions: Iterable[Cue]) -> str:
    """WebVTT: as `to_srt`, with "." before the milliseconds and &, < and > escaped (which disarms "-->")."""
    cues = "".join(
        f"\n{clock(start, '.')} --> {clock(end, '.')}\n{escaped(text)}\n"
        for start, end, text in _cues(captions)
    )
    return f"WEBVTT\n{cues}"


def to_labels(captions: Iterable[Cue]) -> str:
    """A label track of Audacity: start, end and text with tabs between, seconds to the microsecond."""
    return "".join(f"{start / 1000:.6f}\t{end / 1000:.6f}\t{text}\n" for start, end, text in _cues(captions))


def to_json(captions: Iterable[Caption]) -> str:
    """{"path", "duration", "speech": [[start, end], ...], "captions": [...]}, times in seconds.

    duration: what the captions cover. A caption is a row of a table (see tables.py) with its `kind`: sound,
    speech or silence; speech: where neighbours of that kind begin and end.
    """
    captions = list(captions)
    speech: list[list[float]] = []
    for caption in captions:
        if caption.kind == "speech":
            start = caption.start
            if speech and start <= speech[-1][1] + 1e-3:
                start, _ = speech.pop()
            speech.append([round(start, 3), round(caption.end, 3)])
    drop = ("id", "path", "model")
    rows = [{k: v for k, v in row(c).items() if k not in drop} | {"kind": c.kind} for c in captions]
    document = {
        "path": str(captions[0].source) if captions else "",
        "duration": max((caption["end"] for caption in rows), default=0.0),
        "speech": speech,
        "captions": rows,
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Callable[[Iterable[Caption]], str]] = {
    ".srt": to_srt,
    ".vtt": to_vtt,
    ".txt": to_labels,
    ".json": to_json,
}


def write_subtitles(captions: Iterable[Caption], path: str | os.PathLike[str]) -> None:
    """Into a UTF-8 file of the format that its name ends in (WRITERS); whole or not at all."""
    text = WRITERS[Path(path).suffix.lower()](captions)
    with atomic_write(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def clock(milliseconds: int, point: str) -> str:
    """65250 -> "00:01:05,250"; hours take as many digits as they need."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{rest:03}"


def escaped(text: str) -> str:
    """Text of a WebVTT cue."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def disarmed(text: str) -> str:
    """Text of an SRT cue, which knows no escapes."""
    return text.replace("-->", "→")


def _cues(captions: Iterable[Cue]) -> list[tuple[int, int, str]]:
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
