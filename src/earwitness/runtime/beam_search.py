"""Beam search in numpy: the captions that transformers' search finds, with `early_stopping` False.

Each step extends the n best unfinished beams of every clip by one token. Of the 2 n best extensions those
that end the caption compete with the finished ones by log-probability / length ** length_penalty; the n best
others continue. A clip is done when its best unfinished beam, at its present length, is worse than its worst
finished one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from earwitness.runtime.protocol import Array

Ids = NDArray[np.int64]
Processor = Callable[[Ids, Array], Array]
"""Token ids of every beam so far [B, n, t], logits of the next [B, n, V] -> other logits, in a new array."""

NEVER = np.float32(-1e9)


class Decoder(Protocol):
    """A language model that has read the prompts of B clips."""

    def first(self) -> Array:
        """Logits of the first token, [B, V]."""

    def next(self, tokens: Ids, parents: Ids) -> Array:
        """Logits [B, n, V] after one more token of every beam.

        tokens, parents: [B, n]; each beam continues the beam `parents` of the step before.
        """


class Found(NamedTuple):
    """Captions of B clips, the best first: token ids [B, n, L], padded with the end of sequence; how many
    tokens, that one included [B, n]; log-probability of all of them [B, n].
    """

    ids: Ids
    lengths: Ids
    log_probabilities: Array


def beam_search(
    decoder: Decoder,
    processors: Sequence[Processor],
    *,
    end: int,
    beams: int,
    max_new_tokens: int,
    min_new_tokens: int,
    length_penalty: float,
) -> Found:
    """end: id of the end of sequence, which is impossible before `min_new_tokens` tokens. beams: n."""
    logits = decoder.first()
    clips, vocabulary = logits.shape
    logits = np.repeat(logits[:, None], beams, 1)
    running = np.full((clips, beams), NEVER, np.float32)
    running[:, 0] = 0.0  # else all beams would choose the same first token
    said = np.zeros((clips, beams, 0), np.int64)
    finished = _Finished(clips, beams, max_new_tokens, end, length_penalty)
    for length in range(1, max_new_tokens + 1):
        for processor in processors:
            logits = processor(said, logits)
        if length <= min_new_tokens:
            logits = logits.copy()
            logits[..., end] = -np.inf
        totals = log_softmax(logits)
        totals += running[..., None]
        totals = totals.reshape(clips, -1)
        best = _largest(totals, 2 * beams)
        parents, tokens = np.divmod(best, vocabulary)  # [B, 2 n]
        totals = np.take_along_axis(totals, best, 1)
        extended = np.concatenate([_rows(said, parents), tokens[..., None]], 2)
        ends = (tokens == end) | (length == max_new_tokens)
        finished.add(extended, totals, ends)

        totals = totals + np.where(ends, NEVER, np.float32(0.0))
        going = _largest(totals, beams)
        running, said = np.take_along_axis(totals, going, 1), _rows(extended, going)
        finished.close(running[:, 0], length)
        if not finished.open.any() or ends.all():
            break
        logits = decoder.next(said[..., -1], np.take_along_axis(parents, going, 1))
    return finished.found()


class _Finished:
    """The n best finished beams of every clip, and which clips may still get better ones."""

    def __init__(self, clips: int, beams: int, most: int, end: int, length_penalty: float) -> None:
        self.ids = np.full((clips, beams, most), end, np.int64)
        self.scores = np.full((clips, beams), NEVER, np.float32)
        self.lengths = np.zeros((clips, beams), np.int64)
        self.open = np.ones(clips, bool)
        self.end, self.penalty = end, np.float32(length_penalty)

    def add(self, extended: Ids, totals: Array, ends: NDArray[np.bool_]) -> None:
        """Of 2 n extensions [B, 2 n, length], the best first, those among the first n that end compete."""
        beams, length = self.ids.shape[1], extended.shape[2]
        ending = ends & self.open[:, None] & (np.arange(2 * beams) < beams)
        own = np.where(ending, totals / np.float32(length) ** self.penalty, NEVER)
        scores = np.concatenate([self.scores, own], 1)
        kept = _largest(scores, beams)
        padded = np.full((*extended.shape[:2], self.ids.shape[2]), self.end)
        padded[..., :length] = extended
        self.ids = _rows(np.concatenate([self.ids, padded], 1), kept)
        lengths = np.concatenate([self.lengths, np.full(ends.shape, length)], 1)
        self.lengths, self.scores = (np.take_along_axis(x, kept, 1) for x in (lengths, scores))

    def close(self, running: Array, length: int) -> None:
        """Close clips whose best unfinished beam [B] is worse at its length than their worst finished one."""
        self.open &= running / np.float32(length) ** self.penalty > self.scores.min(1)

    def found(self) -> Found:
        sums = self.scores * self.lengths.astype(np.float32) ** self.penalty
        return Found(self.ids[..., : self.lengths.max()], self.lengths, sums)


def log_softmax(x: Array) -> Array:
    """Along the last axis."""
    x = x - x.max(-1, keepdims=True)
    x -= np.log(np.exp(x).sum(-1, keepdims=True))
    return x


def _largest(x: Array, count: int) -> Ids:
    """The places of the `count` largest of each row, the largest first; of equals the first in the row."""
    x, rows = x.copy(), np.arange(len(x))
    places = np.empty((len(x), count), np.int64)
    for rank in range(count):  # repeated maxima: ten times faster than a partition
        places[:, rank] = x.argmax(1)
        x[rows, places[:, rank]] = -np.inf
    return places


def _rows(x: Ids, places: Ids) -> Ids:
    """[B, n, L] -> [B, m, L], rows `places` [B, m] of each clip."""
    return np.take_along_axis(x, places[..., None], 1)
