"""Sound cues for the subtitles of a dialogue: `[door slams]` where nobody is made to read two things at once.

    merged = merge_cues(Path("dialogue.srt").read_bytes(), events, ".srt")
    Path("film.sdh.srt").write_bytes(merged.data)

The dialogue's own lines come back byte for byte, whatever is odd about them, and keep their times. A cue
stands in a gap, or, where people talk when the sound begins, as one line more in their cue if that leaves
time to read both, or in a later gap while the sound goes on; else it is left out and named.
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from earwitness.subtitles.formats import clock, disarmed, escaped
from earwitness.subtitles.sound_cues import CueLimits, SoundEvent

TIME = r"(?:(\d+):)?\s*(\d{1,2}):\s*(\d{1,2})(?:[.,](\d{1,3}))?"
TIMES = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
MARKUP = re.compile(r"<[^>]*>|\{[^}]*\}")
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class Merged(NamedTuple):
    data: bytes
    placed: list[SoundEvent]
    left_out: list[SoundEvent]  # no place was found for them


@dataclass
class Shown:
    """A cue on screen. block, text: the lines of the file where it and its text begin; -1: it is ours."""

    start: float  # s
    end: float
    lines: list[str]
    block: int = -1
    text: int = -1
    added: list[str] = field(default_factory=list)

    def room_for(self, lines: list[str], limits: CueLimits) -> bool:
        """Whether these lines can be read besides those that are there."""
        both = [*self.lines, *self.added, *lines]
        seconds = limits.reading_time(sum(map(len, both)))
        return bool(self.lines) and len(both) <= limits.lines and self.end - self.start >= seconds


def merge_cues(
    dialogue: bytes, events: Iterable[SoundEvent], format: str, limits: CueLimits | None = None
) -> Merged:
    """Adds cues for sounds to an SRT or WebVTT file; format: ".srt" or ".vtt". An empty file will do.

    The most salient sounds choose their places first. Cues of an SRT file get numbers beyond those in use;
    the dialogue keeps its own.
    """
    limits = limits or CueLimits()
    bom, text, codec, rest = _decoded(dialogue)
    if format == ".vtt" and not dialogue:
        text = "WEBVTT\n"
    lines = LINE.findall(text)
    shown = parse_cues(lines, vtt=format == ".vtt")
    placed, left_out = _place(sorted(events, key=lambda e: (-e.probability, e.start)), shown, limits)
    merged = _woven(lines, shown, vtt=format == ".vtt")
    return Merged(bom + merged.encode(codec, ERRORS[codec]) + rest, placed, left_out)


def parse_cues(lines: Sequence[str], *, vtt: bool) -> list[Shown]:
    """The cues of a subtitle file's lines (with their ends), in the order in which they stand."""
    found: list[Shown] = []
    for at, line in enumerate(lines):
        times = TIMES.match(line)
        if times is None:
            continue
        start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        above = lines[at - 1].strip() if at else ""
        has_name = above and not TIMES.match(above) and (at > 1 if vtt else above.isdecimal())
        block = at - 1 if has_name else at
        if found:
            found[-1].lines = _text(lines[found[-1].text : block])
        found.append(Shown(min(start, end), max(start, end), [], block, at + 1))
    if found:
        found[-1].lines = _text(lines[found[-1].text :])
    return found


def _place(
    events: Iterable[SoundEvent], shown: list[Shown], limits: CueLimits
) -> tuple[list[SoundEvent], list[SoundEvent]]:
    """Adds a cue to `shown`, or a line to one of its cues, for each event that finds a place."""
    busy = sorted((cue.start, cue.end) for cue in shown)
    placed, left_out = [], []
    for event in events:
        lines = limits.wrapped(event.text)
        if lines is None:
            left_out.append(event)
            continue
        needed = limits.reading_time(sum(map(len, lines)))
        soon = event.start + limits.delay
        free, until = _gap(busy, round(event.start, 3), needed, limits.apart)
        hosts = (cue for cue in shown if cue.start <= soon and event.start < cue.end)
        host = next((cue for cue in hosts if cue.room_for(lines, limits)), None)
        if free > soon and host is not None:
            host.added += lines
        elif free <= max(soon, event.end):
            end = min(free + min(max(event.end - free, needed), limits.longest), until)
            shown.append(Shown(free, max(end, free + needed), lines))
            insort(busy, (shown[-1].start, shown[-1].end))
        else:
            left_out.append(event)
            continue
        placed.append(event)
    return placed, left_out


def _gap(
    busy: Sequence[tuple[float, float]], start: float, needed: float, apart: float
) -> tuple[float, float]:
    """The first time from `start` on at which nothing is on screen for `needed` s, and when that ends."""
    free = start
    for begin, end in busy:
        if end + apart <= free:
            continue
        if begin - apart >= free + needed:
            return free, begin - apart
        free = max(free, end + apart)
    return free, float("inf")


def _woven(lines: list[str], shown: Sequence[Shown], *, vtt: bool) -> str:
    """The file's lines as they were, with what is ours between them."""
    newline = next((line[len(line.rstrip("\r\n")) :] for line in lines), "") or "\n"
    own = sorted((cue for cue in shown if cue.block >= 0), key=lambda cue: cue.block)
    numbers = (int(text) for text in (lines[cue.block].strip() for cue in own) if text.isdecimal())
    number = 1 + max((n for n in numbers if n < 10**9), default=0)
    before: dict[int, list[str]] = {}
    for cue in own:
        if cue.added:
            before.setdefault(cue.text, []).extend(_line(line, vtt) + newline for line in cue.added)
    for cue in sorted((cue for cue in shown if cue.block < 0), key=lambda cue: cue.start):
        at = next((other.block for other in own if other.start > cue.start), len(lines))
        point = "." if vtt else ","
        times = f"{_clock(cue.start, point)} --> {_clock(cue.end, point)}"
        text = [_line(line, vtt) for line in (*cue.lines, *cue.added)]
        block = [times, *text, ""] if vtt else [str(number), times, *text, ""]
        number += 1
        gap = _blank_before(lines, at, newline) if at not in before else ""
        before.setdefault(at, []).append(gap + "".join(line + newline for line in block))
    return "".join("".join(before.get(at, [])) + line for at, line in enumerate([*lines, ""]))


def _blank_before(lines: Sequence[str], at: int, newline: str) -> str:
    """What is missing of a blank line before line `at`."""
    if at == 0:
        return ""
    unended = "" if lines[at - 1].endswith(("\r", "\n")) else newline
    return unended + (newline if lines[at - 1].strip() else "")


def _line(text: str, vtt: bool) -> str:
    return escaped(text) if vtt else disarmed(text)


def _text(lines: Sequence[str]) -> list[str]:
    """What is read of a cue's lines: up to the first blank one, without markup."""
    read = [MARKUP.sub("", line).strip() for line in lines]
    return read[: read.index("")] if "" in read else read


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")


def _clock(seconds: float, point: str) -> str:
    return clock(round(seconds * 1000), point)


ERRORS = {"utf-8": "surrogateescape", "utf-16-le": "surrogatepass", "utf-16-be": "surrogatepass"}


def _decoded(data: bytes) -> tuple[bytes, str, str, bytes]:
    """(byte order mark, text, codec, half a character at the end): together, and encoded, they are `data`."""
    bom = next((bom for bom in BOMS if data.startswith(bom)), b"")
    codec = BOMS.get(bom, "utf-8")
    whole = len(data) if codec == "utf-8" else len(bom) + (len(data) - len(bom)) // 2 * 2
    return bom, data[len(bom) : whole].decode(codec, ERRORS[codec]), codec, data[whole:]
