"""Rustles, scrapes, squeaks, and breath: what is rubbed, drawn or blown."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.signals import (
    Curve,
    Signal,
    band,
    body,
    breath_cycle,
    burst,
    drift,
    noise,
    object_of,
    pulses,
    ringing,
    scattered,
    shaped,
    span,
    strokes,
    struck,
    swell,
    times,
    tone,
    unit,
)


def rustle(rng: Generator, n: int, low: float, dense: tuple[float, float]) -> Signal:
    """A sheet that is crumpled, turned or rubbed: crackles in bouts."""
    bouts = breath_cycle(rng, n, span(rng, 0.4, 2.0), rng.uniform(0.4, 0.9)) * swell(rng, n, 8, 5)
    curve: Curve = [(low / 3, -24), (low, -4), (low * 2.5, 0), (8000, -8)]
    folds = [burst(rng, span(rng, 0.002, 0.02), curve) for _ in range(10)]
    crumpled = strokes(rng, n, scattered(rng, n, span(rng, *dense) * bouts), folds, 8.0)
    return unit(crumpled) + span(rng, 0.1, 0.6) * noise(rng, n, curve) * bouts


def paper(rng: Generator, n: int) -> Signal:
    return rustle(rng, n, span(rng, 1000, 2500), (60, 400))


def bag(rng: Generator, n: int) -> Signal:
    return rustle(rng, n, span(rng, 1800, 3800), (100, 600))


def cloth(rng: Generator, n: int) -> Signal:
    return rustle(rng, n, span(rng, 300, 1200), (100, 600))


def scraping(rng: Generator, n: int) -> Signal:
    """Something rough is drawn over something hard: noise through the modes of both."""
    pulls = breath_cycle(rng, n, span(rng, 0.4, 2.0), rng.uniform(0.5, 0.95))
    rough = shaped(np.abs(rng.standard_normal(n)) ** 3 * pulls, body(rng, 9.0, 150))
    return rough * pulls * swell(rng, n, 25, 3)


def sawing(rng: Generator, n: int) -> Signal:
    strokes_of = breath_cycle(rng, n, span(rng, 0.25, 0.8), rng.uniform(0.5, 0.9))
    teeth = 1 + 0.7 * np.sin(2 * np.pi * np.cumsum(span(rng, 80, 250) * (0.3 + strokes_of)) / SAMPLE_RATE)
    return noise(rng, n, [(200, -10), (1500, 0), (5000, -2), (8000, -8)]) * strokes_of * teeth


def brushing(rng: Generator, n: int) -> Signal:
    return band(rng, n, span(rng, 1000, 3000), 7000, 10) * breath_cycle(
        rng, n, span(rng, 0.15, 0.7), rng.uniform(0.5, 0.9)
    )


def squeak(rng: Generator, n: int) -> Signal:
    """Stick and slip: a rich tone that slides while something is rubbed."""
    rub = breath_cycle(rng, n, span(rng, 0.25, 1.5), rng.uniform(0.3, 0.8))
    f = span(rng, 500, 2800) * 2 ** (0.6 * rub + drift(rng, n, 6, 0.08))
    return tone(f, rng.uniform(0.1, 1, 8) / np.arange(1, 9) ** 0.7) * rub * swell(rng, n, 12, 4)


def creak(rng: Generator, n: int) -> Signal:
    """Slow stick and slip: single ticks that run together, through a wooden body."""
    move = breath_cycle(rng, n, span(rng, 0.6, 2.5), rng.uniform(0.4, 0.9))
    at = pulses(rng, 8 + span(rng, 40, 250) * move * 2 ** drift(rng, n, 4, 0.4), 0.08)
    groan = strokes(rng, n, at, [object_of(rng, 250, 3500, (0.01, 0.05)) for _ in range(3)], 3.0)
    return shaped(groan, body(rng, 7.0, 200)) * move


def tearing(rng: Generator, n: int) -> Signal:
    rip = breath_cycle(rng, n, span(rng, 0.4, 1.5), rng.uniform(0.3, 0.8))
    return noise(rng, n, [(300, -12), (2000, 0), (8000, -2)]) * rip * (0.4 + rng.random(n) ** 4 * 3)


def whoosh(rng: Generator, n: int) -> Signal:
    air = breath_cycle(rng, n, span(rng, 0.5, 2.0), rng.uniform(0.3, 0.6))
    low, high = band(rng, n, 150, 600), band(rng, n, 800, 3000)
    return (low * (1 - air) + high * air) * air**2


def snoring(rng: Generator, n: int) -> Signal:
    """Breath in through a flapping palate, breath out as a sigh."""
    cycle = span(rng, 2.5, 5)
    inward = breath_cycle(rng, n, cycle, rng.uniform(0.3, 0.5))
    flap = pulses(rng, np.full(n, span(rng, 25, 90)) * (1 + drift(rng, n, 2, 0.1)), 0.05)
    throat = ringing(rng, span(rng, 250, 500) * np.array([1, 2.6, 5.1]), [0.05, 0.03, 0.02], [1, 0.5, 0.3])
    air = noise(rng, n, [(100, -8), (350, 0), (1200, -6), (3500, -14), (8000, -26)])
    flutter = np.sqrt(struck(n, flap, 1.0, np.exp(-times(800) * 120)).clip(0))
    buzz = unit(strokes(rng, n, flap, [throat], 2.0)) + span(rng, 0.3, 1.5) * unit(air * flutter)
    sigh = breath_cycle(rng, n, cycle, 0.3) * band(rng, n, 500, 3000)
    return buzz * inward + rng.uniform(0, 0.4) * sigh


def breathing(rng: Generator, n: int) -> Signal:
    mouth = [(250, -14), (span(rng, 600, 1500), 0), (span(rng, 2500, 5000), -6), (8000, -18)]
    return noise(rng, n, mouth) * breath_cycle(rng, n, span(rng, 0.4, 1.8), rng.uniform(0.4, 0.8))
