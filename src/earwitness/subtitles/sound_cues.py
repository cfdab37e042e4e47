"""Sound events of a recording other than speech, as the bracketed cues of subtitles for the deaf.

    events = sound_events(captioner.timeline("film.mp4"))
    [event.text for event in events]                       # "[dog barking]", "[rain falling]"

An event is a tag that continues from caption to caption; a pause shorter than `pause` does not end it, so a
dog that barks for a minute is one cue and not twenty.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from earwitness.captions import Caption, Tags, is_speech_tag
from earwitness.encoders.audioset import audioset_classes
from earwitness.encoders.tag_families import GENERIC, NO_SOURCE, family

# Steady broadband noises: each of them raises most of the others' tags.
STEADY_NOISE = re.compile(
    r"\b(?:rain|raindrop|fry|sizzl|stream|waterfall|shower|faucet|tap water|spray|static|hiss|"
    r"white noise|pink noise|vinyl)"
)
VAGUE = frozenset("running passing closing opening large small sound noise engine ringing calling".split())


@dataclass(frozen=True)
class SoundEvent:
    """start, end: seconds. probability: the tag's maximum within the event, 0..1."""

    name: str
    start: float
    end: float
    probability: float

    @property
    def text(self) -> str:
        return f"[{self.name}]"


@dataclass(frozen=True)
class CueLimits:
    """Limits of a cue's length and time; the defaults are usual for subtitles for the deaf."""

    line_length: int = 42  # characters
    lines: int = 2  # at once, those of the dialogue included
    shortest: float = 1.0  # s on screen
    longest: float = 4.0  # s on screen, however long the sound lasts
    reading_speed: float = 20.0  # characters a second
    apart: float = 0.08  # s between two cues, two frames of film
    delay: float = 1.0  # s that a cue may come after the sound's beginning before another place is sought
    early: float = 0.7  # s that a cue may precede its sound

    def __post_init__(self) -> None:
        if min(self.line_length, self.lines) < 1 or min(self.shortest, self.reading_speed) <= 0:
            raise ValueError(f"the limits of cues must be positive, not {self}")
        if self.longest < self.shortest:
            raise ValueError(f"cues cannot last at least {self.shortest} s and at most {self.longest} s")

    def reading_time(self, characters: int) -> float:
        """Return the time to read so many characters, s, in whole milliseconds, as files store it."""
        return math.ceil(1000 * max(self.shortest, characters / self.reading_speed)) / 1000

    def wrapped(self, text: str) -> list[str] | None:
        """Break a cue into lines; None if they would be too long or too many."""
        lines = textwrap.wrap(text, self.line_length, break_long_words=False, break_on_hyphens=False)
        fits = len(lines) <= self.lines and all(len(line) <= self.line_length for line in lines)
        return lines if fits else None


def sound_events(
    captions: Iterable[Caption], *, least: float = 0.4, pause: float = 5.0, most: int = 2
) -> list[SoundEvent]:
    """Return the sound events of a timeline by start time, without speech and silence.

    least: minimum probability of a tag. pause: maximum gap within one event, s. most: number of tags used of
    one caption, the most probable ones of different sources.
    """
    going: dict[str, SoundEvent] = {}
    over: list[SoundEvent] = []
    for caption in captions:
        for name, probability in _distinct_sources(caption.tags, least)[:most]:
            event = SoundEvent(name, caption.start, caption.end, probability)
            last = going.get(name)
            if last is not None and event.start - last.end <= pause:
                event = SoundEvent(name, last.start, event.end, max(probability, last.probability))
            elif last is not None:
                over.append(last)
            going[name] = event
    return sorted([*over, *going.values()], key=lambda event: (event.start, -event.probability))


def _distinct_sources(tags: Tags, least: float) -> list[tuple[str, float]]:
    """Return tags that name events, the most probable first, one of each source.

    Of "engine" and "car engine running", or "Animal" and "Dog", the more specific one is kept; of "rain
    falling" and "frying", which taggers confuse, the more probable one. "Inside, small room" is no event.
    """
    named: dict[str, float] = {}
    for name, probability in sorted(tags, key=lambda tag: -tag[1]):
        is_sound = name != "silence" and FAMILIES.get(_plain(name)) != NO_SOURCE
        if probability >= least and is_sound and not is_speech_tag(name):
            named.setdefault(_plain(name), probability)
    if any(FAMILIES.get(name) != GENERIC for name in named):
        named = {name: p for name, p in named.items() if FAMILIES.get(name) != GENERIC}
    words = [set(name.split()) for name in named]
    special = {name: p for name, p in named.items() if not any(set(name.split()) < other for other in words)}
    distinct: list[tuple[str, float]] = []
    for name, p in special.items():
        if not any(_same_source(name, other) for other, _ in distinct):
            distinct.append((name, p))
    return distinct


def _same_source(a: str, b: str) -> bool:
    words, others = set(a.split()) - VAGUE, set(b.split()) - VAGUE
    noisy = STEADY_NOISE.search(a) is not None and STEADY_NOISE.search(b) is not None
    return bool(words & others) or noisy or FAMILIES.get(a, a) == FAMILIES.get(b, b)


def _plain(name: str) -> str:
    """Return the first name of a class: "vehicle horn" of "Vehicle horn, car horn, honking"."""
    return " ".join(name.split(",")[0].lower().split())


FAMILIES = {_plain(name): family(name) for name in audioset_classes()}
