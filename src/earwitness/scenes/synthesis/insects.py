"""Wings and song of insects."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.scenes.synthesis.signals import Signal, band, drift, noise, span, swell, times, tone, unit


def _buzz(rng: Generator, n: int, pitch: tuple[float, float]) -> Signal:
    """A wing: partials of a wavering pitch, nearer and farther."""
    f = span(rng, *pitch) * (1 + drift(rng, n, 60, 0.02) + drift(rng, n, 4, 0.04) + drift(rng, n, 0.8, 0.05))
    partials = rng.uniform(0.2, 1, 24) / np.arange(1, 25) ** rng.uniform(0.2, 1.0)
    wing = unit(tone(f, partials, rng.uniform(0, 6, 24))) * swell(rng, n, 40, 2)
    return (wing + span(rng, 0.02, 0.2) * band(rng, n, 400, 3000)) * swell(rng, n, 1.0, 7)


def bee(rng: Generator, n: int) -> Signal:
    return sum((_buzz(rng, n, (170, 270)) for _ in range(int(rng.choice([1, 1, 2, 6, 14])))), np.zeros(n))


def fly(rng: Generator, n: int) -> Signal:
    return sum((_buzz(rng, n, (140, 240)) for _ in range(int(rng.choice([1, 1, 2, 4])))), np.zeros(n))


def mosquito(rng: Generator, n: int) -> Signal:
    return _buzz(rng, n, (350, 750))


def crickets(rng: Generator, n: int) -> Signal:
    """Each sings a few pulses of one high tone, again and again; a meadow of them is nearly steady."""
    out, t = np.zeros(n), times(n)
    for _ in range(int(rng.choice([1, 1, 2, 4, 8, 16]))):
        beat, many = span(rng, 18, 55), int(rng.integers(2, 6))
        chirps = ((t + rng.uniform(0, 1)) / span(rng, 0.3, 1.2)) % 1
        pulsed = np.clip(np.sin(2 * np.pi * beat * t), 0, 1)
        on = chirps < (many / beat) / 0.7 if rng.random() < 0.75 else np.ones(n)
        out += tone(np.full(n, span(rng, 2300, 6000)), [1, 0.05]) * pulsed * on * span(rng, 0.1, 1)
    return out


def cicadas(rng: Generator, n: int) -> Signal:
    rasp = 1 + rng.uniform(0.3, 1) * np.sin(2 * np.pi * span(rng, 40, 250) * times(n))
    f = span(rng, 3000, 6500)
    return (
        noise(rng, n, [(f / 3, -40), (f / 1.3, -8), (f, 0), (min(f * 1.3, 7800), -8), (8000, -20)])
        * rasp
        * swell(rng, n, 0.5, 4)
    )
