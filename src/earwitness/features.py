"""Spectral front ends, always in fp32 and always per clip.

`log_mel` equals torchaudio's MelSpectrogram + AmplitudeToDB on single clips (the front end of CED and
Dasheng); `kaldi_fbank` equals Kaldi's filterbank as LAVCap uses it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

SAMPLE_RATE = 16_000  # Hz
N_FFT = 512  # samples: 32 ms windows
HOP = 160  # samples: 10 ms, so 100 frames per second
N_MELS = 64
FLOOR_POWER = 1e-10  # -100 dB
TOP_DB = 120.0  # dB kept below the loudest value of each clip


def _hz_to_mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)  # HTK


@lru_cache(maxsize=8)
def mel_filterbank(n_mels: int = N_MELS, n_fft: int = N_FFT, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Triangular HTK mel filters from 0 Hz to Nyquist, not area-normalised: [n_fft // 2 + 1, n_mels]."""
    bins = torch.linspace(0, sample_rate // 2, n_fft // 2 + 1)
    mels = torch.linspace(_hz_to_mel(0.0), _hz_to_mel(sample_rate / 2), n_mels + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    widths = edges[1:] - edges[:-1]
    slopes = edges[None, :] - bins[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0.0)


@torch.autocast("cpu", enabled=False)
def power_mel(waveform: Tensor) -> Tensor:
    """[B, S] in [-1, 1] at 16 kHz -> power mel spectrogram [B, 64, F], F = 1 + S // 160."""
    waveform = waveform.float()
    if waveform.shape[-1] <= N_FFT // 2:  # reflection needs more samples than it mirrors
        waveform = torch.nn.functional.pad(waveform, (0, N_FFT // 2 + 1 - waveform.shape[-1]))
    window = torch.hann_window(N_FFT, device=waveform.device)
    spectrum = torch.stft(waveform, N_FFT, HOP, window=window, center=True, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()  # [B, 257, F]
    return mel_filterbank().to(waveform.device).T @ power


def power_to_db(power: Tensor, top_db: float | None = TOP_DB) -> Tensor:
    """Power [B, 64, F] -> dB, floored `top_db` below the maximum of each clip on its own.

    torchaudio takes one maximum over a [B, F, T] batch, which shifts a quiet clip beside a loud one.
    """
    db = 10.0 * power.clamp(min=FLOOR_POWER).log10()
    if top_db is None:
        return db
    return torch.maximum(db, db.amax(dim=(-2, -1), keepdim=True) - top_db)


def log_mel(waveform: Tensor) -> Tensor:
    """[B, S] in [-1, 1] at 16 kHz -> dB mel spectrogram [B, 64, F], 100 frames per second."""
    return power_to_db(power_mel(waveform))
