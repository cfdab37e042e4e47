"""Bells, chimes and clocks."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.signals import (
    Signal,
    object_of,
    pulses,
    rhythm,
    ringing,
    scattered,
    span,
    strokes,
    struck,
    swell,
)


def bell_stroke(rng: Generator, prime: float, seconds: float) -> Signal:
    """Hum, prime, minor third, fifth, nominal and above: partials of a cast bell, high ones dying first."""
    ratios = np.array([0.5, 1, 1.2, 1.5, 2, 2.5, 2.67, 3, 4, 5.3]) * (1 + 0.01 * rng.standard_normal(10))
    falls = seconds * np.array([1.3, 1, 0.7, 0.5, 0.6, 0.3, 0.3, 0.25, 0.18, 0.1])
    return ringing(
        rng,
        prime * ratios,
        falls,
        rng.uniform(0.3, 1, 10) * np.array([0.5, 1, 1, 0.6, 1, 0.6, 0.5, 0.6, 0.4, 0.3]),
    )


def church_bells(rng: Generator, n: int) -> Signal:
    out = np.zeros(n)
    for _ in range(int(rng.choice([1, 1, 2, 3, 4]))):
        starts, _ = rhythm(rng, n, span(rng, 0.9, 3.0), 1.0, 0.03)
        out += strokes(
            rng, n, starts[starts < n], [bell_stroke(rng, span(rng, 180, 700), span(rng, 3, 9))], 1.5
        )
    return out


def bell(rng: Generator, n: int) -> Signal:
    starts, _ = rhythm(rng, n, span(rng, 0.2, 2.0), 1.0, 0.15)
    return strokes(
        rng, n, starts[starts < n], [bell_stroke(rng, span(rng, 500, 2600), span(rng, 0.6, 4))], 2.0
    )


def hammered_bell(rng: Generator, n: int) -> Signal:
    at = pulses(rng, np.full(n, span(rng, 9, 26)), 0.02)
    return strokes(rng, n, at, [bell_stroke(rng, span(rng, 700, 2600), span(rng, 0.3, 1.5))], 1.0)


def crossing_bell(rng: Generator, n: int) -> Signal:
    at = pulses(rng, np.full(n, span(rng, 1.5, 5)), 0.01)
    return strokes(rng, n, at, [bell_stroke(rng, span(rng, 400, 1400), span(rng, 0.4, 2))], 1.0)


def wind_chimes(rng: Generator, n: int) -> Signal:
    tubes = [
        ringing(rng, f * np.array([1, 2.76, 5.4]), np.array([1, 0.5, 0.2]) * span(rng, 0.8, 4), [1, 0.5, 0.2])
        for f in span(rng, 500, 1500) * np.array([1, 1.12, 1.26, 1.5, 1.68])
    ]
    gusts = np.clip(swell(rng, n, 0.7, 8), 0, 4)
    return strokes(rng, n, scattered(rng, n, span(rng, 2, 10) * gusts), tubes, 5.0)


def bicycle_bell(rng: Generator, n: int) -> Signal:
    starts, _ = rhythm(rng, n, span(rng, 0.5, 2), 1.0, 0.2)
    ring = ringing(
        rng, span(rng, 1800, 4000) * np.array([1, 1.01, 2.3, 3.1]), np.full(4, span(rng, 0.3, 1.5))
    )
    at = (starts[:, None] + np.arange(int(rng.integers(1, 8))) * int(0.04 * SAMPLE_RATE)).ravel()
    return strokes(rng, n, at[at < n], [ring], 2.0)


def ticking(rng: Generator, n: int) -> Signal:
    """A clock: tick and tock, each a click in a small case."""
    every = float(rng.choice([1.0, 0.5, 0.25, 0.2, span(rng, 0.15, 1.2)]))
    at = (np.arange(rng.uniform(0, every), n / SAMPLE_RATE, every) * SAMPLE_RATE).astype(int)
    tick, tock = (object_of(rng, 800, 6500, (0.01, 0.08), click=0.5) for _ in range(2))
    alike = rng.random() < 0.4
    return struck(n, at[::2], 1.0, tick) + struck(n, at[1::2], rng.uniform(0.5, 1), tick if alike else tock)
