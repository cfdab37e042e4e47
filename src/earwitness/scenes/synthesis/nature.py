"""Wind, rain, thunder, water, fire, leaves, and what hisses."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.signals import (
    Signal,
    band,
    blended,
    breath_cycle,
    burst,
    drift,
    noise,
    peak,
    scattered,
    span,
    strokes,
    swell,
    times,
    tone,
    unit,
)


def wind(rng: Generator, n: int) -> Signal:
    """Gusts: the stronger, the brighter; half of the time in the microphone, as rumble and buffeting."""
    gust = np.clip(drift(rng, n, span(rng, 0.2, 1.5)), -2, 2)
    turns = [
        noise(rng, n, [(40, 4), (c, 0), (4 * c, -20), (8000, -45)])
        for c in np.array([120, 300, 800]) * span(rng, 0.6, 1.6)
    ]
    out = blended(turns, (gust + 2) / 2) * 10 ** (rng.uniform(3, 8) * gust / 20)
    if rng.random() < 0.5:
        buffet = noise(rng, n, [(20, 6), (60, 3), (200, -12), (1000, -40), (8000, -60)])
        out = out * 0.5 + span(rng, 0.3, 2) * buffet * swell(rng, n, 5, 6) * 10 ** (gust * 4 / 20)
    if rng.random() < 0.25:  # through a gap
        f = span(rng, 350, 1100) * 2 ** (0.25 * gust)
        out += (
            span(rng, 0.1, 0.6) * tone(f * (1 + drift(rng, n, 12, 0.015)), [1, 0.2]) * 10 ** (gust * 5 / 20)
        )
    return out


def drop(rng: Generator, low: float, high: float) -> Signal:
    """A bubble that rings after a drop fell: a sine that rises; large ones are low and long.

    Damping and rise: van den Doel, Physically based models for liquid sounds, 2005.
    """
    f, t = span(rng, low, high), times(int(0.15 * SAMPLE_RATE))
    damping = 0.043 * f + 0.0014 * f**1.5
    risen = f * (1 + rng.uniform(0.0, 0.15) * damping * t)
    return peak(
        np.sin(2 * np.pi * np.cumsum(risen) / SAMPLE_RATE) * np.exp(-damping * t) * np.minimum(t / 0.001, 1)
    )


def bubbling(rng: Generator, n: int, density: float | Signal, low: float, high: float) -> Signal:
    return strokes(rng, n, scattered(rng, n, density), [drop(rng, low, high) for _ in range(24)], 6.0)


def rain(rng: Generator, n: int) -> Signal:
    hiss = noise(rng, n, [(100, -14), (500, -6), (2000, -1), (5000, 0), (8000, -3 - rng.uniform(0, 6))])
    taps = [
        burst(rng, span(rng, 0.003, 0.03), [(150, -10), (span(rng, 500, 3000), 0), (8000, -10)])
        for _ in range(12)
    ]
    drops = strokes(rng, n, scattered(rng, n, span(rng, 15, 400)), taps, 6.0)
    out = hiss * swell(rng, n, 0.3, 1.0) + span(rng, 0.2, 2.5) * unit(drops)
    if rng.random() < 0.3:
        out += span(rng, 0.1, 0.5) * unit(bubbling(rng, n, span(rng, 3, 20), 500, 2500))
    return out


def thunder(rng: Generator, n: int) -> Signal:
    t = times(n)
    out = np.zeros(n)
    at = rng.uniform(0, 0.5)
    while at < t[-1]:
        length = span(rng, 2.0, 6.0)
        since = np.clip(t - at, 0, None)
        shape = (t > at) * np.minimum(since / span(rng, 0.01, 0.8), 1) * np.exp(-since / length * 3)
        near = span(rng, 120, 600)
        roll = noise(rng, n, [(25, 0), (80, 2), (near, -6), (near * 4, -24), (8000, -50)]) * swell(
            rng, n, 5, 7
        )
        out += shape * roll * span(rng, 0.4, 1.5)
        at += length * span(rng, 0.8, 2.5)
    return out


def waves(rng: Generator, n: int) -> Signal:
    wash = breath_cycle(rng, n, span(rng, 3.5, 9), rng.uniform(0.7, 1.0))
    turns = [noise(rng, n, [(60, 0), (c, 0), (c * 4, -14), (8000, -30)]) for c in (250, 700, 2500)]
    return blended(turns, wash * 2) * (0.15 + wash) + 0.1 * noise(rng, n, [(60, 0), (500, -6), (8000, -26)])


def stream(rng: Generator, n: int) -> Signal:
    flow = noise(rng, n, [(150, -10), (600, 0), (2000, -2), (8000, -14)]) * swell(rng, n, 2, 1.0)
    return unit(bubbling(rng, n, span(rng, 60, 500), 350, 3000)) + span(rng, 0.1, 1.2) * flow


def waterfall(rng: Generator, n: int) -> Signal:
    return noise(rng, n, [(50, -4), (300, 0), (1500, -1), (5000, -5), (8000, -10)]) * swell(rng, n, 2, 0.6)


def tap(rng: Generator, n: int) -> Signal:
    jet = noise(rng, n, [(200, -12), (1000, -2), (3500, 0), (8000, -6)]) * swell(rng, n, 3, 1.2)
    return jet + span(rng, 0.2, 1.0) * unit(bubbling(rng, n, span(rng, 50, 300), 500, 4000))


def pouring(rng: Generator, n: int) -> Signal:
    """A vessel that fills: bubbles under a resonance that climbs."""
    level = np.clip(times(n) / span(rng, 1.5, 6), 0, 1)
    pours = bubbling(rng, n, span(rng, 80, 400), 300, 2500)
    whistle = np.sin(2 * np.pi * np.cumsum(span(rng, 250, 700) * (1 + 2 * level)) / SAMPLE_RATE) * band(
        rng, n, 20, 120
    )
    return (
        unit(pours)
        + span(rng, 0.2, 1.0) * unit(whistle)
        + span(rng, 0.1, 0.5) * noise(rng, n, [(500, -8), (3000, 0), (8000, -6)])
    )


def boiling(rng: Generator, n: int) -> Signal:
    return unit(bubbling(rng, n, span(rng, 20, 150) * swell(rng, n, 4, 3), 150, 900)) + 0.2 * noise(
        rng, n, [(100, 0), (2000, -12), (8000, -24)]
    )


def draining(rng: Generator, n: int) -> Signal:
    gurgle = bubbling(rng, n, span(rng, 15, 60) * swell(rng, n, 3, 8), 120, 900)
    return unit(gurgle) + span(rng, 0.2, 1.0) * noise(
        rng, n, [(200, -6), (900, 0), (4000, -8), (8000, -16)]
    ) * swell(rng, n, 4, 4)


def dripping(rng: Generator, n: int) -> Signal:
    return bubbling(rng, n, span(rng, 0.7, 6), 500, 3500)


def splashing(rng: Generator, n: int) -> Signal:
    beats = breath_cycle(rng, n, span(rng, 0.4, 1.8), rng.uniform(0.3, 0.7))
    spray = noise(rng, n, [(150, -8), (700, 0), (3000, -2), (8000, -10)])
    return spray * beats + span(rng, 0.3, 1.0) * unit(bubbling(rng, n, 20 + 300 * beats, 300, 3000))


def shower(rng: Generator, n: int) -> Signal:
    return noise(rng, n, [(100, -12), (600, -6), (2500, 0), (8000, -1)]) + span(rng, 0.1, 0.7) * unit(
        bubbling(rng, n, 200, 600, 4000)
    )


def flushing(rng: Generator, n: int) -> Signal:
    t = times(n)
    since = np.clip(t - rng.uniform(0, 0.5), 0, None)
    rush = np.minimum(since / 0.3, 1) * np.exp(
        -np.clip(since - span(rng, 1.5, 4), 0, None) / span(rng, 0.5, 1.5)
    )
    refill = 0.12 * noise(rng, n, [(500, -14), (3000, 0), (8000, -4)]) * (since > 0)
    return (
        noise(rng, n, [(80, -3), (400, 0), (2000, -5), (8000, -14)]) * rush * swell(rng, n, 12, 1)
        + 0.8 * rush * unit(bubbling(rng, n, 80, 150, 1200))
        + refill
    )


def bubbles(rng: Generator, n: int) -> Signal:
    return bubbling(rng, n, span(rng, 6, 60) * swell(rng, n, 2, 5), 200, 1500)


def crackle(rng: Generator, n: int, density: float | Signal, curve_low: float) -> Signal:
    snaps = [
        burst(rng, span(rng, 0.001, 0.012), [(curve_low, -12), (span(rng, 1200, 5000), 0), (8000, -8)])
        for _ in range(12)
    ]
    return strokes(rng, n, scattered(rng, n, density), snaps, 9.0)


def fire(rng: Generator, n: int) -> Signal:
    roar = noise(rng, n, [(40, 2), (150, 0), (600, -10), (3000, -24), (8000, -36)]) * swell(rng, n, 4, 4)
    return unit(crackle(rng, n, span(rng, 8, 60) * swell(rng, n, 2, 5), 200)) + span(rng, 0.2, 1.5) * roar


def frying(rng: Generator, n: int) -> Signal:
    sizzle = noise(rng, n, [(300, -20), (1500, -6), (4000, 0), (8000, -1)]) * swell(rng, n, 8, 1.5)
    return sizzle + span(rng, 0.4, 2.0) * unit(crackle(rng, n, span(rng, 30, 250) * swell(rng, n, 2, 3), 600))


def leaves(rng: Generator, n: int) -> Signal:
    """Many small dry impacts, in clusters."""
    rush = swell(rng, n, span(rng, 0.7, 4), rng.uniform(4, 10)).clip(0, 6)
    return (
        unit(crackle(rng, n, span(rng, 150, 900) * rush, 800))
        + 0.15 * noise(rng, n, [(500, -14), (3000, 0), (8000, -6)]) * rush
    )


def spray(rng: Generator, n: int) -> Signal:
    """Air or steam let out in puffs."""
    puffs = breath_cycle(rng, n, span(rng, 0.4, 2.5), rng.uniform(0.4, 0.9)) ** rng.uniform(0.1, 0.6)
    return hiss(rng, n) * puffs


def hiss(rng: Generator, n: int) -> Signal:
    low = span(rng, 1200, 4000)
    return noise(rng, n, [(150, -30), (low / 2, -10), (low, 0), (8000, -rng.uniform(0, 8))]) * swell(
        rng, n, 2, 1.0
    )


def release(rng: Generator, n: int) -> Signal:
    """A valve opens and lets go, at once or slowly."""
    t = times(n)
    out, at = np.zeros(n), rng.uniform(0, 0.3)
    while at < t[-1]:
        since, held = np.clip(t - at, 0, None), span(rng, 0.05, 2)
        out += np.minimum(since / span(rng, 0.01, 0.3), 1) * np.exp(
            -np.clip(since - held, 0, None) / span(rng, 0.1, 0.8)
        )
        at += held + span(rng, 0.8, 3)
    return hiss(rng, n) * out
