"""Placement of recordings for the mentions of a caption: time, level, speed and pitch."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from earwitness.features import N_MELS
from earwitness.scenes.bank import Bank
from earwitness.scenes.lexicon import Concept, Lexicon, Mention
from earwitness.scenes.style import Style
from earwitness.scenes.tag_set import TagSet

SYNTHETIC_GROUPS = 8  # original recordings that a label's synthetic ones count as, however many they are
VOICES = ("singing", "radio chatter", "baby crying", "laughing")  # labels with the rhythm of speech


@dataclass
class Placed:
    """One stretch of one recording in a scene. Frames are 10 ms; gain is in dB on the power."""

    recording: int
    source: int  # first frame taken
    length: int  # frames in the scene
    onset: int
    gain: float
    rate: float  # source frames per scene frame
    shift: int  # mel bins
    tags: tuple[int, ...]
    wet: float  # dB of the reverberant part below the direct one
    timbre: np.ndarray  # dB of each mel bin: a random response of source and microphone


@dataclass(frozen=True)
class Span:
    """The frames of a scene from `first` up to `last`, that one excluded."""

    first: int
    last: int


class Placer:
    """Places recordings of a bank.

    pool: label -> recordings that may be used. augment: share of mentions with a timbre of their own.
    """

    def __init__(
        self,
        bank: Bank,
        pool: dict[str, list[int]],
        tag_set: TagSet,
        lexicon: Lexicon,
        *,
        augment: float,
        style: Style,
    ) -> None:
        self.bank, self.pool, self.tag_set, self.lexicon = bank, pool, tag_set, lexicon
        self.augment, self.style = augment, style
        self.synthetic = {
            label: [i for i in rows if bank.recordings[i].synthetic] for label, rows in pool.items()
        }
        self.by_group = {label: _grouped(bank, rows) for label, rows in pool.items()}
        self.weight = {
            label: (len(self.by_group[label]) + SYNTHETIC_GROUPS * bool(self.synthetic[label])) ** 0.5
            for label in sorted(pool)
        }

    def place(self, rng: np.random.Generator, mention: Mention, span: Span) -> list[Placed]:
        """Return segments of recordings for a mention within a span."""
        style = self.style
        concept = self.lexicon.concepts.get(mention.concept) or Concept(mention.concept, (mention.concept,))
        labels = [label for label in concept.labels if label in self.pool]
        weight = np.array([self.weight[label] for label in labels])
        weight[0] *= style.first_label_weight
        mean = style.level_db[mention.level + 1] - (style.bed_db if concept.kind == "bed" else 0.0)
        gain = rng.normal(mean, style.level_deviation_db)
        voices = 1 if concept.count == 1 else int(rng.integers(2, concept.count + 2))
        out: list[Placed] = []
        for _ in range(voices):
            label = str(rng.choice(labels, p=weight / weight.sum()))
            group = self._original(rng, label)
            out.extend(self._fill(rng, concept, mention, label, group, span, gain))
        return out

    def _original(self, rng: np.random.Generator, label: str) -> list[int]:
        """Draw the recordings of one original, or a synthetic one."""
        groups, synthetic = self.by_group[label], self.synthetic[label]
        if synthetic and rng.random() < SYNTHETIC_GROUPS / (SYNTHETIC_GROUPS + len(groups)):
            return [synthetic[int(rng.integers(len(synthetic)))]]
        return groups[int(rng.integers(len(groups)))]

    def _fill(
        self,
        rng: np.random.Generator,
        concept: Concept,
        mention: Mention,
        label: str,
        group: list[int],
        span: Span,
        gain: float,
    ) -> list[Placed]:
        """Place stretches of one group's recordings: a background fills the span, an event may repeat."""
        style = self.style
        rate = float(np.exp(rng.normal(0, style.speed_deviation)))
        shift = int(np.rint(rng.normal(0, style.pitch_deviation)))
        shift += concept.shift if label != "child speaking" else 0
        wet = float(rng.uniform(*style.wet_db))
        plain = rng.random() >= self.augment
        timbre = bumps(rng, style.timbre_knots, 0.0) if plain else self._timbre(rng, label, group[0])
        tags = self.tag_set.of_label[label]
        most, gap, at = self._rhythm(rng, concept, mention, label, span)
        out: list[Placed] = []
        while at < span.last and len(out) < most:
            recording = group[int(rng.integers(len(group)))]
            whole = int(self.bank.length[recording])
            length = min(int(whole / rate), span.last - at)
            if length < 1:
                break
            source = int(rng.integers(0, max(1, whole - int(length * rate)))) if whole > length * rate else 0
            level = float(-self.bank.level[recording]) + gain
            level += float(rng.normal(0, style.stretch_deviation_db))
            out.append(Placed(recording, source, length, at, level, rate, shift, tags, wet, timbre))
            if at + length >= span.last:
                break
            at += length + int(rng.exponential(gap)) if gap else max(length - style.bed_overlap, 1)
        return out

    def _rhythm(
        self, rng: np.random.Generator, concept: Concept, mention: Mention, label: str, span: Span
    ) -> tuple[int, float, int]:
        """Draw (maximum stretches, mean frames between them or 0 for a background, first frame)."""
        style = self.style
        bed = concept.kind == "bed"
        gap = 0.0 if bed else float(rng.choice(style.gaps))
        if bed:
            most = style.bed_stretches
        else:
            most = int(rng.integers(*style.many_repeats) if mention.many else rng.choice(style.repeats))
        speech = label.endswith("speaking") or label in VOICES
        if speech:
            most, gap = int(rng.integers(*style.speech_repeats)), float(rng.choice(style.speech_gaps))
        room = (span.last - span.first) // (2 if most > 1 or speech else 1)
        return most, gap, span.first if bed else span.first + int(rng.integers(0, max(1, room)))

    def _timbre(self, rng: np.random.Generator, label: str, recording: int) -> np.ndarray:
        """Draw a response, which may be tilted towards the spectrum of another recording of the label."""
        style = self.style
        timbre = bumps(rng, style.timbre_knots, style.timbre_db)
        groups = self.by_group[label]
        if groups and rng.random() < style.lean_chance:
            other = groups[int(rng.integers(len(groups)))][0]
            lean = self.bank.colour[other] - self.bank.colour[recording]
            timbre += float(rng.uniform(0, style.lean_most)) * lean
        return timbre


def bumps(rng: np.random.Generator, knots: int, deviation: float) -> np.ndarray:
    """Draw a smooth random response: dB of each mel bin, [64]."""
    heights = rng.normal(0, deviation, size=knots)
    return np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, knots), heights).astype(np.float32)


def _grouped(bank: Bank, rows: list[int]) -> list[list[int]]:
    """Group real recordings, groups sorted by name."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i in rows:
        if not bank.recordings[i].synthetic:
            groups[bank.recordings[i].group].append(i)
    return [groups[name] for name in sorted(groups)]
