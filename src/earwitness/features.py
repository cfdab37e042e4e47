"""Spectral front ends, always in fp32 and always per clip.

`log_mel` equals torchaudio's MelSpectrogram + AmplitudeToDB on single clips (the front end of CED and
Dasheng); `kaldi_fbank` equals Kaldi's filterbank as LAVCap uses it; `efficient_at_log_mel` equals the front
end of EfficientAT's taggers. All take the clips' lengths, so that a clip gives the same frames alone and in
a padded batch.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from earwitness.embeds import length_mask
from earwitness.sample_rate import SAMPLE_RATE as SAMPLE_RATE

N_FFT = 512  # samples: 32 ms windows
HOP = 160  # samples: 10 ms, so 100 frames per second
N_MELS = 64
FLOOR_POWER = 1e-10  # -100 dB
TOP_DB = 120.0  # dB kept below the loudest value of each clip

FBANK_WINDOW = 400  # samples: 25 ms, zero-padded to N_FFT before the transform
FBANK_LOW = 20.0  # Hz; the highest filter ends at Nyquist
PREEMPHASIS = 0.97
FBANK_FLOOR = torch.finfo(torch.float32).eps  # Kaldi's floor on filter energies before the logarithm
FBANK_MEAN, FBANK_STD = -4.346, 4.332  # of AudioCaps' training clips, natural-log filterbank (LAVCap)
FBANK_FRAMES = 1024  # 10.24 s, the fixed length LAVCap pads to

EFFICIENT_AT_RATE, EFFICIENT_AT_N_FFT, EFFICIENT_AT_MELS = 32_000, 1024, 128  # Hz, samples, bands
EFFICIENT_AT_HIGH = 15_000.0  # Hz, where the highest filter ends
EFFICIENT_AT_FLOOR = 1e-5  # added to the power before the logarithm
EFFICIENT_AT_SHIFT, EFFICIENT_AT_SCALE = 4.5, 5.0  # (ln(power) + shift) / scale


@lru_cache(maxsize=8)
def mel_filterbank(n_mels: int = N_MELS, n_fft: int = N_FFT, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Triangular HTK mel filters from 0 Hz to Nyquist, not area-normalised: [n_fft // 2 + 1, n_mels].

    The triangles are straight lines in Hz. The result is shared between callers: do not write to it.
    """
    bins = torch.linspace(0, sample_rate // 2, n_fft // 2 + 1)
    mels = torch.linspace(0.0, 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0), n_mels + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    widths = edges[1:] - edges[:-1]
    slopes = edges[None, :] - bins[:, None]
    rising, falling = -slopes[:, :-2] / widths[:-1], slopes[:, 2:] / widths[1:]
    return torch.minimum(rising, falling).clamp(min=0.0)


@lru_cache(maxsize=8)
def kaldi_filterbank(
    n_mels: int = N_MELS,
    n_fft: int = N_FFT,
    sample_rate: int = SAMPLE_RATE,
    low: float = FBANK_LOW,
    high: float | None = None,
) -> Tensor:
    """Kaldi's mel filters from `low` to `high` Hz (default: Nyquist): [n_fft // 2 + 1, n_mels].

    The Nyquist bin is always zero.

    Unlike those of `mel_filterbank` the triangles are straight lines on the mel axis (1127 ln(1 + f / 700)).
    The result is shared between callers: do not write to it.
    """
    bins = 1127.0 * (1.0 + (sample_rate / n_fft) * torch.arange(n_fft // 2)[:, None] / 700.0).log()
    first, last = (1127.0 * math.log(1.0 + hz / 700.0) for hz in (low, high or sample_rate / 2))
    width = (last - first) / (n_mels + 1)
    feet = first + width * torch.arange(n_mels + 2)
    left, peak, right = feet[:-2], feet[1:-1], feet[2:]
    triangles = torch.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)).clamp(min=0.0)
    return torch.nn.functional.pad(triangles, (0, 0, 0, 1))


def full_lengths(waveform: Tensor) -> Tensor:
    """The lengths [B] of waveforms [B, S] without padding: S each."""
    return torch.full(waveform.shape[:1], waveform.shape[-1], device=waveform.device)


def frame_counts(lengths: Tensor) -> Tensor:
    """Samples [B] -> frames [B] of `log_mel`: 1 + S // 160."""
    return 1 + lengths // HOP


def fbank_frame_counts(lengths: Tensor) -> Tensor:
    """Samples [B] -> frames [B] of `kaldi_fbank`: 1 + (S - 400) // 160, and 1 for anything shorter."""
    return 1 + (lengths - FBANK_WINDOW).clamp(min=0) // HOP


def _reflect(waveform: Tensor, lengths: Tensor | None, n_fft: int = N_FFT) -> Tensor:
    """Mirror half a window at both ends of every clip: [B, S] -> [B, S + n_fft], zeros after a shorter clip.

    A clip shorter than half a window and one sample counts as zero-padded to that: a mirror needs it.
    """
    half = n_fft // 2
    padded = lengths is not None and bool((lengths < waveform.shape[-1]).any())
    if waveform.shape[-1] <= half:
        waveform = torch.nn.functional.pad(waveform, (0, half + 1 - waveform.shape[-1]))
    if lengths is None or not padded:  # the usual case, and four copies of the batch less
        return torch.nn.functional.pad(waveform, (half, half), mode="reflect")
    lengths = lengths.to(waveform.device)
    waveform = waveform.masked_fill(~length_mask(lengths, waveform.shape[-1]), 0.0)
    lengths = lengths.clamp(min=half + 1)
    mirrored = torch.nn.functional.pad(waveform, (half, half))
    mirrored[:, :half] = waveform[:, 1 : half + 1].flip(1)
    step = torch.arange(half, device=waveform.device)
    tail = waveform.gather(1, lengths[:, None] - 2 - step)
    return mirrored.scatter_(1, lengths[:, None] + half + step, tail)


def power_mel(waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Power mel spectrogram, in fp32 also under autocast.

    waveform: [B, S] in [-1, 1] at 16 kHz. lengths: [B] samples that are real (default: all of them).
    Returns [B, 64, F] with F = 1 + S // 160. Each clip is mirrored at its own end (see `_reflect`).
    """
    with torch.autocast(device_type=waveform.device.type, enabled=False):
        window = torch.hann_window(N_FFT, device=waveform.device)
        return _windowed_power(_reflect(waveform.float(), lengths), window, mel_filterbank(), HOP)


def _windowed_power(mirrored: Tensor, window: Tensor, filterbank: Tensor, hop: int) -> Tensor:
    """Mirrored clips [B, S + n_fft], window [n_fft], filterbank [bins, n_mels] -> power [B, n_mels, F]."""
    filters = filterbank.to(mirrored.device).repeat_interleave(2, 0)
    windows = mirrored.unfold(-1, len(window), hop)
    rows = windows.split(1 if mirrored.device.type == "cpu" else len(windows))  # one fits a CPU's cache
    return torch.cat([_power_of(row * window, filters) for row in rows]).transpose(1, 2)


def _power_of(windows: Tensor, filters: Tensor) -> Tensor:
    """Windows [B, F, n_fft] -> mel power [B, F, n_mels]. filters: each row of the filterbank twice."""
    spectrum = torch.view_as_real(torch.fft.rfft(windows))  # [B, F, bins, 2]
    return spectrum.flatten(-2).square_() @ filters  # real and imaginary squares add up to the power


def power_to_db(power: Tensor, top_db: float | None = TOP_DB) -> Tensor:
    """Power [B, 64, F] -> dB, floored `top_db` below the maximum of each clip on its own.

    torchaudio takes one maximum over a [B, F, T] batch, which shifts a quiet clip beside a loud one.
    """
    db = 10.0 * power.clamp(min=FLOOR_POWER).log10()
    if top_db is None:
        return db
    return torch.maximum(db, db.amax(dim=(-2, -1), keepdim=True) - top_db)


def log_mel(waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
    """[B, S] in [-1, 1] at 16 kHz -> dB mel spectrogram [B, 64, F], 100 frames per second.

    lengths: [B] samples that are real (default: all). Frames from `frame_counts(lengths)` on are padding.
    """
    power = power_mel(waveform, lengths)
    if lengths is not None:  # a frame of padding may still see the mirrored tail: it must not set the maximum
        counts = frame_counts(lengths.to(power.device).clamp(min=1))
        power = power.masked_fill(~length_mask(counts, power.shape[-1])[:, None], 0.0)
    return power_to_db(power)


def kaldi_fbank(waveform: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Kaldi's log mel filterbank with LAVCap's settings, in fp64: in quiet bands fp32 rounding shows.

    Symmetric Hann window of 25 ms every 10 ms, pre-emphasis 0.97, the mean of the clip and of every frame
    removed, no dither, no energy, only whole windows, natural logarithm.

    waveform: [B, S] in [-1, 1] at 16 kHz. lengths: [B] samples that are real (default: all of them).
    Returns [B, 64, F] with F = 1 + (S - 400) // 160; a clip shorter than a window is zero-padded to one.
    Frames from `fbank_frame_counts(lengths)` on are padding.
    """
    with torch.autocast(device_type=waveform.device.type, enabled=False):
        waveform = waveform.double()
        if lengths is None:
            lengths = full_lengths(waveform)
        real = length_mask(lengths.to(waveform.device), waveform.shape[-1])
        waveform = waveform.masked_fill(~real, 0.0)
        mean = waveform.sum(-1, keepdim=True) / real.sum(-1, keepdim=True).clamp(min=1)
        centred = (waveform - mean).masked_fill(~real, 0.0)
        centred = torch.nn.functional.pad(centred, (0, max(0, FBANK_WINDOW - centred.shape[-1])))
        frames = centred.unfold(-1, FBANK_WINDOW, HOP)  # [B, F, 400]
        frames = frames - frames.mean(-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], -1)
        window = torch.hann_window(FBANK_WINDOW, periodic=False, device=waveform.device, dtype=waveform.dtype)
        spectrum = torch.fft.rfft((frames - PREEMPHASIS * previous) * window, N_FFT)
        power = spectrum.abs().square()  # [B, F, 257]
        energies = power @ kaldi_filterbank().to(power)
        return energies.clamp(min=FBANK_FLOOR).log().transpose(1, 2).float()


def normalize_fbank(fbank: Tensor) -> Tensor:
    """Bring a Kaldi filterbank (any shape) to about zero mean and unit variance, by AudioCaps' statistics."""
    return (fbank - FBANK_MEAN) / FBANK_STD


def pad_then_normalize_fbank(fbank: Tensor, frames: int = FBANK_FRAMES) -> Tensor:
    """[B, 64, F] -> [B, 64, frames]: cut or zero-pad, then normalise, as LAVCap's released code does.

    The padding thereby becomes +1.0032, louder than the average frame; its checkpoints expect that.
    """
    missing = frames - fbank.shape[-1]
    return normalize_fbank(torch.nn.functional.pad(fbank, (0, missing)))  # a negative pad cuts


def efficient_at_frame_counts(lengths: Tensor, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Samples [B] -> frames [B] of `efficient_at_log_mel`: one for every 10 ms that begin, at least one."""
    hop = sample_rate // 100
    return (lengths.clamp(min=1) + hop - 1) // hop


def efficient_at_log_mel(
    waveform: Tensor, lengths: Tensor | None = None, sample_rate: int = SAMPLE_RATE
) -> Tensor:
    """Log-mel of EfficientAT's taggers (Schmid et al. 2023), in fp32 also under autocast.

    At 32 kHz as its authors compute it: pre-emphasis y[n] = x[n + 1] - 0.97 x[n], symmetric Hann window of
    25 ms every 10 ms, 128 Kaldi filters up to 15 kHz, (ln(power + 1e-5) + 4.5) / 5. At 16 kHz the same
    frequencies from the spectrum of the sound itself, pre-emphasised there; bands above 8 kHz are empty.

    waveform: [B, S] in [-1, 1] at `sample_rate`, 16,000 or 32,000 Hz. lengths: [B] samples that are real
    (default: all). Returns [B, 128, F]. Frames from `efficient_at_frame_counts(lengths)` on are padding.
    """
    if sample_rate not in (SAMPLE_RATE, EFFICIENT_AT_RATE):
        raise ValueError(f"efficient_at_log_mel needs sound at 16000 or 32000 Hz, not {sample_rate}")
    with torch.autocast(device_type=waveform.device.type, enabled=False):
        waveform = waveform.float()
        frames = int(efficient_at_frame_counts(torch.tensor(waveform.shape[-1]), sample_rate))
        if sample_rate == EFFICIENT_AT_RATE:
            waveform = waveform[:, 1:] - PREEMPHASIS * waveform[:, :-1]
            lengths = None if lengths is None else (lengths - 1).clamp(min=0)
        n_fft = EFFICIENT_AT_N_FFT * sample_rate // EFFICIENT_AT_RATE
        hann = torch.hann_window(sample_rate // 40, periodic=False, device=waveform.device)
        window = torch.nn.functional.pad(hann, [(n_fft - len(hann)) // 2] * 2)
        mirrored = _reflect(waveform, lengths, n_fft)
        power = _windowed_power(mirrored, window, _efficient_at_filterbank(sample_rate), sample_rate // 100)
        return ((power[..., :frames] + EFFICIENT_AT_FLOOR).log() + EFFICIENT_AT_SHIFT) / EFFICIENT_AT_SCALE


@lru_cache(maxsize=2)
def _efficient_at_filterbank(sample_rate: int) -> Tensor:
    """[n_fft // 2 + 1, 128]. At 16 kHz with the pre-emphasis, and times 4: windows have half the samples."""
    filters = kaldi_filterbank(
        EFFICIENT_AT_MELS, EFFICIENT_AT_N_FFT, EFFICIENT_AT_RATE, low=0.0, high=EFFICIENT_AT_HIGH
    )
    if sample_rate == EFFICIENT_AT_RATE:
        return filters
    angle = 2 * math.pi * torch.arange(N_FFT // 2 + 1) / EFFICIENT_AT_N_FFT
    response = 4 * (1 + PREEMPHASIS**2 - 2 * PREEMPHASIS * angle.cos())
    return filters[: N_FFT // 2 + 1] * response[:, None]
