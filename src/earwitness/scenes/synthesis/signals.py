"""The signals that synthetic recordings are built of: noise, drifts, pulses, tones, bursts, ringing bodies.

Everything is mono at 16 kHz; lengths count samples; a curve is a list of (hertz, decibels), joined by
straight lines over log frequency. Continuous signals have unit variance, bursts a peak of one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE

Signal = np.ndarray  # float [samples]
Numbers = Sequence[float] | np.ndarray
Curve = Sequence[tuple[float, float]]


def span(rng: Generator, low: float, high: float) -> float:
    """A number between two positive ones, even on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def times(n: int) -> Signal:
    """Seconds of n samples."""
    return np.arange(n) / SAMPLE_RATE


def unit(x: Signal) -> Signal:
    return x / max(float(x.std()), 1e-9)


def peak(x: Signal) -> Signal:
    return x / max(float(np.abs(x).max()), 1e-9)


def _gains(n: int, curve: Curve) -> Signal:
    hertz, decibels = zip(*curve)
    at = np.log2(np.fft.rfftfreq(n, 1 / SAMPLE_RATE).clip(10.0))
    return 10 ** (np.interp(at, np.log2(hertz), decibels) / 20)


def shaped(x: Signal, curve: Curve) -> Signal:
    """x through a response of that many decibels, at unit variance."""
    return unit(np.fft.irfft(np.fft.rfft(x) * _gains(len(x), curve), len(x)))


def noise(rng: Generator, n: int, curve: Curve) -> Signal:
    return shaped(rng.standard_normal(n), curve)


def band(rng: Generator, n: int, low: float, high: float, slope: float = 24.0) -> Signal:
    """Noise between two frequencies, falling by `slope` dB an octave outside."""
    return noise(rng, n, [(low / 4, -2 * slope), (low, 0), (high, 0), (high * 4, -2 * slope)])


def body(rng: Generator, deviation: float = 6.0, low: float = 60.0, high: float = 7500.0) -> Curve:
    """Resonances of a case, a room, an exhaust: a random curve of 18 knots."""
    return [(float(f), float(rng.normal(0, deviation))) for f in np.geomspace(low, high, 18)]


def drift(rng: Generator, n: int, hertz: float, depth: float = 1.0) -> Signal:
    """A random curve that turns about `hertz` times a second, with the deviation `depth`."""
    knots = max(int(n / SAMPLE_RATE * hertz) + 2, 3)
    return depth * np.interp(np.linspace(0, knots - 1, n), np.arange(knots), rng.standard_normal(knots))


def swell(rng: Generator, n: int, hertz: float, decibels: float) -> Signal:
    """A gain that wanders by so many decibels."""
    return 10 ** (drift(rng, n, hertz, decibels) / 20)


def blended(signals: Sequence[Signal], place: Signal) -> Signal:
    """From one signal to the next as `place` goes from 0 to their number less one."""
    return sum(
        (x * (1 - np.abs(place.clip(0, len(signals) - 1) - i)).clip(0) for i, x in enumerate(signals)),
        np.zeros(len(place)),
    )


def tone(frequency: Signal, amplitudes: Numbers, phases: Numbers | None = None) -> Signal:
    """Partials 1, 2, 3 ... of a frequency that may change; those above the band are left out."""
    phase = 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE
    out = np.zeros(len(frequency))
    for k, amplitude in enumerate(amplitudes, 1):
        audible = k * frequency < 0.46 * SAMPLE_RATE
        if audible.any():
            out += amplitude * audible * np.sin(k * phase + (phases[k - 1] if phases is not None else 0.0))
    return out


def pulses(rng: Generator, rate: Signal, jitter: float = 0.0) -> np.ndarray:
    """Samples at which a pulse train of that many pulses a second has its pulses.

    jitter: deviation of a pulse, as a share of the time between two.
    """
    count = np.cumsum(rate) / SAMPLE_RATE + rng.random()
    at = np.flatnonzero(np.diff(np.floor(count)) > 0)
    late = rng.normal(0, jitter, len(at)) * SAMPLE_RATE / rate[at]
    return np.clip(at + late.astype(np.int64), 0, len(rate) - 1)


def scattered(rng: Generator, n: int, density: float | Signal) -> np.ndarray:
    """Samples of events that come by chance, `density` a second (Poisson)."""
    return np.flatnonzero(rng.random(n) < np.broadcast_to(np.asarray(density) / SAMPLE_RATE, n))


def struck(n: int, at: np.ndarray, gains: Signal | float, impulse: Signal) -> Signal:
    """The impulse, once for each event, as loud as its gain."""
    hits = np.zeros(n)
    np.add.at(hits, at, np.broadcast_to(gains, len(at)))
    size = 1 << (n + len(impulse) - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(hits, size) * np.fft.rfft(impulse, size), size)[:n]


def strokes(rng: Generator, n: int, at: np.ndarray, impulses: Sequence[Signal], swing: float = 4.0) -> Signal:
    """Events that each sound like one of the impulses, their levels differing by `swing` dB."""
    out = np.zeros(n)
    which = rng.integers(len(impulses), size=len(at))
    gains = 10 ** (rng.normal(0, swing, len(at)) / 20)
    for i, impulse in enumerate(impulses):
        out += struck(n, at[which == i], gains[which == i], impulse)
    return out


def burst(rng: Generator, seconds: float, curve: Curve, attack: float = 0.001) -> Signal:
    """Noise that sets in at once and dies away, by 60 dB in `seconds`."""
    t = times(max(int(seconds * SAMPLE_RATE), 16))
    return peak(noise(rng, len(t), curve) * 10 ** (-3 * t / seconds) * np.minimum(t / attack, 1))


def ringing(
    rng: Generator,
    frequencies: Numbers,
    seconds: Numbers,
    gains: Numbers | None = None,
) -> Signal:
    """A struck body: a sine for each of its modes, each falling by 60 dB in its seconds."""
    t = times(int(max(seconds) * SAMPLE_RATE) + 16)
    out = np.zeros(len(t))
    for i, (f, s) in enumerate(zip(frequencies, seconds)):
        if f < 0.46 * SAMPLE_RATE:
            gain = gains[i] if gains is not None else 1.0
            out += gain * 10 ** (-3 * t / s) * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.28))
    return peak(out)


def object_of(
    rng: Generator, low: float, high: float, seconds: tuple[float, float], modes: int = 7, click: float = 0.3
) -> Signal:
    """A random struck thing: modes between two frequencies, high ones dying sooner, and the click."""
    f = np.sort(np.exp(rng.uniform(np.log(low), np.log(high), modes)))
    fall = span(rng, *seconds) * (f[0] / f) ** 0.5
    out = ringing(rng, f, fall, rng.uniform(0.2, 1.0, modes))
    blow = burst(rng, 0.012, [(100, -6), (low, 0), (high, 0), (8000, -12)])
    out[: len(blow)] += click * blow[: len(out)]
    return peak(out)


def gate(n: int, starts: np.ndarray, lengths: np.ndarray, ramp: float = 0.005) -> Signal:
    """One while a sound is on, zero while it is off, with ramps of so many seconds."""
    edges = np.zeros(n + 1)
    for start, length in zip(starts, lengths):
        first, last = max(int(start), 0), min(int(start + length), n)
        if last > first:
            edges[first] += 1
            edges[last] -= 1
    width = max(int(ramp * SAMPLE_RATE), 1)
    smooth = np.convolve(np.minimum(np.cumsum(edges[:n]), 1), np.ones(width) / width)
    return smooth[:n]


def rhythm(
    rng: Generator, n: int, every: float, share: float, swing: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of a sound that comes every so many seconds and lasts that share of them."""
    steps = every * (1 + swing * rng.standard_normal(int(n / SAMPLE_RATE / every) + 2)).clip(0.3)
    starts = (np.cumsum(steps) - steps[0]) * SAMPLE_RATE + rng.uniform(0, 0.3 * every * SAMPLE_RATE)
    return starts.astype(np.int64), (steps * share * SAMPLE_RATE).astype(np.int64)


def breath_cycle(rng: Generator, n: int, every: float, share: float) -> Signal:
    """Rounded swells between zero and one: breaths, waves, strokes of a saw."""
    starts, lengths = rhythm(rng, n, every, share, 0.08)
    out = np.zeros(n)
    for start, length in zip(starts, lengths):
        piece = np.sin(np.linspace(0, np.pi, max(length, 2))) ** 1.5 * span(rng, 0.6, 1.4)
        piece = piece[: max(n - start, 0)]
        out[start : start + len(piece)] = np.maximum(out[start : start + len(piece)], piece)
    return out
