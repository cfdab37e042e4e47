"""Segmentation of recordings at changes of sound: overlapping windows in, clips of one sound each out.

The encoder's tags of every 160 ms are averaged over overlapping windows, and the recording is cut at the
least-squares change points of the tags, with a penalty for each, found exactly by dynamic programming
(Jackson et al. 2005). Silence, digital or inaudibly faint beside the sound around it, is a class of its own,
so that it is cut out exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earwitness.clips import SILENCE, Clip, FrameSampler, reopenable
from earwitness.media import reading as media
from earwitness.media.source import name_of
from earwitness.prefetch import batches, draw_ahead
from earwitness.runtime.protocol import CaptioningModel

STEP = 0.16  # s, one token of the built-in encoder
SHORTEST = 5  # steps: a caption covers at least 0.8 s
PRICE = 3.0  # squared logits of an average tag, summed over time, that a cut must explain: docs/LOG.md
OVERLAP = 0.2  # of a window: its edges are encoded again with their context
FAINT = 2.0**-8  # peak to peak: noise of about -66 dB of full scale, room tone; fainter may be silence, ...
BESIDE = 0.01  # ... if it is 40 dB below the loudest step of the half minute around it
MARK = 100.0  # value of the silence feature
SURE = 8.0  # logits are clipped to +-8

Array = NDArray[np.float32]
Silent = NDArray[np.bool_]  # [T], of each step
TagTrack = Callable[[Sequence[Clip]], list[Array]]


def timeline_clips(
    source: Any,
    model: CaptioningModel,
    window: float,
    hop: float | None,
    sampler: FrameSampler | None,
    *,
    batch_size: int,
) -> Iterator[Clip]:
    """Yield a source as clips of at most `window` seconds, cut where its sounds change.

    hop: s from one encoded window to the next; default four fifths of one. With an encoder without
    frame-level tags the windows themselves are the clips, and hop is by default one window. Raises ValueError
    at once, MediaError while clips are read.
    """
    rate, track = model.sample_rate, tag_track_of(model)
    name, source = name_of(source), reopenable(source, sampler)
    if hop is None and track:
        hop = (1 - OVERLAP) * window
    drawn = media.windows(source, window, hop, rate, resampler=model.resampler)
    clips = draw_ahead((Clip(w.waveform, w.start, w.end, name) for w in drawn), most=batch_size)
    if track:
        clips = event_clips(clips, track, window, rate, batch_size=batch_size)
    return (sampler(source, clip) for clip in clips) if sampler else clips


def tag_track_of(model: CaptioningModel) -> TagTrack | None:
    """Return the model's frame-level tagger; None if it has none."""
    if not model.tags_over_time:
        return None
    return lambda clips: model.tag_logits([clip.waveform for clip in clips])


def event_clips(
    windows: Iterable[Clip], tag_track: TagTrack, window: float, rate: int, *, batch_size: int
) -> Iterator[Clip]:
    """Cut overlapping windows of a recording into consecutive clips that cover all of it.

    tag_track: clips -> the tag logits [N, tags] of each, N tokens that divide its time evenly. window:
    maximum duration of a clip, s. At most three windows are in memory.
    """
    longest = max(1, int(window / STEP))
    pending = _Pending(round(STEP * rate), rate)
    for batch in batches(windows, batch_size):
        for clip, logits in zip(batch, tag_track(batch), strict=True):
            known = pending.known_before(clip)
            if known >= 2 * longest:
                yield from pending.cut(known, longest, known - longest)
            pending.add(clip, logits)
    yield from pending.cut(pending.frames, longest, pending.frames)


def change_points(track: Array, longest: int, shortest: int, price: float) -> list[int]:
    """Cut [T, D] into parts that minimise the squared deviation from their means plus `price` for each part.

    Parts last `shortest` to `longest` steps (shortest <= (longest + 1) / 2; all is one part where T is less).
    Returns the ends of the parts, the last one T. O(T^2) numbers, O(T * longest) steps.
    """
    total = len(track)
    if total <= shortest:
        return [total]
    sums = np.concatenate([np.zeros((1, track.shape[1])), np.cumsum(track, 0, dtype=np.float64)])
    squares = np.concatenate([[0.0], np.cumsum(np.square(track, dtype=np.float64).sum(1))])
    lengths, stops = np.arange(longest, shortest - 1, -1), np.arange(total + 1)[:, None]
    begins = (stops - lengths).clip(0)  # [T + 1, lengths]
    products = sums @ sums.T
    norms = products.diagonal()
    between = norms[stops] + norms[begins] - 2 * products[stops, begins]
    costs = squares[stops] - squares[begins] - between / lengths + price
    costs[stops < lengths] = np.inf
    best, previous = np.full(total + 1, np.inf), np.zeros(total + 1, np.int64)
    best[0] = 0.0
    for end in range(shortest, total + 1):
        totals = best[begins[end]] + costs[end]
        chosen = totals.argmin()
        best[end], previous[end] = totals[chosen], begins[end, chosen]
    ends = [total]
    while previous[ends[-1]]:
        ends.append(int(previous[ends[-1]]))
    return ends[::-1]


def without_remnants(track: Array, silent: Silent, ends: list[int], shortest: int) -> Array:
    """Give remnants of a sound the features of the part beside them, so that they are not cut off.

    ends: of the current parts. More than half of a remnant is silent, but in no run of `shortest` steps,
    which would be captioned as silence.
    """
    track, parts = track.copy(), [slice(*part) for part in pairwise([0, *ends])]
    for i, part in enumerate(parts):
        beside = [p for p in parts[max(0, i - 1) : i + 2] if p != part and not silent[p].all()]
        if beside and silent[part].mean() > 0.5 and _longest_run(silent[part]) < shortest:
            track[part] = track[beside[0]].mean(0)
    return track


def _longest_run(silent: Silent) -> int:
    runs = np.flatnonzero(np.diff(silent, prepend=False, append=False)).reshape(-1, 2)
    return int(np.diff(runs).max(initial=0))


class _Pending:
    """The part of a recording that is encoded but not yet cut."""

    def __init__(self, step: int, rate: int) -> None:
        self.step, self.rate = step, rate  # samples a step, samples a second
        self.begin = 0  # steps that were cut off already
        self.samples: Array = np.zeros(0, np.float32)
        self.sums: Array | None = None  # [T, tags], logits times their weight
        self.weights: Array = np.zeros((0, 1), np.float32)
        self.source = ""

    @property
    def frames(self) -> int:
        return -(-len(self.samples) // self.step)

    def known_before(self, clip: Clip) -> int:
        """Number of steps that this window and all later ones leave unchanged."""
        return round(clip.start * self.rate / self.step) - self.begin

    def add(self, clip: Clip, logits: Array) -> None:
        """Add a window's logits, weighted most in its middle, where it has context on both sides."""
        first = self.known_before(clip)
        at = round(clip.start * self.rate) - self.begin * self.step
        self.samples = np.concatenate([self.samples[:at], clip.waveform])
        self.source = clip.source
        count = self.frames - first
        token = (np.arange(count) * len(logits) // count).clip(max=len(logits) - 1)
        weight = np.minimum(np.arange(count) + 1, np.arange(count, 0, -1)).astype(np.float32)[:, None]
        grown = self.frames - len(self.weights)
        if self.sums is None:
            self.sums = np.zeros((0, logits.shape[1]), np.float32)
        self.sums = np.pad(self.sums, ((0, max(0, grown)), (0, 0)))
        self.weights = np.pad(self.weights, ((0, max(0, grown)), (0, 0)))
        self.sums[first : first + count] += weight * logits[token].clip(-SURE, SURE)
        self.weights[first : first + count] += weight

    def cut(self, known: int, longest: int, until: int) -> Iterator[Clip]:
        """Cut the first `known` steps; yield, and remove, the clips that end by step `until`."""
        if self.sums is None or not known:
            return
        shortest = min(SHORTEST, (longest + 1) // 2)
        swings = self._swings()
        silent = swings[:known] <= max(SILENCE, min(FAINT, BESIDE * swings.max()))
        track = self._features(swings[:known] <= SILENCE)
        ends = change_points(track, longest, shortest, PRICE)
        if not np.array_equal(joined := without_remnants(track, silent, ends, shortest), track):
            ends = change_points(joined, longest, shortest, PRICE)
        ends = [end for end in ends if end <= until]
        for first, last in pairwise([0, *ends]):
            waveform = self.samples[first * self.step : last * self.step].copy()
            start = (self.begin + first) * self.step
            end, faint = start + len(waveform), bool(silent[first:last].all())
            yield Clip(waveform, start / self.rate, end / self.rate, self.source, faint=faint)
        done = ends[-1]
        self.samples = self.samples[done * self.step :].copy()
        self.sums, self.weights = self.sums[done:].copy(), self.weights[done:].copy()
        self.begin += done

    def _swings(self) -> Array:
        """Peak-to-peak amplitude of each step, [T]."""
        begins = range(0, len(self.samples), self.step)
        return np.array([np.ptp(self.samples[begin : begin + self.step]) for begin in begins])

    def _features(self, silent: Silent) -> Array:
        """Features [T, tags + 1]: logits, scaled to the distances of an average tag, and a silence mark."""
        assert self.sums is not None
        logits = self.sums[: len(silent)] / self.weights[: len(silent)].clip(1e-6)
        return np.concatenate([logits / logits.shape[1] ** 0.5, MARK * silent[:, None]], 1, dtype=np.float32)
