"""Rendering of planned scenes to waveforms and tag targets.

Stretches of recordings are read at their speed, those that share a timbre are filtered together, and room,
noise, equaliser and band limits are products of spectra of the whole scene, with few Fourier transforms per
scene. Codec and automatic gain follow in the time domain. Every draw comes from the scene's own seed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from earwitness.features import HOP, N_FFT, N_MELS, mel_filterbank
from earwitness.sample_rate import SAMPLE_RATE
from earwitness.scenes.bank import FULL_SCALE, Bank
from earwitness.scenes.composer import Channel, Scene
from earwitness.scenes.placing import Placed

Floats = NDArray[np.float32]

ACTIVE_DB = 35.0  # a recording is active where it is within this of its own level
FADE = 3 * HOP  # samples over which a stretch fades in and out, so that cuts do not click
BIN_RATIO = 1.05  # frequency ratio of neighbouring mel bins around 1 kHz
SAME_SPEED = 0.01  # smaller changes of speed are ignored
ROOM_CUTOFF = 4_000.0  # Hz above which walls reflect less
GAIN_RANGE = 40.0  # dB below the loudest frame within which an automatic gain acts
NORMALS = 1 << 21  # size of the table of random numbers for noise and rooms: 8 MB
HOLE_DB, CODEC_HOP = 30.0, 256  # attenuation of a codec's holes; samples between its frames


def render_waveform(scene: Scene, bank: Bank) -> Floats:
    """Render a scene: float32 [frames * 160] at 16 kHz, its loudest sample at the channel's peak."""
    sounds = [(p, _stretch(p, bank)) for p in scene.placed]
    return _through(scene.channel, _mixed(scene, bank, sounds), np.random.default_rng((scene.seed, 1)))


def render(scenes: list[Scene], bank: Bank, tags: int, token_frames: int = 16) -> tuple[Tensor, Tensor]:
    """Render scenes of equal length: waveforms [B, S], tag targets [B, ceil(F / token_frames), tags].

    A target is 1 where a recording with that tag is active during at least a quarter of the token.
    """
    waveforms, targets = [], []
    for scene in scenes:
        sounds = [(p, _stretch(p, bank)) for p in scene.placed]
        mix = _mixed(scene, bank, sounds)
        waveforms.append(_through(scene.channel, mix, np.random.default_rng((scene.seed, 1))))
        targets.append(_targets(scene, bank, sounds, tags, token_frames))
    return torch.from_numpy(np.stack(waveforms)), torch.from_numpy(np.stack(targets))


def _stretch(p: Placed, bank: Bank) -> Floats:
    """Read the samples of a stretch at its speed and gain, faded at both ends: at most p.length frames."""
    speed = p.rate * BIN_RATIO**p.shift
    first = int(bank.start[p.recording]) + p.source * HOP
    end = int(bank.start[p.recording] + bank.samples[p.recording])
    wanted = p.length * HOP
    piece = bank.audio[first : min(end, first + int(wanted * speed) + 1)].numpy().astype(np.float32)
    if abs(speed - 1) > SAME_SPEED and len(piece):
        piece = soxr.resample(piece, speed, 1.0, quality="MQ")
    piece = piece[:wanted] * np.float32(10 ** (p.gain / 20) / FULL_SCALE)
    fade = min(len(piece) // 2, FADE)
    if fade:
        ramp = np.linspace(0, 1, fade, dtype=np.float32)
        piece[:fade] *= ramp
        piece[-fade:] *= ramp[::-1]
    return piece


def _mixed(scene: Scene, bank: Bank, sounds: list[tuple[Placed, Floats]]) -> Floats:
    """Apply the linear effects: timbres, room, noise, equaliser, band limits. float32 [frames * 160]."""
    channel, rng = scene.channel, np.random.default_rng((scene.seed, 0))
    size, tail = scene.frames * HOP, int(channel.reverb_seconds * SAMPLE_RATE)
    whole = fast_length(size + tail)
    layers = list({id(p.timbre): p for p, _ in sounds}.values())
    number = {id(p.timbre): k for k, p in enumerate(layers)}
    dry = np.zeros((len(layers), whole), np.float32)
    for p, sound in sounds:
        at = p.onset * HOP
        sound = sound[: size - at]
        dry[number[id(p.timbre)], at : at + len(sound)] += sound
    timbres = _response(np.stack([p.timbre for p in layers]), whole)
    spectra = torch.fft.rfft(torch.from_numpy(dry)) * timbres
    mix = spectra.sum(0)
    if tail:
        wet = torch.tensor([10 ** (p.wet / 20) for p in layers])
        mix += (spectra * wet[:, None]).sum(0) * _room(tail, whole, rng)
    loudest = max(float(bank.level[p.recording]) + p.gain for p, _ in sounds)
    mix += _noise(channel, loudest, whole, rng)
    mix *= _response(channel_response(channel)[None], whole)[0]
    # at such lengths torch's transform is three times as fast as numpy's, numpy's inverse faster than torch's
    return np.fft.irfft(mix.numpy(), whole)[:size].astype(np.float32)


def fast_length(size: int) -> int:
    """The smallest 2^a 3^b 5^c that is at least `size`: its Fourier transform is fast."""
    odd = [3**b * 5**c for b in range(12) for c in range(8)]
    return min(k << max(0, (-(-size // k) - 1).bit_length()) for k in odd if k < 2 * size)


def _response(mel_db: Floats, size: int) -> Tensor:
    """dB of the mel bins [L, 64] -> amplitudes at the bins of a Fourier transform [L, size // 2 + 1]."""
    coarse = (torch.from_numpy(np.asarray(mel_db, np.float32)) @ _mel_to_fft() / 20).mul_(np.log(10)).exp_()
    return F.interpolate(coarse[:, None], size // 2 + 1, mode="linear", align_corners=True)[:, 0]


@lru_cache(maxsize=1)
def _mel_to_fft() -> Tensor:
    """Matrix [64, 257] that interpolates values of mel bins to the bins of the spectrogram's transform."""
    filters = mel_filterbank()  # [257, 64]
    filters = filters / filters.sum(1, keepdim=True).clamp(min=1e-6)
    filters[0], filters[-1] = filters[1], filters[-2]  # no filter covers the ends
    return filters.T.contiguous()


@lru_cache(maxsize=1)
def _normals() -> Tensor:
    """Table of normal draws, of which scenes use parts: new draws would dominate the cost of noise."""
    return torch.from_numpy(np.random.default_rng(0).standard_normal(NORMALS, dtype=np.float32))


def _drawn(count: int, rng: np.random.Generator) -> Tensor:
    """[count] standard normal draws."""
    if count > NORMALS // 4:  # parts of longer scenes would be too alike
        return torch.from_numpy(rng.standard_normal(count, dtype=np.float32))
    first = 2 * int(rng.integers((NORMALS - count) // 2))  # even, to be read as pairs
    return _normals()[first : first + count]


def _room(tail: int, size: int, rng: np.random.Generator) -> Tensor:
    """Spectrum of noise of unit energy that decays by 60 dB within `tail` samples, as a reverberant tail."""
    decay = torch.linspace(0, -3 * float(np.log(10)), tail).exp_()
    impulse = _drawn(tail, rng) * decay
    hertz = torch.linspace(0, SAMPLE_RATE / 2, size // 2 + 1)
    walls = (1 + (hertz / ROOM_CUTOFF).square_()).rsqrt_() / impulse.square().sum().sqrt()
    return torch.fft.rfft(impulse, size) * walls


def _noise(channel: Channel, loudest: float, size: int, rng: np.random.Generator) -> Tensor:
    """Spectrum of noise `noise_db` below the level of the loudest stretch, tilted."""
    bins = size // 2 + 1
    tilted = loudest + channel.noise_db + channel.noise_tilt * (np.arange(N_MELS) - N_MELS / 2)
    amplitude = _response(tilted[None], size)[0] * (size / 2) ** 0.5
    return torch.view_as_complex(_drawn(2 * bins, rng).view(bins, 2)) * amplitude


def channel_response(channel: Channel) -> Floats:
    """dB of each mel bin, [64]: equaliser and band limits."""
    bins = np.arange(N_MELS, dtype=np.float32)
    over = (bins - channel.high_cut).clip(min=0) + (channel.low_cut - bins).clip(min=0)
    return (channel.eq - channel.cut_slope * over).astype(np.float32)


def _through(channel: Channel, mix: Floats, rng: np.random.Generator) -> Floats:
    """Apply codec and automatic gain, which depend on the signal, and set the level."""
    if channel.holes_db < 100 or channel.grain:
        mix = _coded(mix, channel.holes_db, channel.grain, rng)
    if channel.compression:
        power = np.square(mix.reshape(-1, HOP)).mean(1)
        loud = 10 * np.log10(power.clip(min=max(power.max(), 1e-12) * 10 ** (-GAIN_RANGE / 10)))
        gain = 10 ** (-channel.compression * (loud - loud.mean()) / 20)
        middles = np.arange(len(gain)) * HOP + HOP / 2
        mix = mix * np.interp(np.arange(len(mix)), middles, gain).astype(np.float32)
    return (mix * (channel.peak / max(float(np.abs(mix).max()), 1e-9))).astype(np.float32)


def _coded(mix: Floats, holes_db: float, grain: float, rng: np.random.Generator) -> Floats:
    """Imitate codecs at low rates: bins far below a frame's loudest one are lost, magnitudes are coarse."""
    window = torch.hann_window(N_FFT)
    x = torch.stft(torch.from_numpy(mix), N_FFT, CODEC_HOP, window=window, return_complex=True)
    power = torch.view_as_real(x).square().sum(-1)
    lost = power < power.amax(0, keepdim=True) * 10 ** (-holes_db / 10)
    gain_db = torch.zeros_like(power).masked_fill_(lost, -HOLE_DB)
    if grain:
        gain_db += grain * torch.from_numpy(rng.standard_normal(tuple(power.shape), dtype=np.float32))
    x = x * gain_db.mul_(np.log(10) / 20).exp_()
    return torch.istft(x, N_FFT, CODEC_HOP, window=window, length=len(mix)).numpy()


def _targets(
    scene: Scene, bank: Bank, sounds: list[tuple[Placed, Floats]], tags: int, token_frames: int
) -> Floats:
    """[ceil(F / token_frames), tags]: 1 where a tag sounds during at least a quarter of the token."""
    tokens = -(-scene.frames // token_frames)
    sounding = np.zeros((tokens * token_frames, tags), bool)
    for p, sound in sounds:
        frames = len(sound) // HOP
        power = np.square(sound[: frames * HOP].reshape(frames, HOP)).mean(1)
        active = power > 10 ** ((float(bank.level[p.recording]) + p.gain - ACTIVE_DB) / 10)
        sounding[p.onset : p.onset + frames, list(p.tags)] |= active[:, None]
    counts = sounding.reshape(tokens, token_frames, tags).sum(1)
    return (counts >= token_frames / 4).astype(np.float32)
