"""Sample-rate conversion, whole or as a stream.

Two methods that differ by up to 2 dB just below the new Nyquist frequency:

- "soxr": libsoxr's high-quality filter, flat to 0.45 of the new rate; the fast default.
- "sinc": the Hann-windowed sinc interpolation that torchaudio uses by default. Published audio encoders were
  trained behind it, so it is the one that reproduces their numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

    from earwitness.media.pcm import PcmStream

METHODS = ("soxr", "sinc")
LOWPASS_FILTER_WIDTH = 6  # zero crossings of the sinc on each side
ROLLOFF = 0.99  # cut-off as a fraction of the lower Nyquist frequency
MATRIX = 1 << 20  # coefficients; 44.1 to 16 kHz has 76,000, coprime rates have 10^9
GATHERED = 1 << 16  # outputs at once: bounds the gathered taps to some 10 MB


Array = NDArray[np.float32]
Waveform = TypeVar("Waveform", bound="np.ndarray | Tensor")


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


def resample(waveform: Waveform, from_rate: int, to_rate: int, method: str = "soxr") -> Waveform:
    """[..., S] at `from_rate` Hz -> float32 [..., S'] at `to_rate` Hz, S' = ceil(S * to_rate / from_rate).

    Takes a numpy array or a torch tensor and returns the same kind. Raises ValueError for an unknown method
    or a rate that is not positive.
    """
    _check(from_rate, to_rate, method)
    given: Any = waveform
    if not isinstance(given, np.ndarray) and hasattr(given, "detach"):
        import torch

        array = given.detach().to("cpu", torch.float32).numpy()
        moved: Any = torch.from_numpy(resample(array, from_rate, to_rate, method)).to(given.device)
        return moved
    given = np.asarray(given, np.float32)
    length = math.ceil(given.shape[-1] * to_rate / from_rate)
    rows = [
        _exactly(resampler_stream(from_rate, to_rate, method).resample_chunk(row, last=True), length)
        for row in given.reshape(math.prod(given.shape[:-1]), given.shape[-1])
    ]
    found: Any = np.stack(rows).reshape(*given.shape[:-1], length) if rows else given[..., :length]
    return found


def resampled(
    stream: PcmStream, to_rate: int, method: str, start: float = 0.0, end: float | None = None
) -> Iterator[np.ndarray]:
    """Chunks that together are the output samples round(start * to_rate) up to round(end * to_rate)."""
    first, stop = round(start * to_rate), None if end is None else round(end * to_rate)
    for at, chunk in _on_grid(stream, to_rate, method, start):
        kept = chunk[max(0, first - at) : None if stop is None else max(0, stop - at)]
        if len(kept):
            yield kept
        if stop is not None and at + len(chunk) >= stop:
            return


def _on_grid(stream: PcmStream, to_rate: int, method: str, start: float) -> Iterator[tuple[int, np.ndarray]]:
    """(position in output samples, chunk at `to_rate`) from `start` seconds or before it.

    After a jump the input is cut to where an input sample and an output sample coincide, so that the outputs
    are on the grid they would have without the jump.
    """
    rate, at = 0, 0
    resampler: Resampler | None = None
    drop, nothing = 0, np.zeros(0, np.float32)
    for new_rate, samples in stream.blocks(start):
        if resampler is None:
            period = new_rate // math.gcd(new_rate, to_rate)
            position = round(stream.position * new_rate)
            drop = -position % period
            at = -(-position // period) * period * to_rate // new_rate
        elif new_rate != rate:  # chained streams may change their rate
            rest = resampler.resample_chunk(nothing, last=True)
            yield at, rest
            at += len(rest)
        if resampler is None or new_rate != rate:
            rate, resampler = new_rate, resampler_stream(new_rate, to_rate, method)
        chunk = resampler.resample_chunk(samples[drop:])
        drop = max(0, drop - len(samples))
        yield at, chunk
        at += len(chunk)
    if resampler is not None:
        yield at, resampler.resample_chunk(nothing, last=True)


class SincStream:
    """torchaudio's default resampling (Hann-windowed sinc, width 6, rolloff 0.99) as a stream.

    Output n is at input time n * from_rate / to_rate. With the rates divided by their common factor,
    every `from_rate` inputs give `to_rate` outputs: one matrix product, or, where that matrix would be
    huge, a gather of the taps whose window is not zero.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        gcd = math.gcd(from_rate, to_rate)
        self.from_rate, self.to_rate = from_rate // gcd, to_rate // gcd
        self.taps, self.width = sinc_taps(self.from_rate, self.to_rate)
        self.matrix = _period_matrix(self.from_rate, self.to_rate)
        self.held: Array = np.zeros(
            self.width, np.float32
        )  # inputs from the next period's first one - width on
        self.received = self.periods = 0  # inputs, and periods put out

    def resample_chunk(self, chunk: np.ndarray, last: bool = False) -> np.ndarray:
        """Float32 [S] -> the outputs of complete periods; with `last` all of them."""
        pieces = [self.held, np.asarray(chunk, np.float32)]
        self.received += len(chunk)
        if last:
            pieces.append(np.zeros(self.width + self.from_rate, np.float32))
        self.held = np.concatenate(pieces)
        count = max(0, (len(self.held) - 2 * self.width) // self.from_rate)
        at_once = max(1, GATHERED // self.to_rate)
        outputs = [self._periods(k, min(k + at_once, count)) for k in range(0, count, at_once)]
        result = np.concatenate(outputs) if outputs else np.zeros(0, np.float32)
        if last:
            total = -(-self.received * self.to_rate // self.from_rate)  # ceil
            result = result[: total - self.periods * self.to_rate]
        self.periods += count
        self.held = self.held[count * self.from_rate :].copy()
        return result

    def _periods(self, first: int, stop: int) -> Array:
        inputs = self.held[first * self.from_rate : stop * self.from_rate + 2 * self.width]
        if self.matrix is not None:
            windows = sliding_window_view(inputs, len(self.matrix))[:: self.from_rate]
            return (np.ascontiguousarray(windows) @ self.matrix).ravel()  # BLAS takes no overlapping rows
        n = np.arange((stop - first) * self.to_rate)
        windows = sliding_window_view(inputs, 2 * self.width + 1)[n * self.from_rate // self.to_rate]
        result: Array = (windows * self.taps[n % self.to_rate]).sum(-1)
        return result


@lru_cache(maxsize=16)
def sinc_taps(from_rate: int, to_rate: int) -> tuple[Array, int]:
    """Coprime rates -> (taps [to_rate, 2 * width + 1], width): row p serves outputs n with n % to_rate == p.

    Tap j multiplies input floor(p * from / to) - width + j of the output's period. With b = min(from, to) *
    rolloff and t = b * (distance, in periods), clamped to +-6: h = b / from * sinc(t) * cos(pi t / 12)^2.
    """
    base = min(from_rate, to_rate) * ROLLOFF
    width = math.ceil(LOWPASS_FILTER_WIDTH * from_rate / base)
    phase = np.arange(to_rate)
    offset = phase * from_rate // to_rate
    inputs = (offset[:, None] + np.arange(-width, width + 1)) / from_rate
    t = base * (inputs - phase[:, None] / to_rate)
    t = t.clip(-LOWPASS_FILTER_WIDTH, LOWPASS_FILTER_WIDTH)
    window = np.square(np.cos(t * math.pi / LOWPASS_FILTER_WIDTH / 2))
    return (np.sinc(t) * window * (base / from_rate)).astype(np.float32), width


@lru_cache(maxsize=16)
def _period_matrix(from_rate: int, to_rate: int) -> Array | None:
    """The taps laid out as [from_rate + 2 * width, to_rate], or None where that would be huge."""
    taps, width = sinc_taps(from_rate, to_rate)
    if (from_rate + 2 * width) * to_rate > MATRIX:
        return None
    places = np.arange(to_rate)[:, None] * from_rate // to_rate + np.arange(2 * width + 1)
    matrix = np.zeros((from_rate + 2 * width, to_rate), np.float32)
    np.put_along_axis(matrix.T, places, taps, 1)
    return matrix


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
