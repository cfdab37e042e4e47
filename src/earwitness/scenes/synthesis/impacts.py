"""Blows, clicks, steps, shots and claps."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.signals import (
    Signal,
    band,
    burst,
    noise,
    object_of,
    rhythm,
    ringing,
    scattered,
    span,
    strokes,
    struck,
    swell,
    times,
    unit,
)


def _beats(rng: Generator, n: int, every: tuple[float, float], swing: float = 0.1) -> np.ndarray:
    starts, _ = rhythm(rng, n, span(rng, *every), 1.0, swing)
    return starts[starts < n]


def knocks(rng: Generator, n: int) -> Signal:
    """Two to six blows of knuckles on a door, then a wait."""
    board = [object_of(rng, 120, 1200, (0.03, 0.12), click=0.4) for _ in range(2)]
    first = _beats(rng, n, (1.2, 4), 0.3)
    quick = span(rng, 0.12, 0.3) * SAMPLE_RATE
    at = (first[:, None] + np.arange(int(rng.integers(2, 7))) * quick).ravel().astype(int)
    return strokes(rng, n, at[at < n], board, 2.0)


def struck_things(
    rng: Generator, n: int, pitch: tuple[float, float], fall: tuple[float, float], every: tuple[float, float]
) -> Signal:
    """Things of one kind that knock together, by beats or by chance."""
    things = [
        object_of(
            rng,
            pitch[0] * span(rng, 0.7, 1.5),
            pitch[1],
            fall,
            int(rng.integers(4, 12)),
            rng.uniform(0.1, 0.8),
        )
        for _ in range(int(rng.integers(1, 6)))
    ]
    chance = rng.random() < 0.6
    at = scattered(rng, n, 1 / span(rng, *every)) if chance else _beats(rng, n, every)
    return strokes(rng, n, at if len(at) else np.array([n // 8]), things, 6.0)


def wood(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (130, 2200), (0.03, 0.15), (0.1, 1.2))


def metal(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (350, 7000), (0.1, 1.5), (0.08, 1.0))


def glass(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (1500, 7500), (0.08, 0.8), (0.1, 1.2))


def dishes(rng: Generator, n: int) -> Signal:
    clatter = struck_things(rng, n, (900, 6500), (0.04, 0.3), (0.06, 0.5))
    return unit(clatter) + rng.choice([0, 0, 0.3, 0.8]) * noise(
        rng, n, [(200, -10), (1500, 0), (8000, -8)]
    ) * swell(rng, n, 2, 5)


def stones(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (600, 5000), (0.015, 0.06), (0.05, 0.6))


def plastic(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (250, 3500), (0.015, 0.07), (0.08, 0.8))


def chopping(rng: Generator, n: int) -> Signal:
    """A knife through something, onto a board."""
    board = [object_of(rng, 150, 1500, (0.03, 0.1), click=0.8) for _ in range(3)]
    at = _beats(rng, n, (0.13, 0.7), 0.12)
    crunch = strokes(
        rng, n, np.maximum(at - 200, 0), [burst(rng, 0.03, [(800, -8), (3000, 0), (8000, -6)], 0.004)], 5.0
    )
    return strokes(rng, n, at, board, 2.5) + rng.uniform(0, 0.6) * crunch


def hammering(rng: Generator, n: int) -> Signal:
    nail = [object_of(rng, 250, 6000, (0.05, 0.4), 10, 0.8) for _ in range(2)]
    return strokes(rng, n, _beats(rng, n, (0.25, 0.9), 0.08), nail, 2.0)


def pecking(rng: Generator, n: int) -> Signal:
    first = _beats(rng, n, (1.0, 4), 0.3)
    at = (
        (first[:, None] + np.arange(int(rng.integers(6, 20))) * SAMPLE_RATE / span(rng, 14, 26))
        .ravel()
        .astype(int)
    )
    return strokes(rng, n, at[at < n], [object_of(rng, 500, 3000, (0.02, 0.06))], 1.5)


def footsteps(rng: Generator, n: int, low: float, high: float, grit: float) -> Signal:
    """Heel and sole; grit: what crunches under them."""
    at = _beats(rng, n, (0.3, 0.75), 0.06)
    soles = [object_of(rng, low, high, (0.02, 0.09), click=rng.uniform(0.2, 1)) for _ in range(3)]
    grains = [
        unit(burst(rng, span(rng, 0.1, 0.3), [(300, -10), (2500, 0), (8000, -4)], 0.03)) for _ in range(4)
    ]
    crunch = strokes(rng, n, at, grains, 3.0) * (0.2 + 5 * rng.random(n) ** 6)
    return (1 - grit) * strokes(rng, n, at, soles, 2.5) + 0.25 * grit * crunch


def walking(rng: Generator, n: int) -> Signal:
    return footsteps(rng, n, 90, 2500, rng.uniform(0, 0.3))


def gravel(rng: Generator, n: int) -> Signal:
    return footsteps(rng, n, 100, 1500, rng.uniform(0.7, 1.0))


def hooves(rng: Generator, n: int) -> Signal:
    """Walk, trot, canter: two to four beats in a stride, one hoof a little unlike the next."""
    stride, legs = span(rng, 0.4, 1.2), int(rng.choice([2, 3, 4]))
    phases = (
        np.sort(rng.uniform(0, 1, legs)) if legs == 3 else np.arange(legs) / legs + rng.normal(0, 0.03, legs)
    )
    at = (
        ((np.arange(0, n / SAMPLE_RATE, stride)[:, None] + phases * stride) * SAMPLE_RATE).ravel().astype(int)
    )
    hoof = [object_of(rng, span(rng, 250, 900), 2500, (0.02, 0.08), 5, 0.5) for _ in range(4)]
    return strokes(rng, n, at[(at >= 0) & (at < n)], hoof, 2.5)


def clicks(rng: Generator, n: int) -> Signal:
    """A button goes down and comes up."""
    down = _beats(rng, n, (0.25, 1.5), 0.35)
    press, back = (object_of(rng, 1200, 7000, (0.004, 0.02), 5, 0.8) for _ in range(2))
    up = np.minimum(down + int(span(rng, 0.05, 0.15) * SAMPLE_RATE), n - 1)
    return struck(n, down, 1.0, press) + struck(n, up, rng.uniform(0.4, 1), back)


def shutter(rng: Generator, n: int) -> Signal:
    first = _beats(rng, n, (0.3, 2.5), 0.3)
    parts = [object_of(rng, 700, 6500, (0.008, 0.04), 6, 0.9) for _ in range(3)]
    gap = span(rng, 0.03, 0.15) * SAMPLE_RATE
    return sum(
        (
            struck(n, at[at < n], 1.0, p)
            for p, at in zip(parts, (first, (first + gap).astype(int), (first + 1.3 * gap).astype(int)))
        ),
        np.zeros(n),
    )


def coins(rng: Generator, n: int) -> Signal:
    return struck_things(rng, n, (2500, 7600), (0.05, 0.4), (0.04, 0.3))


def bang(rng: Generator, low: float, seconds: float) -> Signal:
    """A shock: all bands at once, the high ones dying first, and its echoes."""
    n = int(seconds * SAMPLE_RATE)
    t = times(n)
    out = np.zeros(n)
    for centre, fall in ((low, 1.0), (low * 4, 0.5), (low * 16, 0.25), (min(low * 50, 5000), 0.12)):
        out += band(rng, n, centre * 0.6, centre * 1.6) * 10 ** (-3 * t / (seconds * fall))
    for _ in range(int(rng.integers(0, 4))):
        late = int(rng.uniform(0.05, 0.4) * n)
        out[late:] += rng.uniform(0.05, 0.35) * out[: n - late]
    return out / np.abs(out).max()


def fireworks(rng: Generator, n: int) -> Signal:
    booms = strokes(
        rng,
        n,
        scattered(rng, n, span(rng, 0.6, 4)),
        [bang(rng, span(rng, 40, 150), span(rng, 0.5, 2)) for _ in range(4)],
        5.0,
    )
    snaps = [burst(rng, span(rng, 0.005, 0.04), [(500, -6), (2500, 0), (8000, -4)]) for _ in range(5)]
    return unit(booms) + rng.uniform(0, 0.8) * unit(
        strokes(rng, n, scattered(rng, n, 40 * swell(rng, n, 1, 10).clip(0, 5)), snaps, 6.0)
    )


def claps(rng: Generator, n: int, people: tuple[int, int]) -> Signal:
    out = np.zeros(n)
    for _ in range(int(rng.integers(*people))):
        f = span(rng, 600, 2500)
        hands = burst(rng, span(rng, 0.02, 0.08), [(f / 4, -20), (f, 0), (f * 2.5, -6), (8000, -18)], 0.002)
        out += struck(n, _beats(rng, n, (0.18, 0.4), 0.06), span(rng, 0.2, 1), hands)
    return out


def applause(rng: Generator, n: int) -> Signal:
    many = claps(rng, n, (20, 60))
    far = noise(rng, n, [(200, -16), (900, -2), (2200, 0), (8000, -14)]) * swell(rng, n, 1, 1.5)
    return unit(many) + span(rng, 0.1, 1.5) * far


def clapping(rng: Generator, n: int) -> Signal:
    return claps(rng, n, (1, 4))


def heartbeat(rng: Generator, n: int) -> Signal:
    at = _beats(rng, n, (0.5, 1.1), 0.03)
    lub, dub = (
        ringing(rng, span(rng, 40, 90) * np.array([1, 1.7, 2.6]), [0.15, 0.1, 0.06]) for _ in range(2)
    )
    return struck(n, at, 1.0, lub) + struck(n, np.minimum(at + int(0.3 * SAMPLE_RATE), n - 1), 0.7, dub)
