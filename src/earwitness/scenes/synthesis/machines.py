"""Electric motors, tools and household machines."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.alarms import beeps
from earwitness.scenes.synthesis.signals import (
    Signal,
    band,
    body,
    breath_cycle,
    drift,
    gate,
    noise,
    object_of,
    pulses,
    ringing,
    shaped,
    span,
    strokes,
    struck,
    swell,
    times,
    tone,
    unit,
)


def motor(
    rng: Generator,
    n: int,
    whine: tuple[float, float],
    air: tuple[float, float],
    load: float = 0.0,
    switched: float = 0.3,
) -> Signal:
    """An electric motor: partials of its turning, brushes and fan; load: how far its speed sags and jumps."""
    t = times(n)
    f = span(rng, *whine) * (1 + drift(rng, n, 2, 0.004) + np.clip(drift(rng, n, 4, load), -0.5, 0.3))
    on, off = 0.0, t[-1] + 1.0
    if rng.random() < switched:
        on, off = rng.uniform(0, 0.3) * t[-1], rng.uniform(0.6, 1.0) * t[-1]
    spin = (1 - np.exp(-np.clip(t - on, 0, None) / span(rng, 0.05, 0.4))) * np.exp(
        -np.clip(t - off, 0, None) / span(rng, 0.15, 0.8)
    )
    whirl = tone(f * spin.clip(0.05), rng.uniform(0.1, 1, 24) / np.arange(1, 25) ** rng.uniform(0.1, 0.9))
    fan = noise(rng, n, [(100, -8), (600, 0), (2500, -2), (8000, -12)])
    mixed = unit(shaped(whirl, body(rng, 7.0))) + span(rng, *air) * shaped(fan, body(rng, 3.0))
    return mixed * spin * (1 + np.clip(drift(rng, n, 6, load), -0.6, 0.6))


def hum(rng: Generator, n: int) -> Signal:
    mains = float(rng.choice([50.0, 60.0, 100.0, 120.0]))
    partials = rng.uniform(0.05, 1, 12) / np.arange(1, 13) ** rng.uniform(0.2, 1.2)
    return unit(tone(np.full(n, mains), partials)) + span(rng, 0.05, 0.6) * noise(
        rng, n, [(80, 0), (500, -6), (8000, -24)]
    )


def machine(rng: Generator, n: int) -> Signal:
    """Something runs in there: hum, fan and, half of the time, a part that knocks at every turn."""
    running = hum(rng, n) * span(rng, 0.3, 1) + span(rng, 0.2, 1.2) * noise(rng, n, body(rng, 5.0))
    if rng.random() < 0.6:
        parts = [object_of(rng, 150, 3500, (0.02, 0.15)) for _ in range(int(rng.integers(1, 4)))]
        at = pulses(rng, np.full(n, span(rng, 1.5, 18)), 0.03)
        running += span(rng, 0.3, 2.0) * unit(strokes(rng, n, at, parts, 2.0))
    return running


def fan(rng: Generator, n: int) -> Signal:
    blades = 1 + rng.uniform(0, 0.4) * np.sin(2 * np.pi * span(rng, 4, 40) * times(n))
    return noise(rng, n, [(60, -2), (300, 0), (1500, -6), (8000, -22)]) * blades + span(rng, 0.05, 0.5) * hum(
        rng, n
    )


def vacuum_cleaner(rng: Generator, n: int) -> Signal:
    return motor(rng, n, (150, 400), (1.0, 3.0), 0.02)


def hair_dryer(rng: Generator, n: int) -> Signal:
    return motor(rng, n, (120, 350), (1.5, 5.0), 0.005)


def blender(rng: Generator, n: int) -> Signal:
    return motor(rng, n, (150, 450), (0.3, 1.2), 0.06, 0.6)


def drill(rng: Generator, n: int) -> Signal:
    turning = motor(rng, n, (200, 800), (0.2, 0.8), 0.08, 0.7)
    if rng.random() < 0.4:  # hammer drill
        turning *= 1 + 0.9 * np.sign(np.sin(2 * np.pi * span(rng, 25, 60) * times(n)))
    return turning


def grinder(rng: Generator, n: int) -> Signal:
    scream = noise(rng, n, [(500, -20), (2500, 0), (6000, 0), (8000, -6)]) * swell(rng, n, 3, 6)
    return motor(rng, n, (250, 700), (0.3, 0.8), 0.06, 0.4) + span(rng, 0.3, 1.5) * scream


def _runs(rng: Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths of stretches of work, with short rests between them."""
    runs, at = [], 0.0
    while at < n:
        runs.append((at, span(rng, 0.6, 6.0) * SAMPLE_RATE))
        at += runs[-1][1] + span(rng, 0.2, 1.2) * SAMPLE_RATE
    starts, lengths = zip(*runs)
    return np.array(starts), np.array(lengths)


def sewing_machine(rng: Generator, n: int) -> Signal:
    """Needle and shuttle strike twice a turn; the motor speeds up and slows down with the seam."""
    runs = gate(n, *_runs(rng, n), 0.15)
    rate = span(rng, 5, 16) * (0.35 + 0.65 * runs) * (1 + drift(rng, n, 1, 0.06))
    click, clack = object_of(rng, 600, 5000, (0.02, 0.08)), object_of(rng, 300, 3000, (0.02, 0.08))
    at = pulses(rng, rate, 0.01)
    needle = struck(n, at, 1.0, click) + struck(
        n, np.minimum(at + int(0.45 * SAMPLE_RATE / rate.mean()), n - 1), 0.8, clack
    )
    whirr = tone(rate * rng.integers(8, 30), rng.uniform(0.2, 1, 8))
    return (
        unit(needle) + span(rng, 0.1, 0.6) * unit(whirr) + span(rng, 0.05, 0.3) * band(rng, n, 500, 4000)
    ) * runs


def jackhammer(rng: Generator, n: int) -> Signal:
    runs = gate(n, *_runs(rng, n), 0.02)
    blows = strokes(
        rng,
        n,
        pulses(rng, np.full(n, span(rng, 12, 28)), 0.02),
        [object_of(rng, 150, 5000, (0.05, 0.2), 9, 0.8) for _ in range(3)],
        1.5,
    )
    return (unit(blows) + span(rng, 0.2, 0.6) * noise(rng, n, [(100, 0), (1000, -3), (8000, -12)])) * (
        0.02 + runs
    )


def printer(rng: Generator, n: int) -> Signal:
    starts, lengths = _runs(rng, n)
    passes = gate(n, starts, lengths * 0.4, ramp=0.03)
    sweep = span(rng, 150, 900) * (1 + 0.3 * breath_cycle(rng, n, span(rng, 0.4, 1.5), 0.9))
    feed = strokes(
        rng,
        n,
        pulses(rng, np.full(n, span(rng, 0.7, 4)), 0.1),
        [object_of(rng, 300, 4000, (0.02, 0.1)) for _ in range(3)],
    )
    return (
        unit(tone(sweep, rng.uniform(0.1, 1, 8))) * passes
        + 0.6 * band(rng, n, 800, 5000) * passes
        + span(rng, 0.3, 1.2) * unit(feed)
    )


def washing_machine(rng: Generator, n: int) -> Signal:
    slosh = noise(rng, n, [(80, -3), (300, 0), (1500, -6), (8000, -24)]) * breath_cycle(
        rng, n, span(rng, 0.5, 1.6), 0.8
    )
    return unit(slosh) + span(rng, 0.2, 1.0) * machine(rng, n)


def wipers(rng: Generator, n: int) -> Signal:
    wiped = band(rng, n, 300, 2500) * breath_cycle(rng, n, span(rng, 0.6, 1.6), 0.5)
    thud = struck(
        n,
        pulses(rng, np.full(n, 1 / span(rng, 0.6, 1.6)), 0.02),
        1.0,
        ringing(rng, [90, 160, 320], [0.1, 0.08, 0.05]),
    )
    return unit(wiped) + unit(thud)


def microwave(rng: Generator, n: int) -> Signal:
    t, done = times(n), rng.uniform(0.3, 0.9) * n / SAMPLE_RATE
    oven = hum(rng, n) + span(rng, 0.3, 1) * noise(rng, n, [(80, 0), (400, -2), (2000, -12), (8000, -28)])
    return unit(oven) * (t < done) + span(rng, 0.8, 3) * beeps(
        rng, n, (900, 2500), (0.4, 1.5), (0.3, 0.7)
    ) * (t > done)
