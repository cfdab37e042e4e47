"""Channels to one: the mean, or the loudest channel where the mean has lost the sound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earwitness.media.downmix import CANCELLED, FADE, Downmix
from earwitness.media.reading import load_audio, windows

RATE = 16_000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=round(seconds * RATE)).astype(np.float32) * 0.1


X, Y = noise(3.0), noise(3.0, 1)
NOTHING = np.zeros_like(X)
SIX = [NOTHING] * 6
KINDS = {  # channels -> what is heard of them
    "inverted": ([X, -X], X),
    "inverted, unequal": ([X, -0.9 * X], X),
    "inverted, with an offset": ([X + 0.5, -X + 0.5], X + 0.5),
    "one silent": ([X, NOTHING], X / 2),
    "equal": ([X, X], X),
    "mid and side": ([X, 0.5 * Y], (X + 0.5 * Y) / 2),
    "side alone": ([NOTHING, Y], Y / 2),
    "5.1, centre alone": ([*SIX[:2], X, *SIX[:3]], X),
    "5.1, front pair": ([X, X, *SIX[:4]], X / 3),
    "5.1, surround inverted": ([*SIX[:4], X, -X], X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_channels_is_heard(kind):
    channels, expected = KINDS[kind]
    audio = load_audio((np.stack(channels), RATE))
    np.testing.assert_allclose(audio.waveform, expected, atol=1e-6)
    drawn = [clip.waveform for clip in windows((np.stack(channels), RATE), 1.0)]
    np.testing.assert_array_equal(np.concatenate(drawn), audio.waveform)


def test_a_channel_that_is_inverted_for_a_while_fades_in_and_out():
    channels = np.stack([X, np.concatenate([X[:RATE], -X[RATE : 2 * RATE], X[2 * RATE :]])])
    heard = load_audio((channels, RATE)).waveform
    difference = np.abs(heard - X)
    assert difference.max() < np.abs(X).max()
    for second in range(3):
        assert difference[second * RATE + FADE : (second + 1) * RATE].max() < 1e-7


def test_channels_that_are_equally_loud_do_not_flutter():
    mix = Downmix()
    chosen = []
    for seed in range(8):
        x = noise(0.1, seed)
        mix(np.stack([x, -x * (1 + 0.01 * (-1) ** seed)]))
        chosen.append(int(mix.shares.argmax()))
    assert len(set(chosen)) == 1


@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.integers(2, 50), st.floats(0, 1))
def test_no_block_loses_its_sound(seed, channels, length, shared):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=length) * rng.choice([-1, 1], (channels, 1))
    samples = (shared * common + (1 - shared) * rng.normal(size=(channels, length))).astype(np.float32)
    assert np.var(Downmix()(samples)) >= 0.999 * CANCELLED * np.var(samples, axis=1).max()
