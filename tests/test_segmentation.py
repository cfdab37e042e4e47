"""Cuts are the best there are, and what is cut is the whole recording and nothing twice."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.clips import Clip
from earwitness.media import reading as media
from earwitness.segmentation import PRICE, SHORTEST, STEP, _Pending, change_points, event_clips

RATE = 16_000


def cost(track, ends, price) -> float:
    parts = [track[a:b] for a, b in pairwise([0, *ends])]
    return sum(float(((part - part.mean(0)) ** 2).sum()) + price for part in parts)


def best_by_trying_all(track, longest, shortest, price) -> float:
    def tails(begin):
        if begin == len(track):
            yield []
        for end in range(begin + shortest, min(begin + longest, len(track)) + 1):
            yield from ([end, *rest] for rest in tails(end))

    return min(cost(track, ends, price) for ends in tails(0))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 13), st.integers(1, 4), st.floats(0.0, 3.0))
def test_change_points_are_the_best_of_all(seed, total, shortest, price):
    track = np.random.default_rng(seed).normal(size=(total, 2)).astype(np.float32).cumsum(0)
    longest = 2 * shortest + 1
    ends = change_points(track, longest, shortest, price)
    assert ends[-1] == total
    if total <= shortest:
        assert ends == [total]
        return
    assert all(shortest <= b - a <= longest for a, b in pairwise([0, *ends]))
    assert cost(track, ends, price) == pytest.approx(best_by_trying_all(track, longest, shortest, price))


def test_change_points_find_what_was_planted():
    rng = np.random.default_rng(0)
    truth = [20, 27, 60, 100]
    means = rng.normal(size=(4, 5)) * 4
    track = np.repeat(means, np.diff([0, *truth]), axis=0) + 0.2 * rng.normal(size=(100, 5))
    assert change_points(track, 62, SHORTEST, PRICE) == truth


def windows_of(waveform: np.ndarray, window: float, hop: float) -> list[Clip]:
    return [Clip(w.waveform, w.start, w.end, "it") for w in media.windows(waveform, window, hop)]


def loudness_track(clips):
    """A tagger that tells loud from soft, on a grid of its own (tokens of 0.1 s)."""
    tracks = []
    for clip in clips:
        parts = np.array_split(clip.waveform, max(1, round(len(clip.waveform) / 1600)))
        tracks.append(np.array([[8.0 if np.abs(part).mean() > 0.1 else -8.0] for part in parts], np.float32))
    return tracks


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([0.01, 0.5]), st.floats(0.02, 6.0)), min_size=1, max_size=8),
    st.sampled_from([1.0, 2.5, 4.0]),
    st.sampled_from([0.3, 0.5, 1.0]),
    st.integers(1, 5),
)
def test_clips_are_the_recording_in_order_and_no_longer_than_the_window(parts, window, share, batch_size):
    waveform = np.concatenate([np.full(round(s * RATE), a, np.float32) for a, s in parts])
    waveform *= np.random.default_rng(0).choice([-1, 1], len(waveform)).astype(np.float32)
    drawn = windows_of(waveform, window, share * window)
    clips = list(event_clips(drawn, loudness_track, window, RATE, batch_size=batch_size))
    assert np.array_equal(np.concatenate([clip.waveform for clip in clips]), waveform)
    assert clips[0].start == 0 and clips[-1].end == len(waveform) / RATE
    for a, b in pairwise(clips):
        assert a.end == b.start
    assert all(len(clip.waveform) <= max(round(window * RATE), len(drawn[0].waveform)) for clip in clips)
    assert all(len(clip.waveform) == round((clip.end - clip.start) * RATE) for clip in clips)


@pytest.mark.parametrize("share", [0.3, 0.8, 1.0])
def test_cuts_lie_where_the_tags_change_wherever_the_windows_lie(share):
    lengths = [3.0, 1.5, 7.0, 2.0, 12.0, 4.4]
    signs = np.random.default_rng(0).choice([-1.0, 1.0], round(sum(lengths) * RATE))
    levels = np.concatenate([np.full(round(s * RATE), (0.01, 0.5)[i % 2]) for i, s in enumerate(lengths)])
    drawn = windows_of((signs * levels).astype(np.float32), 10.0, share * 10.0)
    clips = list(event_clips(drawn, loudness_track, 10.0, RATE, batch_size=2))
    cuts = np.array([clip.start for clip in clips])
    for truth in np.cumsum(lengths)[:-1]:
        assert np.abs(cuts - truth).min() <= 1.5 * STEP
    assert len(clips) <= len(lengths) + 2  # the one of 12 s is longer than a window


def faint_noise(seconds: float, peak: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-peak, peak, round(seconds * RATE)).astype(np.float32)


def cut(waveform: np.ndarray) -> list[Clip]:
    return list(event_clips(windows_of(waveform, 10.0, 8.0), fickle_track, 10.0, RATE, batch_size=2))


def fickle_track(clips):
    """A tagger that hears something else yet in what is all but silent, a token for each step."""
    size = round(STEP * RATE)
    steps = [[clip.waveform[i : i + size] for i in range(0, len(clip.waveform), size)] for clip in clips]
    return [np.array([[8.0 if np.ptp(step) > 0.01 else -8.0] for step in own], np.float32) for own in steps]


def test_what_is_all_but_silent_beside_the_rest_is_silence():
    """Room tone 60 dB below a street is nothing to caption; its cuts lie where the tags change."""
    clips = cut(np.concatenate([faint_noise(4.0, 0.5), faint_noise(2.4, 0.0005), faint_noise(4.0, 0.5)]))
    (silence,) = [clip for clip in clips if clip.is_silent]
    assert (silence.start, silence.end) == (pytest.approx(4.0, abs=STEP + 1e-6), pytest.approx(6.4))


@pytest.mark.parametrize("peak", [0.0005, 0.02, 0.5])
def test_a_recording_that_is_soft_as_a_whole_is_not_silent(peak):
    assert not any(clip.is_silent for clip in cut(faint_noise(12.0, peak)))


def test_what_is_soft_beside_the_rest_is_not_silent():
    assert not any(
        clip.is_silent for clip in cut(np.concatenate([faint_noise(4, 0.5), faint_noise(4, 0.01)]))
    )


@pytest.mark.parametrize("at_end", [True, False])
def test_a_rest_that_is_mostly_silent_stays_with_the_sound_beside_it(at_end):
    """A sound that dies away in the last half second: nothing new is heard there."""
    sound = [faint_noise(5.0, 0.5), faint_noise(0.65, 0.0005)]
    clips = cut(np.concatenate(sound if at_end else sound[::-1]))
    assert [(clip.start, clip.end) for clip in clips] == [(0.0, 5.65)]


def test_memory_does_not_grow_with_the_recording(monkeypatch):
    held = []
    add = _Pending.add

    def note(self, clip, logits):
        add(self, clip, logits)
        held.append(len(self.samples))

    monkeypatch.setattr(_Pending, "add", note)
    rng = np.random.default_rng(0)
    drawn = (Clip(rng.normal(size=2 * RATE).astype(np.float32), i, i + 2.0, "it") for i in range(300))
    assert sum(1 for _ in event_clips(drawn, loudness_track, 2.0, RATE, batch_size=4)) >= 150
    assert max(held) <= 4 * 2 * RATE
