"""Composition of scenes: clips of several recordings of a bank, each composed to match a caption.

The lexicon parses a human caption into phases of mentions, and recordings are placed so that the scene
matches it in order, overlap, repeats and levels. A share of the scenes uses random labels and a template
caption instead, which covers classes without human captions.

A plan (recordings, times, levels) depends on (seed, index) alone; `render.py` renders plans to waveforms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from earwitness.features import HOP, N_MELS, SAMPLE_RATE
from earwitness.scenes.bank import Bank
from earwitness.scenes.caption_pool import CaptionPool
from earwitness.scenes.lexicon import Lexicon, Mention
from earwitness.scenes.phrases import plain_phrases
from earwitness.scenes.placing import Placed, Placer, Span, bumps
from earwitness.scenes.style import Style
from earwitness.scenes.tag_set import TagSet

FRAME_RATE = SAMPLE_RATE // HOP  # 100 frames per second

JOINTS = (" followed by ", ", then ", " and then ", " before ")
LAYERS = (" while ", " as ", " and ")


@dataclass
class Channel:
    """The transmission of a scene: room, noise, band limits, codec, level."""

    reverb_seconds: float = 0.0
    noise_db: float = -90.0
    noise_tilt: float = 0.0  # dB per mel bin
    low_cut: int = 0  # mel bins
    high_cut: int = N_MELS
    cut_slope: float = 3.0  # dB per mel bin beyond the cut
    eq: np.ndarray = field(default_factory=lambda: np.zeros(N_MELS, np.float32))
    compression: float = 0.0  # share of the loudness swing that an automatic gain removes
    holes_db: float = 200.0  # a codec removes bins this far below the loudest one of a frame
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
        style: Style | None = None,
    ):
        self.bank, self.pool, self.tag_set, self.style = bank, pool, tag_set, style or Style()
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
        self.placer = Placer(bank, pool, tag_set, self.lexicon, augment=augment, style=self.style)
        self.weight = self.placer.weight
        total = sum(self.weight.values())
        self.prior = np.array([self.weight[label] / total for label in self.labels])

    def plan(self, index: int, frames: int | None = None) -> Scene:
        """Return the scene of this index, which depends on (seed, index, frames) alone.

        frames: its length in 10 ms frames; default the composer's.
        """
        rng = np.random.default_rng((self.seed, index))
        frames = frames or self.frames
        if self.captions and rng.random() < self.human:
            caption, phases = self.captions.draw(rng)
        else:
            caption, phases = self._template(rng)
        placed: list[Placed] = []
        for span, mentions in zip(self._spans(rng, len(phases), frames), phases):
            for mention in mentions:
                placed.extend(self.placer.place(rng, mention, span))
        tags = tuple(sorted({t for p in placed for t in p.tags}))
        return Scene(caption, frames, placed, self._channel(rng), tags, int(rng.integers(2**31)))

    def _playable(self, mention: Mention) -> bool:
        return any(label in self.pool for label in self._labels(mention))

    def _labels(self, mention: Mention) -> tuple[str, ...]:
        concept = self.lexicon.concepts.get(mention.concept)
        return concept.labels if concept else (mention.concept,)

    def _template(self, rng: np.random.Generator) -> tuple[str, list[list[Mention]]]:
        """Draw labels, weighted by the root of their recordings, and compose a caption of their phrases."""
        count = int(rng.choice([1, 2, 3], p=self.style.template_labels))
        labels = list(dict.fromkeys(rng.choice(self.labels, size=count, p=self.prior).tolist()))
        phases: list[list[Mention]] = []
        caption = ""
        for label in labels:
            phrase = str(rng.choice(self.phrases[label]))
            mention = Mention(
                label, int(rng.choice([-1, 0, 1])), bool(rng.random() < self.style.template_many)
            )
            if not phases or rng.random() < self.style.template_joint:
                caption += (str(rng.choice(JOINTS)) if phases else "") + phrase
                phases.append([mention])
            else:
                caption += str(rng.choice(LAYERS)) + phrase
                phases[-1].append(mention)
        return caption, phases

    def _channel(self, rng: np.random.Generator) -> Channel:
        """Draw the effects of phone and web audio: rooms, noise, loudspeakers, codecs, automatic gain."""
        if rng.random() >= self.augment:
            return Channel()
        s = self.style
        channel = Channel(
            noise_db=float(rng.uniform(*s.noise_db)), noise_tilt=float(rng.normal(*s.noise_tilt))
        )
        if rng.random() < s.reverb_chance:
            channel.reverb_seconds = float(np.exp(rng.uniform(*np.log(s.reverb_seconds))))
        if rng.random() < s.high_cut_chance:
            channel.high_cut = int(rng.integers(*s.high_cut))
            channel.cut_slope = float(rng.choice(s.cut_slopes))
        if rng.random() < s.low_cut_chance:
            channel.low_cut = int(rng.integers(*s.low_cut))
        channel.eq = bumps(rng, s.equaliser_knots, s.equaliser_db)
        if rng.random() < s.compression_chance:
            channel.compression = float(rng.uniform(*s.compression))
        if rng.random() < s.holes_chance:
            channel.holes_db = float(rng.uniform(*s.holes_db))
        if rng.random() < s.grain_chance:
            channel.grain = float(rng.uniform(*s.grain_db))
        channel.peak = float(10 ** (rng.uniform(*s.peak_db) / 20))
        return channel

    def _spans(self, rng: np.random.Generator, phases: int, frames: int) -> list[Span]:
        """Cut a scene into one span per phase, neighbours overlapping a little."""
        s = self.style
        shares = rng.dirichlet(np.full(phases, s.span_concentration))
        edges = np.concatenate([[0.0], np.cumsum(shares)]) * frames
        overlap = int(rng.integers(*s.span_overlap))
        return [
            Span(max(0, int(a) - overlap), min(frames, max(int(b), int(a) + s.span_shortest)))
            for a, b in pairwise(edges)
        ]
