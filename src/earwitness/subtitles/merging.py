"""Sound cues for the subtitles of a dialogue: `[door slams]` where viewers have time to read them.

    merged = merge_cues(Path("dialogue.srt").read_bytes(), events, ".srt")
    Path("film.sdh.srt").write_bytes(merged.data)

The dialogue's own lines come back byte for byte, whatever is odd about them, and keep their times. A cue
is in a gap, or, where people talk when the sound begins, an additional line of their cue if that begins at
most `CueLimits.early` before the sound and leaves time to read both, or in a later gap while the sound lasts;
else it is left out and named. A sound that a cue near it describes already is not added again, so that
merging twice changes nothing.
"""

from __future__ import annotations

import html
import re
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from earwitness.subtitles.formats import clock, disarmed, escaped
from earwitness.subtitles.sound_cues import CueLimits, SoundEvent

TIME = r"(-?)(?:(\d+):)?\s*(\d{1,2}):\s*(\d{1,2})(?:[.,](\d{1,3}))?"
TIMES = re.compile(rf"\s*{TIME}\s*-->\s*{TIME}")
LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
DESCRIBED = re.compile(r"[\[(]([^\])]*)[\])]")  # what subtitles for the deaf say of sounds
NEAR = 2.0  # s between a sound and a cue that may describe it
TICK = 1e-6  # s: rounding of times that are whole milliseconds
MARKUP = re.compile(r"<[^>]*>|\{[^}]*\}")
WORD = re.compile(r"[a-z]+")
ENDING = re.compile(r"(?<=[a-z]{3})(?:ings?|ed|es|s|e)$")
DOUBLE = re.compile(r"([b-df-hj-np-tv-z])\1$")
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


class Merged(NamedTuple):
    data: bytes
    placed: list[SoundEvent]
    left_out: list[SoundEvent]  # no place was found for them
    known: list[SoundEvent]  # cues of the file, or of sounds placed, describe them


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
        fits = len(both) <= limits.lines and self.end - self.start >= seconds - TICK
        return bool(self.lines) and fits

    @property
    def described(self) -> set[str]:
        """Stems of the words in which the cue describes sounds."""
        found = DESCRIBED.findall(" ".join([*self.lines, *self.added]))
        return {_stem(word) for text in found for word in WORD.findall(text.lower())}


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
    ranked = sorted(events, key=lambda e: (-e.probability, e.start))
    placed, left_out, known = _place(ranked, shown, limits)
    merged = _woven(lines, shown, vtt=format == ".vtt")
    return Merged(bom + merged.encode(codec, ERRORS[codec]) + rest, placed, left_out, known)


def has_cues(dialogue: bytes, format: str) -> bool:
    """Whether an SRT or WebVTT file holds any cue."""
    return bool(parse_cues(LINE.findall(_decoded(dialogue)[1]), vtt=format == ".vtt"))


def parse_cues(lines: Sequence[str], *, vtt: bool) -> list[Shown]:
    """The cues of a subtitle file's lines (with their ends), in file order."""
    found: list[Shown] = []
    for at, line in enumerate(lines):
        times = TIMES.match(line)
        if times is None:
            continue
        start, end = _seconds(times.groups()[:5]), _seconds(times.groups()[5:])
        above = lines[at - 1].strip() if at else ""
        has_name = above and not TIMES.match(above) and (at > 1 if vtt else above.isdecimal())
        block = at - 1 if has_name else at
        if found:
            found[-1].lines = _text(lines[found[-1].text : block], vtt)
        found.append(Shown(min(start, end), max(start, end), [], block, at + 1))
    if found:
        found[-1].lines = _text(lines[found[-1].text :], vtt)
    return found


def _place(
    events: Sequence[SoundEvent], shown: list[Shown], limits: CueLimits
) -> tuple[list[SoundEvent], list[SoundEvent], list[SoundEvent]]:
    """Adds a cue to `shown`, or a line to one of its cues, for each event that finds a place.

    Those left out try again as long as others are placed: a cue of a sound placed later may take them in.
    Returns those placed, left out and known.
    """
    busy = sorted((cue.start, cue.end) for cue in shown)
    placed: list[SoundEvent] = []
    known: list[SoundEvent] = []
    waiting, before = list(events), -1
    while len(placed) != before:
        before, trying, waiting = len(placed), waiting, []
        for event in trying:
            if _is_known(event, shown, limits):
                known.append(event)
            elif _placed(event, shown, busy, limits):
                placed.append(event)
            else:
                waiting.append(event)
    return placed, waiting, known


def _is_known(event: SoundEvent, shown: Iterable[Shown], limits: CueLimits) -> bool:
    """Whether a cue during the event or near it describes it."""
    stems = {_stem(word) for word in WORD.findall(event.name.lower())}
    first, last = event.start - limits.early - NEAR, max(event.end, event.start + limits.delay) + NEAR
    near = (cue for cue in shown if cue.start <= last and first <= cue.end)
    return bool(stems) and any(stems <= cue.described for cue in near)


def _placed(
    event: SoundEvent, shown: list[Shown], busy: list[tuple[float, float]], limits: CueLimits
) -> bool:
    """Adds a line to a cue in which the event begins, or a cue in a gap; False where neither is possible."""
    lines = limits.wrapped(event.text)
    if lines is None:
        return False
    needed = limits.reading_time(sum(map(len, lines)))
    start, soon = round(event.start, 3), event.start + limits.delay
    free, until = _gap(busy, start, needed, limits.apart)
    hosts = (cue for cue in shown if start - limits.early <= cue.start <= soon and start < cue.end)
    host = next((cue for cue in hosts if cue.room_for(lines, limits)), None)
    if free > soon + TICK and host is not None:
        host.added += lines
    elif free <= max(soon, event.end) + TICK:
        end = min(free + min(max(event.end - free, needed), limits.longest), until)
        shown.append(Shown(round(free, 3), round(max(end, free + needed), 3), lines))
        insort(busy, (shown[-1].start, shown[-1].end))
    else:
        return False
    return True


def _gap(
    busy: Sequence[tuple[float, float]], start: float, needed: float, apart: float
) -> tuple[float, float]:
    """The first time from `start` on at which nothing is on screen for `needed` s, and when that ends."""
    free = start
    for begin, end in busy:
        if end + apart <= free + TICK:
            continue
        if begin - apart >= free + needed - TICK:
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


def _text(lines: Sequence[str], vtt: bool) -> list[str]:
    """What is read of a cue's lines: up to the first blank one, without markup."""
    read = [MARKUP.sub("", line).strip() for line in lines]
    if vtt:
        read = [html.unescape(line) for line in read]
    return read[: read.index("")] if "" in read else read


def _seconds(parts: Sequence[str | None]) -> float:
    sign, *numbers = parts
    hours, minutes, seconds, fraction = (part or "0" for part in numbers)
    time = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{fraction}")
    return -time if sign else time


def _stem(word: str) -> str:
    """What "slams", "slammed" and "slamming" have in common."""
    return DOUBLE.sub(r"\1", ENDING.sub("", word))


def _clock(seconds: float, point: str) -> str:
    return clock(round(seconds * 1000), point)


ERRORS = {"utf-8": "surrogateescape", "utf-16-le": "surrogatepass", "utf-16-be": "surrogatepass"}


def _decoded(data: bytes) -> tuple[bytes, str, str, bytes]:
    """(byte order mark, text, codec, half a character at the end): together, and encoded, they are `data`."""
    bom = next((bom for bom in BOMS if data.startswith(bom)), b"")
    codec = BOMS.get(bom, "utf-8")
    whole = len(data) if codec == "utf-8" else len(bom) + (len(data) - len(bom)) // 2 * 2
    return bom, data[len(bom) : whole].decode(codec, ERRORS[codec]), codec, data[whole:]
