"""One planned scene as a waveform: the same plan that `render.py` turns into a spectrogram.

A waveform has phases, so levels agree with the spectrogram form on average and not to the decibel; a shift
in mel bins and a change of rate both become a change of speed. Blur and grain stand for what codecs do to a
spectrogram and are left to them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from earwitness.features import HOP, N_FFT, N_MELS, SAMPLE_RATE, mel_filterbank, power_mel
from earwitness.media.resampling import resample
from earwitness.scenes.bank import TRIM_DB, Bank
from earwitness.scenes.composer import Channel, Placed, Scene

BIN_RATIO = 1.05  # frequency ratio of neighbouring mel bins around 1 kHz
PEAK = 0.7  # of full scale, where the loudest sample of a scene is set


def heard_span(power: Tensor) -> tuple[int, int]:
    """First and last + 1 frame of [64, F] power mel that is within TRIM_DB of the loudest one."""
    loudness = 10 * power.sum(0).clamp(min=1e-10).log10()
    heard = (loudness > loudness.max() - TRIM_DB).nonzero().flatten()
    return int(heard[0]), int(heard[-1]) + 1


def render_waveform(scene: Scene, bank: Bank) -> np.ndarray:
    """float32 [frames * 160] at 16 kHz, peak at PEAK."""
    size = scene.frames * HOP
    rng = np.random.default_rng(scene.seed)
    dry, wet = np.zeros(size, np.float32), np.zeros(size, np.float32)
    sources: dict[int, np.ndarray] = {}
    for p in scene.placed:
        if p.recording not in sources:
            sources[p.recording] = _heard(bank, p.recording)
        sound = _coloured(_stretch(sources[p.recording], p), p.timbre) * 10 ** (p.gain / 20)
        at = p.onset * HOP
        sound = sound[: size - at]
        dry[at : at + len(sound)] += sound
        wet[at : at + len(sound)] += sound * 10 ** (p.wet / 20)
    mix = dry
    if scene.channel.reverb_seconds > 0:
        mix = mix + _reverb(wet, scene.channel.reverb_seconds, rng)
    mix = _channel(mix, scene.channel, rng)
    return (mix * (PEAK / max(float(np.abs(mix).max()), 1e-9))).astype(np.float32)


def _heard(bank: Bank, recording: int) -> np.ndarray:
    waveform = bank.recordings[recording].waveform(bank.folder)
    first, last = heard_span(power_mel(torch.from_numpy(waveform)[None])[0])
    return waveform[first * HOP : last * HOP]


def _stretch(source: np.ndarray, p: Placed) -> np.ndarray:
    """The samples of one stretch, at its speed, faded at both ends."""
    speed = p.rate * BIN_RATIO**p.shift
    first = p.source * HOP
    piece = source[first : first + int(p.length * HOP * speed) + 1]
    if abs(speed - 1) > 0.01:
        piece = resample(piece, round(SAMPLE_RATE * speed), SAMPLE_RATE)
    piece = np.array(piece[: p.length * HOP], np.float32)
    fade = min(len(piece) // 2, 3 * HOP)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        piece[:fade] *= ramp
        piece[-fade:] *= ramp[::-1]
    return piece


def _fft_bins(mel_db: Tensor) -> Tensor:
    """dB of the mel bins [64] -> dB of the FFT's bins [N_FFT / 2 + 1]."""
    filters = mel_filterbank()  # [257, 64]
    return filters / filters.sum(1, keepdim=True).clamp(min=1e-6) @ mel_db


def _coloured(sound: np.ndarray, timbre: np.ndarray) -> np.ndarray:
    """The sound through a response of so many dB in each mel bin."""
    spectrum = np.fft.rfft(sound)
    response = _fft_bins(torch.from_numpy(timbre)).numpy()
    at = np.linspace(0, len(response) - 1, len(spectrum))
    gain = 10 ** (np.interp(at, np.arange(len(response)), response) / 20)
    return np.fft.irfft(spectrum * gain, len(sound)).astype(np.float32)


def _reverb(wet: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Convolution with decaying noise of unit energy: a room without walls one could point at."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    impulse = rng.standard_normal(len(t)) * 10 ** (-3 * t / seconds)
    impulse /= np.sqrt((impulse**2).sum())
    size = 1 << (len(wet) + len(impulse)).bit_length()
    return np.fft.irfft(np.fft.rfft(wet, size) * np.fft.rfft(impulse, size), size)[: len(wet)]


def _channel(mix: np.ndarray, channel: Channel, rng: np.random.Generator) -> np.ndarray:
    """Noise, equaliser, band limits, codec holes, automatic gain, in the short-time Fourier domain."""
    window = torch.hann_window(N_FFT)
    x = torch.stft(
        torch.from_numpy(np.ascontiguousarray(mix, np.float32)),
        N_FFT,
        HOP,
        window=window,
        return_complex=True,
    )
    bins = torch.arange(N_MELS, dtype=torch.float32)
    peak = (x.abs().square().sum(0).max() + 1e-12) / len(x)
    noise_db = channel.noise_db + channel.noise_tilt * (bins - N_MELS / 2)
    noise = (peak * 10 ** (_fft_bins(noise_db) / 10)).sqrt()[:, None]
    hiss = torch.from_numpy(rng.standard_normal((2, *x.shape)).astype(np.float32))
    x = x + noise * torch.complex(hiss[0], hiss[1]) / 2**0.5
    over = (bins - channel.high_cut).clamp(min=0) + (channel.low_cut - bins).clamp(min=0)
    gain_db = _fft_bins(torch.from_numpy(channel.eq) - channel.cut_slope * over)
    x = x * 10 ** (gain_db / 20)[:, None]
    level = x.abs().square().clamp(min=1e-12)
    loudest = level.amax(0, keepdim=True)
    x = torch.where(level < loudest * 10 ** (-channel.holes_db / 10), x * 10 ** (-30 / 20), x)
    loud_db = 10 * loudest.log10()
    x = x * 10 ** (-channel.compression * (loud_db - loud_db.mean()) / 20)
    return torch.istft(x, N_FFT, HOP, window=window, length=len(mix)).numpy()
