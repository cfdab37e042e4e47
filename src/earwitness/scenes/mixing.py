"""Random mixtures of a bank's recordings as waveforms, on any device: the input of distillation.

Mixtures need no labels, so unlabelled recordings are used too. One to four recordings at
other speeds, repeated, cut and at random levels; then a room, noise, an equaliser, band limits, clipping, a
telephone's quantisation. All of a batch is computed together, so that a GPU that holds the bank is the faster
the larger the batch is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.bank import Bank
from earwitness.scenes.recordings import Recording
from earwitness.scenes.render import fast_length

VOICES = (0.35, 0.33, 0.2, 0.12)  # shares of mixtures of one to four recordings
KINDS = {"speech": 0.22, "music": 0.22, "other": 0.56}  # shares of the unlabelled sound, by kind
KIND_WORDS = {"speech": ("speech", "voice"), "music": ("music", "ringtone")}
RESPONSE_KNOTS = 9
ROOM_SECONDS = 0.8  # longest part of a room's response
AT_ONCE = 8  # voices read together on a CPU, whose cache holds no more


def kind_of(recording: Recording) -> str:
    """Guess from the manifest whether an unlabelled recording is speech, music or other."""
    found = (kind for kind, words in KIND_WORDS.items() if any(w in recording.hint for w in words))
    return next(found, "other")


def sampling_weights(
    recordings: Sequence[Recording], lengths: Sequence[int], labelled_share: float
) -> np.ndarray:
    """Return the probability of each recording in a draw, float64 [recordings].

    `labelled_share` of the draws are labelled recordings, each label by the root of its count; the others
    are unlabelled ones, by KINDS and within a kind by length ** 0.7. Where one sort is missing, the other has
    all.
    """
    labels = Counter(r.label for r in recordings if r.label)
    labelled = np.array([labels[r.label] ** -0.5 if r.label else 0.0 for r in recordings])
    unlabelled = np.zeros(len(recordings))
    kinds = [None if r.label else kind_of(r) for r in recordings]
    for kind, share in KINDS.items():
        sized = np.array([n**0.7 if k == kind else 0.0 for k, n in zip(kinds, lengths)])
        if sized.any():
            unlabelled += share * sized / sized.sum()
    weights = np.zeros(len(recordings))
    for share, part in ((labelled_share, labelled), (1 - labelled_share, unlabelled)):
        weights += share * part / max(part.sum(), 1e-12)
    if not weights.any():
        raise ValueError("there is no recording to draw: labelled_share excludes the only kind there is")
    return weights / weights.sum()


class Mixer:
    """Draws batches of mixtures: the same for the same (seed, index, size), on each kind of device.

    bank: its samples are used where they are. rows: indices of the recordings that may be drawn.
    labelled_share: see `sampling_weights`. device: where mixtures are computed; the samples move there.
    """

    def __init__(
        self,
        bank: Bank,
        rows: Sequence[int],
        *,
        labelled_share: float = 0.5,
        seed: int = 0,
        device: str | torch.device = "cpu",
    ) -> None:
        self.audio, self.device, self.seed = bank.audio.to(device), torch.device(device), seed
        chosen = torch.as_tensor(np.asarray(rows))
        self.start, self.samples = bank.start[chosen], bank.samples[chosen]
        recordings = [bank.recordings[i] for i in rows]
        weights = sampling_weights(recordings, self.samples.tolist(), labelled_share)
        self.weights = torch.from_numpy(weights)

    def batch(self, index: int, count: int, seconds: float) -> Tensor:
        """Mixture number `index`, of `count` clips: float32 [count, S] in [-1, 1] at 16 kHz."""
        host = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        draw = Draws(host, self.device)
        x = self._voices(draw, count, int(seconds * SAMPLE_RATE))
        x = coloured(x, draw)
        x = x / x.abs().amax(1, keepdim=True).clamp(min=1e-6)
        clipped = draw.chance(count, 0.08)
        x = torch.where(clipped, (x * draw.decibel(count, 0, 18)).clamp(-1, 1), x)
        x = torch.where(draw.chance(count, 0.05), telephone(x), x)
        return x * draw.decibel(count, -32, 0)

    def _voices(self, draw: Draws, count: int, size: int) -> Tensor:
        """Recordings placed and summed: [count, size]."""
        shares = torch.tensor(VOICES)
        voices = torch.multinomial(shares, count, True, generator=draw.host) + 1
        clip = torch.arange(count).repeat_interleave(voices)  # [M], of each voice
        total = len(clip)
        drawn = torch.multinomial(self.weights, total, True, generator=draw.host)
        samples = self.samples[drawn]
        uniform = lambda low, high: low + (high - low) * torch.rand(total, generator=draw.host)  # noqa: E731
        speed = torch.where(uniform(0, 1) < 0.6, torch.exp2(uniform(-0.6, 0.6)), torch.ones(total)).double()
        length = (samples / speed).floor()
        slack = size - length  # a long recording begins before the mixture does
        onset = (uniform(0, 1) * slack).round()
        gap = uniform(0, 0.6) * SAMPLE_RATE
        repeated = (uniform(0, 1) < 0.35) & (length < 0.6 * size)
        period = torch.where(repeated, (length + gap).round(), torch.full_like(length, math.inf))
        first = torch.cat([torch.ones(1, dtype=torch.bool), clip[1:] != clip[:-1]])
        gain = torch.where(first, torch.ones(total), 10 ** (uniform(-24, 0) / 20))
        table = [x.to(self.device) for x in (self.start[drawn], samples, speed, onset, period, gain, clip)]
        mix = torch.zeros(count, size, device=self.device)
        for part in torch.arange(total).split(AT_ONCE if self.device.type == "cpu" else total):
            start, samples_, speed_, onset_, period_, gain_, clip_ = (x[part.to(self.device)] for x in table)
            voice = self._read(start, samples_, speed_, onset_, period_, size)
            mix.index_add_(0, clip_, levelled(voice) * gain_[:, None])
        return mix

    def _read(
        self, start: Tensor, samples: Tensor, speed: Tensor, onset: Tensor, period: Tensor, size: int
    ) -> Tensor:
        """Each recording [M] from its onset, at its speed, again after each period: float32 [M, size]."""
        at = torch.arange(size, device=self.device, dtype=torch.float64) - onset[:, None]
        again = period.isfinite()
        at[again] = at[again].remainder(period[again, None])
        at = at * speed[:, None]
        whole = at.floor()
        between = (at - whole).float()
        sounding = (whole >= 0) & (whole < samples[:, None] - 1)
        index = start[:, None] + torch.where(sounding, whole, torch.zeros_like(whole)).long()
        here, there = self.audio[index].float(), self.audio[index + 1].float()
        return torch.lerp(here, there, between) * sounding


class Draws:
    """Random numbers of one batch: decisions from a CPU generator, noise from one of the device."""

    def __init__(self, host: torch.Generator, device: torch.device) -> None:
        self.host, self.device = host, device
        seed = int(torch.randint(2**31, (1,), generator=host))
        self.own = torch.Generator(device=device).manual_seed(seed)

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """[count, 1]"""
        return (low + (high - low) * torch.rand(count, 1, generator=self.host)).to(self.device)

    def chance(self, count: int, share: float) -> Tensor:
        """bool [count, 1], True with this probability."""
        return self.uniform(count, 0, 1) < share

    def decibel(self, count: int, low: float, high: float) -> Tensor:
        """Amplitudes [count, 1] of uniform decibels."""
        return 10 ** (self.uniform(count, low, high) / 20)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.own, device=self.device)


def levelled(x: Tensor) -> Tensor:
    """Each row between equal loudness and equal peaks: divided by the root of its RMS times its peak."""
    rms = x.square().mean(1, keepdim=True).sqrt()
    return x / (rms * x.abs().amax(1, keepdim=True)).clamp(min=1.0).sqrt()


def coloured(x: Tensor, draw: Draws) -> Tensor:
    """A room (30 %), noise (40 %), an equaliser, an upper (30 %) and a lower band limit (20 %): [B, S]."""
    count, size = x.shape
    tail = int(ROOM_SECONDS * SAMPLE_RATE)
    whole = fast_length(size + tail)
    spectrum = torch.fft.rfft(x, whole)
    seconds = torch.arange(tail, device=x.device) / SAMPLE_RATE
    room = draw.normal(count, tail) * torch.exp(-6.9 * seconds / draw.uniform(count, 0.15, 1.5))
    room = room / room.square().sum(1, keepdim=True).sqrt() * draw.decibel(count, -14, 3)
    room_response = 1 + torch.fft.rfft(room, whole) * draw.chance(count, 0.3)
    y = torch.fft.irfft(spectrum * (room_response * response(count, whole // 2 + 1, draw)), whole)[:, :size]
    white = draw.normal(count, size)
    dull = 4 * torch.nn.functional.avg_pool1d(white[:, None], 17, 1, 8)[:, 0]
    noise = torch.lerp(white, dull, draw.uniform(count, 0, 1))
    level = y.square().mean(1, keepdim=True).sqrt() * draw.decibel(count, -45, 0)
    return y + noise * level * draw.chance(count, 0.4)


def response(count: int, bins: int, draw: Draws) -> Tensor:
    """Amplitudes of random equalisers and band limits, [count, bins] from 0 Hz to Nyquist."""
    hertz = torch.linspace(0, SAMPLE_RATE / 2, bins, device=draw.device)
    mel = (1 + hertz / 700).log() / math.log(1 + SAMPLE_RATE / 2 / 700)  # 0 to 1
    knots = draw.normal(count, RESPONSE_KNOTS) * draw.uniform(count, 0, 6)
    at = mel * (RESPONSE_KNOTS - 1)
    left = at.floor().clamp(max=RESPONSE_KNOTS - 2).long()
    decibels = torch.lerp(knots[:, left], knots[:, left + 1], (at - left).expand(count, -1))
    high = torch.where(draw.chance(count, 0.3), draw.uniform(count, 0.5, 1.0), 2.0)
    low = torch.where(draw.chance(count, 0.2), draw.uniform(count, 0.0, 0.2), -1.0)
    decibels = decibels - 600 * (mel - high).clamp(min=0) - 300 * (low - mel).clamp(min=0)
    return 10 ** (decibels / 20)


def telephone(x: Tensor) -> Tensor:
    """[B, S] in [-1, 1] through the 8 bits of mu-law (ITU-T G.711's curve)."""
    squeezed = x.sign() * (255 * x.abs()).log1p() / math.log(256)
    squeezed = (squeezed * 127).round() / 127
    return squeezed.sign() * ((squeezed.abs() * math.log(256)).exp() - 1) / 255
