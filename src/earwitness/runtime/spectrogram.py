"""Log-mel spectrograms in numpy, those of features.py behind which the encoders were trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from earwitness.runtime.mel_power import HOP, SIZE, MelPower
from earwitness.runtime.protocol import Array
from earwitness.sample_rate import SAMPLE_RATE

N_MELS = 64
FLOOR_POWER = 1e-10  # -100 dB
LEVEL_PEAK, LEVEL_FLOOR = 0.7, 1e-5  # of full scale
TOP_DB = 120.0  # dB kept below the loudest value of each clip

EFFICIENT_AT_MELS, EFFICIENT_AT_HIGH = 128, 15_000.0  # bands, Hz where the highest filter ends
EFFICIENT_AT_WINDOW, PREEMPHASIS = 400, 0.97  # samples: 25 ms
EFFICIENT_AT_FLOOR, EFFICIENT_AT_SHIFT, EFFICIENT_AT_SCALE = 1e-5, 4.5, 5.0


def without_offset(waveform: Array) -> Array:
    """[S] minus its mean: a constant offset is no sound, but leaks into the lowest bands."""
    return waveform - waveform.mean()


def log_mel(waveform: Array) -> Array:
    """float32 [S] in [-1, 1] at 16 kHz -> dB mel spectrogram [64, 1 + S // 160], as `features.log_mel`."""
    db = 10.0 * np.log10(_mel_power()(waveform).clip(FLOOR_POWER))
    return np.maximum(db, db.max() - TOP_DB)


def efficient_at_log_mel(waveform: Array) -> Array:
    """float32 [S] in [-1, 1] at 16 kHz -> [128, ceil(S / 160)], as `features.efficient_at_log_mel`."""
    power = _efficient_at_power()(waveform)[:, : max(1, -(-len(waveform) // HOP))]
    return (
        np.log(power + np.float32(EFFICIENT_AT_FLOOR)) + np.float32(EFFICIENT_AT_SHIFT)
    ) / EFFICIENT_AT_SCALE


def levelled_efficient_at_log_mel(waveform: Array) -> Array:
    """`efficient_at_log_mel` of the clip at a peak of LEVEL_PEAK, as `levelling.levelled` sets it."""
    peak = float(np.abs(waveform).max(initial=0.0))
    return efficient_at_log_mel(waveform * np.float32(LEVEL_PEAK / peak) if peak > LEVEL_FLOOR else waveform)


FRONT_ENDS: dict[str, Callable[[Array], Array]] = {
    "log_mel": log_mel,
    "efficient_at_log_mel": efficient_at_log_mel,
    "levelled_efficient_at_log_mel": levelled_efficient_at_log_mel,
}
"""By the encoder's `front_end`: a clip's waveform [S] -> what the encoder's graph takes of it, [bands, F]."""


@lru_cache(maxsize=1)
def _mel_power() -> MelPower:
    return MelPower(_hann_window(SIZE), mel_filterbank())


@lru_cache(maxsize=1)
def _efficient_at_power() -> MelPower:
    hann = np.hanning(EFFICIENT_AT_WINDOW).astype(np.float32)  # symmetric
    return MelPower(np.pad(hann, (SIZE - EFFICIENT_AT_WINDOW) // 2), _efficient_at_filterbank())


@lru_cache(maxsize=1)
def mel_filterbank() -> Array:
    """Triangular HTK mel filters from 0 Hz to Nyquist, not area-normalised: [257, 64], read-only."""
    bins = np.linspace(0, SAMPLE_RATE // 2, SIZE // 2 + 1, dtype=np.float32)
    highest = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
    mels = np.linspace(0.0, highest, N_MELS + 2, dtype=np.float32)
    return _triangles(
        bins, np.float32(700.0) * (np.float32(10.0) ** (mels / np.float32(2595.0)) - np.float32(1.0))
    )


@lru_cache(maxsize=1)
def _efficient_at_filterbank() -> Array:
    """Kaldi's filters of sound at 32 kHz, up to 8 kHz, with its pre-emphasis: [257, 128]."""
    count = np.arange(SIZE // 2 + 1, dtype=np.float32)
    bins = np.float32(1127.0) * np.log(1.0 + np.float32(SAMPLE_RATE / SIZE) * count / np.float32(700.0))
    width = 1127.0 * math.log(1.0 + EFFICIENT_AT_HIGH / 700.0) / (EFFICIENT_AT_MELS + 1)
    feet = np.float32(width) * np.arange(EFFICIENT_AT_MELS + 2, dtype=np.float32)
    emphasis = 1 + PREEMPHASIS**2 - 2 * PREEMPHASIS * np.cos(math.pi * count / SIZE)
    # times 4: windows at 32 kHz have twice the samples
    return (_triangles(bins, feet) * (4 * emphasis)[:, None]).astype(np.float32)


def _triangles(bins: Array, edges: Array) -> Array:
    """Filters [bins, len(edges) - 2], each rising from an edge to the next and falling to the one after.

    In single precision, as torch computes them: where a band is all but silent, the rounding shows.
    """
    slopes, widths = edges - bins[:, None], np.diff(edges)
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return np.minimum(rising, falling).clip(0.0).astype(np.float32)


@lru_cache(maxsize=1)
def _hann_window(size: int) -> Array:
    """Periodic."""
    return (0.5 - 0.5 * np.cos(2 * math.pi * np.arange(size) / size)).astype(np.float32)
