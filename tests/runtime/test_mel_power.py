"""Power in bands by products of matrices, against numpy's Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from earwitness.runtime.mel_power import BLOCK, HOP, SIZE, MelPower

EACH = np.eye(SIZE // 2 + 1, SIZE // 2 + 4, dtype=np.float32)  # a band for every frequency, three empty


def power(waveform: np.ndarray, window: np.ndarray) -> np.ndarray:
    """[257, 1 + S // 160] in double precision."""
    padded = np.pad(waveform.astype(np.float64), SIZE // 2, mode="reflect")
    return (np.abs(np.fft.rfft(sliding_window_view(padded, SIZE)[::HOP] * window)) ** 2).T


@pytest.mark.parametrize("frames", [3, BLOCK, BLOCK + 1, 3 * BLOCK - 1])
def test_every_frequency_has_the_power_of_a_fourier_transform(frames: int) -> None:
    rng = np.random.default_rng(frames)
    waveform = rng.normal(size=(frames - 1) * HOP + 7).astype(np.float32)
    window = rng.uniform(size=SIZE).astype(np.float32)  # not symmetric
    (*found, a, b, c), wanted = MelPower(window, EACH)(waveform), power(waveform, window)
    assert wanted.shape == (SIZE // 2 + 1, frames) and not np.any([a, b, c])
    assert np.allclose(found, wanted, rtol=1e-4, atol=1e-6 * wanted.max())


@pytest.mark.parametrize("frequency", [0, 1, 15, 16, 17, 128, 240, 255, 256])
def test_a_tone_has_power_at_its_own_frequency_alone(frequency: int) -> None:
    tone = np.cos(2 * np.pi * frequency / SIZE * np.arange(10 * SIZE)).astype(np.float32)
    inner = MelPower(np.ones(SIZE, np.float32), EACH)(tone)[:, 4:-4]  # away from the mirrored ends
    others = np.delete(inner, frequency, 0)
    assert (inner[frequency] > 0.9 * (SIZE / 2) ** 2).all() and others.max() < 1e-8 * inner.max()


def test_bands_share_the_power_of_their_frequencies() -> None:
    rng = np.random.default_rng(0)
    waveform, window = rng.normal(size=8000).astype(np.float32), np.hanning(SIZE).astype(np.float32)
    filters = rng.uniform(size=(SIZE // 2 + 1, 20)).astype(np.float32)
    wanted = filters.T @ power(waveform, window)
    assert np.allclose(MelPower(window, filters)(waveform), wanted, rtol=1e-4)
