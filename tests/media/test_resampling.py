"""Sample-rate conversion against a direct evaluation of the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.media.resampling import METHODS, SincStream, resample, resampler_stream


def sinc_twin(x: np.ndarray, orig: int, new: int) -> np.ndarray:
    """torchaudio's definition, one output at a time, in float64: width 6, rolloff 0.99, Hann window."""
    gcd = math.gcd(orig, new)
    orig, new = orig // gcd, new // gcd
    base = min(orig, new) * 0.99
    width = math.ceil(6 * orig / base)
    padded = np.concatenate([np.zeros(width), x.astype(np.float64), np.zeros(width + orig)])
    index = np.arange(-width, width + orig) / orig
    out = []
    for n in range(math.ceil(new * len(x) / orig)):
        period, phase = divmod(n, new)
        t = np.clip((index - phase / new) * base, -6, 6)
        kernel = np.sinc(t) * np.cos(t * np.pi / 6 / 2) ** 2 * base / orig
        out.append(kernel @ padded[period * orig : period * orig + len(index)])
    return np.array(out)


RATES = [
    (44_100, 16_000),
    (48_000, 16_000),
    (8_000, 16_000),
    (22_050, 16_000),
    (16_000, 44_100),
    (7, 5),
    (4001, 1600),
]


@pytest.mark.parametrize("orig, new", RATES)
def test_sinc_equals_the_formula(orig, new):
    x = np.random.default_rng(orig).standard_normal(3000).astype(np.float32)
    expected = sinc_twin(x, orig, new)
    heard = resample(x, orig, new, "sinc")
    assert heard.dtype == np.float32 and heard.shape == expected.shape
    np.testing.assert_allclose(heard, expected, atol=2e-6)


@given(
    orig=st.integers(1, 60),
    new=st.integers(1, 60),
    cuts=st.lists(st.integers(0, 90), min_size=0, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_the_stream_equals_the_whole(orig, new, cuts):
    x = np.random.default_rng(0).standard_normal(sum(cuts) + 17).astype(np.float32)
    stream, pieces, at = SincStream(orig, new), [], 0
    for cut in cuts:
        pieces.append(stream.resample_chunk(x[at : at + cut]))
        at += cut
    pieces.append(stream.resample_chunk(x[at:], last=True))
    np.testing.assert_allclose(np.concatenate(pieces), sinc_twin(x, orig, new), atol=3e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("orig, new", RATES[:5])
def test_a_tone_keeps_its_pitch_level_and_time(orig, new, method):
    hz = 1_000.0
    tone = np.sin(2 * np.pi * hz * np.arange(orig) / orig).astype(np.float32)
    heard = resample(tone, orig, new, method)
    expected = np.sin(2 * np.pi * hz * np.arange(new) / new)
    assert np.abs(heard - expected)[400:-400].max() < (2e-3 if method == "sinc" else 1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_what_lies_above_the_new_nyquist_frequency_is_gone(method):
    tone = np.sin(2 * np.pi * 12_000 * np.arange(48_000) / 48_000).astype(np.float32)
    assert np.abs(resample(tone, 48_000, 16_000, method)[400:-400]).max() < 2e-3


@pytest.mark.parametrize("method", METHODS)
def test_shapes_kinds_and_lengths(method):
    x = np.random.default_rng(0).standard_normal((2, 3, 1001)).astype(np.float32)
    heard = resample(x, 44_100, 16_000, method)
    assert heard.shape == (2, 3, math.ceil(1001 * 16_000 / 44_100))
    np.testing.assert_array_equal(heard[1, 2], resample(x[1, 2], 44_100, 16_000, method))
    tensor = resample(torch.from_numpy(x), 44_100, 16_000, method)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), heard)
    assert resample(x[..., :0], 44_100, 16_000, method).shape == (2, 3, 0)


@pytest.mark.parametrize("method", METHODS)
def test_equal_rates_change_nothing(method):
    x = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    np.testing.assert_array_equal(resample(x, 16_000, 16_000, method), x)


def test_soxr_stream_equals_the_whole():
    x = np.random.default_rng(0).standard_normal(50_000).astype(np.float32)
    stream = resampler_stream(44_100, 16_000)
    pieces = [stream.resample_chunk(x[i : i + 7_001]) for i in range(0, 50_000, 7_001)]
    pieces.append(stream.resample_chunk(x[:0], last=True))
    np.testing.assert_allclose(np.concatenate(pieces), resample(x, 44_100, 16_000), atol=1e-6)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="unknown resampling method 'linear'"):
        resample(np.zeros(9), 2, 1, "linear")
    for rate in (0, -1, 1.5):
        with pytest.raises(ValueError, match="positive whole numbers"):
            resample(np.zeros(9), 44_100, rate)
