"""The numpy front end against that of torch, which the golden files hold to torchaudio."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from earwitness import features
from earwitness.levelling import levelled
from earwitness.runtime.spectrogram import (
    efficient_at_log_mel,
    levelled_efficient_at_log_mel,
    log_mel,
    mel_filterbank,
)


def recording(seconds: float, seed: int, level: float) -> np.ndarray:
    """Coloured noise with a pitch and a beat, as loud as `level`."""
    rng, time = np.random.default_rng(seed), np.arange(round(seconds * 16_000)) / 16_000
    noise = np.cumsum(rng.normal(size=len(time))) * 0.02 + rng.normal(size=len(time))
    sound = noise * (1.2 + np.sin(2 * np.pi * (1 + seed) * time)) + 3 * np.sin(
        2 * np.pi * 440 * (1 + seed) * time
    )
    return (level * sound / np.abs(sound).max()).astype(np.float32)


def test_filters_are_those_of_torch() -> None:
    assert np.allclose(mel_filterbank(), features.mel_filterbank().numpy(), atol=1e-5)


@pytest.mark.parametrize("samples", [1, 100, 256, 257, 400, 16_000, 16_001, 16_159, 160_000])
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_log_mel_is_that_of_torch_to_a_thousandth_of_a_decibel(samples: int, level: float) -> None:
    sound = recording(10.0, samples % 7, level)[:samples]
    found, wanted = log_mel(sound), features.log_mel(torch.from_numpy(sound)[None])[0].numpy()
    assert found.dtype == np.float32 and found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 1e-3


@pytest.mark.parametrize("samples", [1, 100, 256, 257, 400, 16_000, 16_001, 16_159, 160_000])
@pytest.mark.parametrize("level", [1.0, 0.01])
def test_efficient_at_log_mel_is_that_of_torch(samples: int, level: float) -> None:
    sound = recording(10.0, samples % 7, level)[:samples]
    found, wanted = (
        efficient_at_log_mel(sound),
        features.efficient_at_log_mel(torch.from_numpy(sound)[None])[0].numpy(),
    )
    assert found.dtype == np.float32 and found.shape == wanted.shape
    decibels = 5.0 * 10 / np.log(10)  # that one unit is
    assert np.abs(found - wanted).max() * decibels < 1e-3


def test_silence_is_the_floor() -> None:
    assert np.allclose(log_mel(np.zeros(1600, np.float32)), -100.0, atol=1e-3)


@pytest.mark.parametrize("level", [1e-7, 1e-3, 0.7, 40.0])
def test_levelled_log_mel_is_that_of_torch(level: float) -> None:
    sound = recording(2.0, 3, level)
    waveforms, lengths = torch.from_numpy(sound)[None], torch.tensor([len(sound)])
    wanted = features.efficient_at_log_mel(levelled(waveforms, lengths), lengths)[0].numpy()
    assert np.allclose(levelled_efficient_at_log_mel(sound), wanted, atol=1e-4)
