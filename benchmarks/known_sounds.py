"""Clips of known content from a bank's held-out recordings, and captions compared with it by the lexicon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earwitness.features import SAMPLE_RATE
from earwitness.media.containers import MediaError
from earwitness.scenes.lexicon import Lexicon
from earwitness.scenes.recordings import Recording, held_out_groups, read_manifest

SHORTEST, LONGEST = 0.2, 10.0  # s of a clip
QUIETEST = 0.001  # peak of a recording that is used
MAX_OVERLAP = 0.25  # of the shorter sound, where one follows the other
ANY = 99  # words that the lexicon need not explain


@dataclass(frozen=True)
class Example:
    """A clip of known content. spans: first and last second of each label's sound."""

    waveform: NDArray[np.float32]
    labels: tuple[str, ...]
    spans: tuple[tuple[float, float], ...]
    groups: frozenset[str]


def held_out(folder: Path, rng: np.random.Generator) -> Iterator[tuple[Recording, NDArray[np.float32]]]:
    """Held-out recordings, one of a group, in random order; those that cannot be read are left out."""
    recordings = read_manifest(folder)
    groups = set(held_out_groups(recordings))
    for i in rng.permutation(len(recordings)):
        recording = recordings[i]
        if recording.group not in groups:
            continue
        groups.remove(recording.group)
        try:
            waveform = recording.waveform(folder)[: round(LONGEST * SAMPLE_RATE)]
        except MediaError:
            continue
        peak = np.abs(waveform).max(initial=0.0)
        if peak > QUIETEST and len(waveform) > SHORTEST * SAMPLE_RATE:
            yield recording, (waveform * (0.5 / peak)).astype(np.float32)


def scene(parts: Sequence[tuple[Recording, NDArray[np.float32]]], rng: np.random.Generator) -> Example:
    """Two or three recordings that follow each other or overlap; levels differ by up to 12 dB."""
    in_turn, at, placed = rng.random() < 0.5, 0.0, []
    for _, waveform in parts:
        seconds = min(len(waveform) / SAMPLE_RATE, LONGEST / len(parts) if in_turn else LONGEST)
        placed.append((at, at + seconds))
        at = at + seconds + rng.uniform(0, 0.5) if in_turn else rng.uniform(0, 1.0)
    mix = np.zeros(round(min(LONGEST, max(end for _, end in placed)) * SAMPLE_RATE), np.float32)
    for (start, end), (_, waveform) in zip(placed, parts):
        first = round(start * SAMPLE_RATE)
        piece = waveform[: min(round((end - start) * SAMPLE_RATE), len(mix) - first)]
        mix[first : first + len(piece)] += piece * np.float32(10 ** (rng.uniform(-12, 0) / 20))
    labels, groups = tuple(r.label for r, _ in parts), frozenset(r.group for r, _ in parts)
    return Example(mix, labels, tuple(placed), groups)


def examples(folder: Path, recordings: int, scenes: int, seed: int = 0) -> list[Example]:
    """Single recordings, then scenes; both of the same held-out recordings."""
    rng = np.random.default_rng(seed)
    sounds = []
    for sound in held_out(folder, rng):
        sounds.append(sound)
        if len(sounds) == recordings:
            break
    if not sounds:
        raise SystemExit(f"{folder} holds no recordings that training leaves out")
    made = [Example(w, (r.label,), ((0.0, len(w) / SAMPLE_RATE),), frozenset([r.group])) for r, w in sounds]
    for _ in range(scenes):
        count = min(len(sounds), int(rng.choice([2, 2, 3])))
        chosen = rng.choice(len(sounds), size=count, replace=False)
        made.append(scene([sounds[i] for i in chosen], rng))
    return made


class Judge:
    """Compares captions with what is in their clips, by the lexicon."""

    def __init__(self) -> None:
        self.lexicon = Lexicon.default()
        self.kin: dict[str, set[str]] = {}  # label -> labels that a concept joins with it
        for concept in self.lexicon.concepts.values():
            for label in concept.labels:
                self.kin.setdefault(label, {label}).update(
                    concept.labels[:3] if label in concept.labels[:3] else ()
                )

    def named(self, text: str) -> list[set[str]]:
        """The labels of each sound that a caption names."""
        phases = self.lexicon.read(text, tolerance=ANY) or []
        concepts = dict.fromkeys(mention.concept for phase in phases for mention in phase)
        return [set(self.lexicon.concepts[name].labels) for name in concepts]

    def right(self, named: Sequence[set[str]], labels: Sequence[str]) -> bool:
        heard = set().union(*(self.kin.get(label, {label}) for label in labels))
        return bool(named) and all(own & heard for own in named)

    def events(self, named: Sequence[set[str]]) -> int:
        """Sounds of different sources; labels that begin alike, "dog barking", "dog growling", are of one."""
        sources: list[set[str]] = []
        for own in named:
            words = {label.split()[0] for label in own}
            joined = [other for other in sources if other & words]
            sources = [other for other in sources if not other & words] + [words.union(*joined)]
        return len(sources)

    def ordered(self, example: Example) -> bool:
        """Whether one sound of another source follows another."""
        pairs = combinations(zip(example.labels, example.spans), 2)
        return any(
            b not in self.kin.get(a, {a})
            and min(ends[1], other[1]) - max(ends[0], other[0])
            <= MAX_OVERLAP * min(ends[1] - ends[0], other[1] - other[0])
            for (a, ends), (b, other) in pairs
        )
