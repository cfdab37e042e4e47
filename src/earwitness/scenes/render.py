"""Turns planned scenes into sound: a batch of spectrograms on any device, or one waveform.

Recordings are mixed as power mel spectrograms. Powers of independent sounds add on average, a room is an
exponential decay per band, an equaliser a gain per band, and hiss a chi-square power per band and frame,
so a batch of scenes is a gather, an add and a few products (times: docs/LOG.md).
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from earwitness.features import FLOOR_POWER, N_MELS
from earwitness.scenes.bank import Bank
from earwitness.scenes.composer import Scene

ACTIVE_DB = 35.0  # a recording is sounding where it is within this of its own level
FADE = 3  # frames over which a stretch fades in and out, so that cuts do not click


def _stretches(scenes: list[Scene], bank: Bank) -> tuple[Tensor, ...]:
    """Flat indices of every frame of every placed stretch: (source, destination, stretch number, fade)."""
    source, target, number, fade = [], [], [], []
    k = 0
    for b, scene in enumerate(scenes):
        for p in scene.placed:
            steps = np.arange(p.length)
            last = int(bank.length[p.recording]) - 1
            source.append(
                int(bank.start[p.recording]) + np.minimum(p.source + (steps * p.rate).astype(np.int64), last)
            )
            target.append(b * scene.frames + p.onset + steps)
            number.append(np.full(p.length, k))
            edge = np.minimum(steps, p.length - 1 - steps) + 1
            fade.append(np.minimum(edge / FADE, 1.0).astype(np.float32) ** 2)
            k += 1
    join = lambda parts: torch.from_numpy(np.concatenate(parts))  # noqa: E731
    return join(source), join(target), join(number), join(fade)


def _shifted(frames: Tensor, shift: Tensor) -> Tensor:
    """Moves each row of [M, 64] up by shift [M] mel bins; what comes in from outside is the edge, softer."""
    rows = shift.nonzero().flatten()
    bins = torch.arange(N_MELS, device=frames.device)[None] - shift[rows, None]
    inside = bins.clamp(0, N_MELS - 1)
    frames[rows] = frames[rows].gather(1, inside) - 1.5 * (bins - inside).abs()
    return frames


def _power(db: Tensor) -> Tensor:
    return torch.exp(db * (math.log(10) / 10))


def _decibel(power: Tensor) -> Tensor:
    return torch.log(power.clamp(min=FLOOR_POWER)) * (10 / math.log(10))


def _decay(power: Tensor, seconds: Tensor) -> Tensor:
    """Reverberant tail of [B, T, 64]: y[t] = a y[t-1] + (1 - a) x[t-1], -60 dB after RT60, highs sooner."""
    band = torch.linspace(1.3, 0.6, N_MELS, device=power.device)[None]
    keep = torch.exp(-13.8 / (100 * seconds[:, None].clamp(min=0.02) * band))  # [B, 64]
    tail = torch.zeros_like(power[:, 0])
    out = torch.empty_like(power)
    fed = power * (1 - keep)[:, None]
    for t in range(power.shape[1]):
        out[:, t] = tail
        tail = torch.addcmul(fed[:, t], tail, keep)
    return out


def render_mel(scenes: list[Scene], bank: Bank, tags: int, token_frames: int = 16) -> tuple[Tensor, Tensor]:
    """Scenes of equal length -> (log-mel [B, 64, T] dB, tag targets [B, ceil(T / token_frames), tags]).

    A target is 1 where a recording with that tag is sounding during at least a quarter of the token.
    Runs on the device of `bank.frames`. Noise is drawn from each scene's own seed.
    """
    device = bank.frames.device
    frames = scenes[0].frames
    source, target, number, fade = (x.to(device) for x in _stretches(scenes, bank))
    placed = [p for s in scenes for p in s.placed]
    column = lambda values, dtype=torch.float32: torch.tensor(values, dtype=dtype, device=device)  # noqa: E731
    db = bank.frames[source].float()
    shift = column([p.shift for p in placed], torch.int64)[number]
    if bool((shift != 0).any()):
        db = _shifted(db, shift)
    gain = column([p.gain for p in placed])
    response = torch.from_numpy(np.stack([p.timbre for p in placed])).to(device) + gain[:, None]
    power = _power(db.add_(response[number])).mul_(fade[:, None])
    dry = torch.zeros(len(scenes) * frames, N_MELS, device=device).index_add_(0, target, power)
    mix = dry.view(len(scenes), frames, N_MELS)
    mix = _add_reverb(mix, scenes, placed, power, target, number)
    mel = _channel(mix, scenes)
    sounding = power.sum(1) > 10.0 ** (
        (gain[number] + bank.level[column([p.recording for p in placed], torch.int64)][number] - ACTIVE_DB)
        / 10
    )
    targets = _targets(scenes, placed, target[sounding], number[sounding], frames, tags, token_frames)
    return mel.transpose(1, 2), targets


def _swing_of_noise(power: Tensor, seed: int) -> Tensor:
    """Decibels by which the power of noise swings: wide mel bands hold more FFT bins and swing less."""
    generator = torch.Generator(device=power.device).manual_seed(seed)
    swing = torch.linspace(5.0, 2.0, N_MELS, device=power.device)
    return torch.randn(power.shape, generator=generator, device=power.device).mul_(swing)


def _add_reverb(
    mix: Tensor, scenes: list[Scene], placed: list, power: Tensor, target: Tensor, number: Tensor
) -> Tensor:
    rooms = [i for i, s in enumerate(scenes) if s.channel.reverb_seconds > 0]
    if not rooms:
        return mix
    wetness = torch.tensor([10 ** (p.wet / 10) for p in placed], device=mix.device)[number]
    wet = torch.zeros_like(mix).view(-1, N_MELS).index_add_(0, target, power * wetness[:, None]).view_as(mix)
    seconds = torch.tensor([scenes[i].channel.reverb_seconds for i in rooms], device=mix.device)
    tail = _decay(wet[rooms], seconds)  # of many echoes, so it swings as noise does
    tail.mul_(_power(_swing_of_noise(tail, scenes[0].seed + 1)))
    return mix.index_add(0, torch.tensor(rooms, device=mix.device), tail)


def _channel(power: Tensor, scenes: list[Scene]) -> Tensor:
    """Noise, equaliser, band limits, codec holes and automatic gain: power [B, T, 64] -> dB [B, T, 64]."""
    device = power.device
    stack = lambda f: torch.tensor([f(s.channel) for s in scenes], dtype=torch.float32, device=device)  # noqa: E731
    bins = torch.arange(N_MELS, device=device, dtype=torch.float32)
    peak = _decibel(power.sum(2).amax(1))
    floor = (
        (peak + stack(lambda c: c.noise_db))[:, None]
        - 12
        + stack(lambda c: c.noise_tilt)[:, None] * (bins - 32)
    )
    hiss = _swing_of_noise(power, scenes[0].seed).add_(floor[:, None])
    db = _decibel(power + _power(hiss))
    eq = torch.from_numpy(np.stack([s.channel.eq for s in scenes])).to(device)
    above = (bins[None] - stack(lambda c: c.high_cut)[:, None]).clamp(min=0)
    below = (stack(lambda c: c.low_cut)[:, None] - bins[None]).clamp(min=0)
    db = db + (eq - stack(lambda c: c.cut_slope)[:, None] * (above + below))[:, None]
    loud = db.amax(2, keepdim=True)
    db = torch.where(db < loud - stack(lambda c: c.holes_db)[:, None, None], db - 30, db)
    swing_of_gain = loud - loud.mean(1, keepdim=True)
    db = db - stack(lambda c: c.compression)[:, None, None] * swing_of_gain
    return _textured(db, stack(lambda c: c.blur), stack(lambda c: c.grain), scenes[0].seed + 2)


def _textured(db: Tensor, blur: Tensor, grain: Tensor, seed: int) -> Tensor:
    """dB [B, T, 64], each clip smoothed over 3 x 3 cells by its share `blur` or roughened by `grain` dB."""
    smooth, rough = blur.nonzero().flatten(), grain.nonzero().flatten()
    if len(smooth):
        sharp = db[smooth]
        even = F.avg_pool2d(F.pad(sharp[:, None], (1, 1, 1, 1), mode="replicate"), 3, 1)[:, 0]
        db[smooth] = torch.lerp(sharp, even, blur[smooth, None, None])
    if len(rough):
        generator = torch.Generator(device=db.device).manual_seed(seed)
        noise = torch.randn((len(rough), *db.shape[1:]), generator=generator, device=db.device)
        db[rough] += noise * grain[rough, None, None]
    return db


def _targets(
    scenes: list[Scene],
    placed: list,
    target: Tensor,
    number: Tensor,
    frames: int,
    tags: int,
    token_frames: int,
) -> Tensor:
    device = target.device
    tokens = -(-frames // token_frames)
    scene, frame = target // frames, target % frames
    cell = scene * tokens + frame // token_frames
    width = max(len(p.tags) for p in placed)
    table = torch.tensor([list(p.tags) + [p.tags[0]] * (width - len(p.tags)) for p in placed], device=device)[
        number
    ]
    counts = torch.zeros(len(scenes) * tokens * tags, device=device)
    for k in range(width):
        fresh = table[:, k] != table[:, 0] if k else torch.ones_like(number, dtype=torch.bool)
        counts.index_add_(
            0, (cell * tags + table[:, k])[fresh], torch.ones_like(cell[fresh], dtype=torch.float32)
        )
    return (counts.view(len(scenes), tokens, tags) >= token_frames / 4).float()


def spec_augment(mel: Tensor, seed: int, masks: int = 2, frames: int = 40, bands: int = 12) -> Tensor:
    """SpecAugment (Park et al. 2019) on [B, 64, T] dB: `masks` stretches of less than `frames` frames, and
    as many of
    less than `bands` bands, are set to the clip's mean.
    """
    rng = np.random.default_rng(seed)
    out = mel.clone()
    for i in range(len(out)):
        mean = mel[i].mean()
        for _ in range(masks):
            at, width = int(rng.integers(mel.shape[2])), int(rng.integers(frames))
            out[i, :, at : at + width] = mean
        for _ in range(masks):
            at, width = int(rng.integers(mel.shape[1])), int(rng.integers(bands))
            out[i, at : at + width] = mean
    return out
