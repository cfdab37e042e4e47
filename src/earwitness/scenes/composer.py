"""Scenes: clips composed from several recordings of a bank, each with the caption it was composed after.

Caption first: a human caption is read by the lexicon as phases of mentions, and recordings are placed so
that the scene is what the caption says: order, overlap, repeats, background softer. A share of the scenes
takes random labels and a template caption instead, which fills classes that humans never captioned.

Planning (which recording, when, how loud) is numpy on one scene and depends on (seed, index) alone;
rendering (`render.py`) turns plans into waveforms.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from earwitness.features import HOP, N_MELS, SAMPLE_RATE
from earwitness.scenes.bank import Bank
from earwitness.scenes.caption_pool import CaptionPool
from earwitness.scenes.lexicon import Concept, Lexicon, Mention
from earwitness.scenes.phrases import plain_phrases
from earwitness.scenes.tag_set import TagSet

FRAME_RATE = SAMPLE_RATE // HOP  # 100 frames per second

JOINTS = (" followed by ", ", then ", " and then ", " before ")
LAYERS = (" while ", " as ", " and ")
MADE = 8  # as many original recordings a label's synthetic ones stand for, however many they are


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
    timbre: np.ndarray  # dB of each mel bin: no two dogs, doors or microphones sound alike


@dataclass
class Channel:
    """How the sound got to the listener: room, noise, band, level."""

    reverb_seconds: float = 0.0
    noise_db: float = -90.0
    noise_tilt: float = 0.0  # dB per mel bin
    low_cut: int = 0  # mel bins
    high_cut: int = N_MELS
    cut_slope: float = 3.0  # dB per mel bin beyond the cut
    eq: np.ndarray = field(default_factory=lambda: np.zeros(N_MELS, np.float32))
    compression: float = 0.0  # share of the loudness swing that an automatic gain takes away
    holes_db: float = 200.0  # a codec empties what is this far below the loudest bin of a frame
    grain: float = 0.0  # dB by which codecs and noise suppressors roughen a spectrogram
    peak: float = 0.7  # of the loudest sample, of full scale


@dataclass
class Scene:
    caption: str
    frames: int
    placed: list[Placed]
    channel: Channel
    tags: tuple[int, ...]
    seed: int


class Composer:
    """Plans scenes from a bank and captions.

    captions: human captions. pool: label -> recordings that may be used (a split of the bank).
    balance: how much captions of rare sounds are favoured (`CaptionPool`).
    human: share of scenes composed after a human caption. augment: 0 no channel, 1 the full range.
    """

    def __init__(
        self,
        bank: Bank,
        pool: dict[str, list[int]],
        tag_set: TagSet,
        captions: list[str],
        *,
        lexicon: Lexicon | None = None,
        seconds: float = 10.0,
        human: float = 0.7,
        augment: float = 1.0,
        tolerance: int = 1,
        balance: float = 0.0,
        seed: int = 0,
    ):
        self.bank, self.pool, self.tag_set = bank, pool, tag_set
        self.lexicon = lexicon or Lexicon.default()
        self.frames = int(seconds * FRAME_RATE)
        self.human, self.augment, self.seed = human, augment, seed
        self.captions = CaptionPool(
            captions, self.lexicon, self._playable, tolerance=tolerance, balance=balance
        )
        self.labels = sorted(pool)
        self.phrases = {
            label: plain_phrases(
                label, [r.hint for r in map(bank.recordings.__getitem__, rows) if not r.synthetic]
            )
            for label, rows in pool.items()
        }
        self.made = {label: [i for i in rows if bank.recordings[i].synthetic] for label, rows in pool.items()}
        self.by_group = {label: _grouped(bank, rows) for label, rows in pool.items()}
        self.weight = {
            label: (len(self.by_group[label]) + MADE * bool(self.made[label])) ** 0.5 for label in self.labels
        }
        total = sum(self.weight.values())
        self.prior = np.array([self.weight[label] / total for label in self.labels])

    def plan(self, index: int, frames: int | None = None) -> Scene:
        """The scene of this index: the same for the same (seed, index, frames), whoever asks and when.

        frames: its length in 10 ms frames; default the composer's.
        """
        rng = np.random.default_rng((self.seed, index))
        frames = frames or self.frames
        if self.captions and rng.random() < self.human:
            caption, phases = self.captions.draw(rng)
        else:
            caption, phases = self._template(rng)
        placed: list[Placed] = []
        for (first, last), mentions in zip(_spans(rng, len(phases), frames), phases):
            for mention in mentions:
                placed.extend(self._place(rng, mention, first, last))
        tags = tuple(sorted({t for p in placed for t in p.tags}))
        return Scene(caption, frames, placed, self._channel(rng), tags, int(rng.integers(2**31)))

    def _playable(self, mention: Mention) -> bool:
        return any(label in self.pool for label in self._labels(mention))

    def _labels(self, mention: Mention) -> tuple[str, ...]:
        concept = self.lexicon.concepts.get(mention.concept)
        return concept.labels if concept else (mention.concept,)

    def _template(self, rng: np.random.Generator) -> tuple[str, list[list[Mention]]]:
        """Random labels, by square root of their recordings, and the bank's plain words for them."""
        count = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
        labels = list(dict.fromkeys(rng.choice(self.labels, size=count, p=self.prior).tolist()))
        phases: list[list[Mention]] = []
        caption = ""
        for label in labels:
            phrase = str(rng.choice(self.phrases[label]))
            mention = Mention(label, int(rng.choice([-1, 0, 1])), bool(rng.random() < 0.4))
            if not phases or rng.random() < 0.4:
                caption += (str(rng.choice(JOINTS)) if phases else "") + phrase
                phases.append([mention])
            else:
                caption += str(rng.choice(LAYERS)) + phrase
                phases[-1].append(mention)
        return caption, phases

    def _place(self, rng: np.random.Generator, mention: Mention, first: int, last: int) -> list[Placed]:
        concept = self.lexicon.concepts.get(mention.concept) or Concept(mention.concept, (mention.concept,))
        labels = [label for label in concept.labels if label in self.pool]
        weight = np.array([self.weight[label] for label in labels])
        weight[0] *= 2  # the first label is what the word means before all
        gain = rng.normal((-9.0, 0.0, 3.0)[mention.level + 1] - (3.0 if concept.kind == "bed" else 0.0), 4.0)
        voices = 1 if concept.count == 1 else int(rng.integers(2, concept.count + 2))
        out: list[Placed] = []
        for _ in range(voices):
            label = str(rng.choice(labels, p=weight / weight.sum()))
            group = self._original(rng, label)
            out.extend(self._fill(rng, concept, mention, label, group, first, last, gain))
        return out

    def _original(self, rng: np.random.Generator, label: str) -> list[int]:
        """The recordings of one original, or a synthetic one."""
        groups, made = self.by_group[label], self.made[label]
        if made and rng.random() < MADE / (MADE + len(groups)):
            return [made[int(rng.integers(len(made)))]]
        return groups[int(rng.integers(len(groups)))]

    def _fill(
        self,
        rng: np.random.Generator,
        concept: Concept,
        mention: Mention,
        label: str,
        group: list[int],
        first: int,
        last: int,
        gain: float,
    ) -> list[Placed]:
        """Stretches of one group's recordings over a span: a bed goes on, an event comes once or again."""
        rate = float(np.exp(rng.normal(0, 0.12)))
        shift = int(np.rint(rng.normal(0, 1.3))) + (concept.shift if label != "child speaking" else 0)
        wet = float(rng.uniform(-25, 3))
        timbre = self._timbre(rng, label, group[0]) if rng.random() < self.augment else _bumps(rng, 5, 0.0)
        tags = self.tag_set.of_label[label]
        bed = concept.kind == "bed"
        span = last - first
        gap_scale = 0.0 if bed else float(rng.choice([8, 25, 80]))
        most = 60 if bed else int(rng.integers(3, 13)) if mention.many else int(rng.choice([1, 1, 2, 3, 5]))
        speech = label.endswith("speaking") or label in (
            "singing",
            "radio chatter",
            "baby crying",
            "laughing",
        )
        if speech:
            most, gap_scale = int(rng.integers(2, 6)), float(rng.choice([10, 40]))
        at = first if bed else first + int(rng.integers(0, max(1, span // (2 if most > 1 or speech else 1))))
        out: list[Placed] = []
        while at < last and len(out) < most:
            recording = group[int(rng.integers(len(group)))]
            whole = int(self.bank.length[recording])
            length = min(int(whole / rate), last - at)
            if length < 1:
                break
            source = int(rng.integers(0, max(1, whole - int(length * rate)))) if whole > length * rate else 0
            level = float(-self.bank.level[recording]) + gain + float(rng.normal(0, 1.0))
            out.append(Placed(recording, source, length, at, level, rate, shift, tags, wet, timbre))
            if at + length >= last:
                break
            at += length + int(rng.exponential(gap_scale)) if gap_scale else max(length - 5, 1)
        return out

    def _timbre(self, rng: np.random.Generator, label: str, recording: int) -> np.ndarray:
        """A response of its own; half of the time it leans towards the colour of another one of the label."""
        timbre = _bumps(rng, 5, 4.0)
        groups = self.by_group[label]
        if groups and rng.random() < 0.5:
            other = groups[int(rng.integers(len(groups)))][0]
            lean = self.bank.colour[other] - self.bank.colour[recording]
            timbre += float(rng.uniform(0, 0.8)) * lean
        return timbre

    def _channel(self, rng: np.random.Generator) -> Channel:
        """Phone and YouTube sound: rooms, hiss and rumble, small loudspeakers, codecs, automatic gain."""
        if rng.random() >= self.augment:
            return Channel()
        channel = Channel(noise_db=float(rng.uniform(-60, -8)), noise_tilt=float(rng.normal(-0.25, 0.25)))
        if rng.random() < 0.6:
            channel.reverb_seconds = float(np.exp(rng.uniform(np.log(0.15), np.log(2.5))))
        if rng.random() < 0.4:
            channel.high_cut = int(rng.integers(28, 62))
            channel.cut_slope = float(rng.choice([1.5, 4, 12]))
        if rng.random() < 0.3:
            channel.low_cut = int(rng.integers(1, 10))
        channel.eq = _bumps(rng, 6, 3.5)
        if rng.random() < 0.4:
            channel.compression = float(rng.uniform(0.1, 0.6))
        if rng.random() < 0.3:
            channel.holes_db = float(rng.uniform(30, 60))
        if rng.random() < 0.2:
            channel.grain = float(rng.uniform(0, 3))
        channel.peak = float(10 ** (rng.uniform(-26, 0) / 20))
        return channel


def _grouped(bank: Bank, rows: list[int]) -> list[list[int]]:
    """Real recordings by their group, groups in the order of their names."""
    groups: dict[str, list[int]] = defaultdict(list)
    for i in rows:
        if not bank.recordings[i].synthetic:
            groups[bank.recordings[i].group].append(i)
    return [groups[name] for name in sorted(groups)]


def _bumps(rng: np.random.Generator, knots: int, deviation: float) -> np.ndarray:
    """A smooth random response: dB of each mel bin, [64]."""
    heights = rng.normal(0, deviation, size=knots)
    return np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, knots), heights).astype(np.float32)


def _spans(rng: np.random.Generator, phases: int, frames: int) -> list[tuple[int, int]]:
    """Cuts a scene into one span a phase, neighbours overlapping a little."""
    edges = np.concatenate([[0.0], np.cumsum(rng.dirichlet(np.full(phases, 4.0)))]) * frames
    overlap = int(rng.integers(0, 40))
    return [(max(0, int(a) - overlap), min(frames, max(int(b), int(a) + 60))) for a, b in pairwise(edges)]
