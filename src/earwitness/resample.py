"""Sample-rate conversion, whole or as a stream.

Two methods that differ by up to 2 dB just below the new Nyquist frequency:

- "soxr": libsoxr's high-quality filter, flat to 0.45 of the new rate; the fast default.
- "sinc": the Hann-windowed sinc interpolation that torchaudio uses by default. Published audio encoders were
  trained behind it, so it is the one that reproduces their numbers.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

METHODS = ("soxr", "sinc")
LOWPASS_FILTER_WIDTH = 6  # zero crossings of the sinc on each side
ROLLOFF = 0.99  # cut-off as a fraction of the lower Nyquist frequency


class Resampler(Protocol):
    """A stream: feed float32 chunks, take float32 chunks; `last` drains what is held back."""

    def resample_chunk(self, chunk: np.ndarray, last: bool = False) -> np.ndarray: ...


def resampler_stream(from_rate: int, to_rate: int, method: str = "soxr") -> Resampler:
    """A resampler for one mono stream; concatenated chunks equal the resampling of the whole."""
    _check(from_rate, to_rate, method)
    if from_rate == to_rate:
        return _Through()
    if method == "sinc":
        return SincStream(from_rate, to_rate)
    import soxr

    return soxr.ResampleStream(from_rate, to_rate, 1, dtype="float32", quality="HQ")


def resample(waveform, from_rate: int, to_rate: int, method: str = "soxr"):
    """[..., S] at `from_rate` Hz -> float32 [..., S'] at `to_rate` Hz, S' = ceil(S * to_rate / from_rate).

    Takes a numpy array or a torch tensor and returns the same kind. Raises ValueError for an unknown method
    or a rate that is not positive.
    """
    _check(from_rate, to_rate, method)
    if not isinstance(waveform, np.ndarray) and hasattr(waveform, "detach"):
        import torch

        array = waveform.detach().to("cpu", torch.float32).numpy()
        return torch.from_numpy(resample(array, from_rate, to_rate, method)).to(waveform.device)
    waveform = np.asarray(waveform, np.float32)
    length = math.ceil(waveform.shape[-1] * to_rate / from_rate)
    rows = [
        _exactly(resampler_stream(from_rate, to_rate, method).resample_chunk(row, last=True), length)
        for row in np.ascontiguousarray(waveform).reshape(-1, waveform.shape[-1])
    ]
    return np.stack(rows).reshape(*waveform.shape[:-1], length) if rows else waveform[..., :length]


class SincStream:
    """torchaudio's default resampling (Hann-windowed sinc, width 6, rolloff 0.99) as a stream, in torch.

    Output n lies at input time n * from_rate / to_rate. Only the 2 * width + 1 taps where the window is not
    zero are computed, so rates without a common factor cost no more than others.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        import torch

        gcd = math.gcd(from_rate, to_rate)
        self.from_rate, self.to_rate = from_rate // gcd, to_rate // gcd
        self.taps, self.width = sinc_taps(self.from_rate, self.to_rate)
        self.held = torch.zeros(self.width)  # input from `held_from` on; zeros before the first sample
        self.held_from = -self.width
        self.received = 0  # input samples so far
        self.produced = 0  # output samples so far

    def resample_chunk(self, chunk: np.ndarray, last: bool = False) -> np.ndarray:
        """Float32 [S] -> the outputs whose taps are complete; with `last` all of them."""
        import torch

        fresh = torch.from_numpy(np.ascontiguousarray(chunk, np.float32))
        self.received += len(fresh)
        pieces = [self.held, fresh]
        if last:
            pieces.append(torch.zeros(self.width + 1))
            stop = -(-self.received * self.to_rate // self.from_rate)  # ceil
        else:  # output n reads inputs up to floor(n * from / to) + width
            stop = -(-(self.received - self.width) * self.to_rate // self.from_rate)
        self.held = torch.cat(pieces)
        outputs = []
        while self.produced < stop:  # in pieces: the gathered taps of a long file would fill the memory
            outputs.append(self._outputs(self.produced, min(stop, self.produced + 65_536)))
        first_needed = self.produced * self.from_rate // self.to_rate - self.width
        self.held = self.held[first_needed - self.held_from :].clone()
        self.held_from = first_needed
        return np.concatenate(outputs) if outputs else np.zeros(0, np.float32)

    def _outputs(self, first: int, stop: int) -> np.ndarray:
        import torch

        n = torch.arange(first, stop)
        start = n * self.from_rate // self.to_rate - self.width - self.held_from
        windows = self.held.unfold(0, 2 * self.width + 1, 1)[start]  # [N, taps]
        self.produced = stop
        return (windows * self.taps[n % self.to_rate]).sum(-1).numpy()


@lru_cache(maxsize=16)
def sinc_taps(from_rate: int, to_rate: int) -> tuple[Tensor, int]:
    """Coprime rates -> (taps [to_rate, 2 * width + 1], width): row p serves outputs n with n % to_rate == p.

    Tap j multiplies the input sample floor(p * from / to) - width + j (counted from the output's period).
    With b = min(from, to) * rolloff and t = b * (distance in seconds, period = 1 s), clamped to +-6:
    h = b / from * sinc(t) * cos(pi t / 12)^2.
    """
    import torch

    base = min(from_rate, to_rate) * ROLLOFF
    width = math.ceil(LOWPASS_FILTER_WIDTH * from_rate / base)
    phase = torch.arange(to_rate, dtype=torch.float64)
    offset = torch.arange(to_rate) * from_rate // to_rate
    inputs = (offset[:, None] + torch.arange(-width, width + 1)).double() / from_rate
    t = (base * (inputs - phase[:, None] / to_rate)).clamp(-LOWPASS_FILTER_WIDTH, LOWPASS_FILTER_WIDTH)
    window = torch.cos(t * math.pi / LOWPASS_FILTER_WIDTH / 2).square()
    return (torch.sinc(t) * window * (base / from_rate)).float(), width


class _Through:
    def resample_chunk(self, chunk: np.ndarray, last: bool = False) -> np.ndarray:
        return np.asarray(chunk, np.float32)


def _check(from_rate: int, to_rate: int, method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown resampling method {method!r}: choose one of {', '.join(METHODS)}")
    for rate in (from_rate, to_rate):
        if rate != int(rate) or rate <= 0:
            raise ValueError(f"sample rates are positive whole numbers of Hz, not {rate!r}")


def _exactly(row: np.ndarray, length: int) -> np.ndarray:
    """libsoxr rounds the length; one sample more or less is cut or padded."""
    return row[:length] if len(row) >= length else np.pad(row, (0, length - len(row)))
