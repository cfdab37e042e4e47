"""Sirens, horns, beeps, whistles, telephones and radios."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.bells import hammered_bell
from earwitness.scenes.synthesis.signals import (
    Signal,
    band,
    body,
    burst,
    drift,
    gate,
    noise,
    rhythm,
    scattered,
    shaped,
    span,
    strokes,
    swell,
    times,
    tone,
    unit,
)


def _reed(rng: Generator, count: int = 24) -> Signal:
    """Partials of something that buzzes: falling slowly, uneven."""
    return rng.uniform(0.3, 1, count) / np.arange(1, count + 1) ** rng.uniform(0.2, 1.0)


def siren(rng: Generator, n: int) -> Signal:
    """Wail, yelp, two tones or a hand-cranked rise and fall, through a horn, echoed by a street."""
    t = times(n) + rng.uniform(0, 5)
    low, high = span(rng, 350, 750), span(rng, 1.6, 2.6)
    kind = rng.choice(["wail", "yelp", "two", "slow"], p=[0.4, 0.25, 0.2, 0.15])
    every = {
        "wail": span(rng, 2.5, 6),
        "yelp": span(rng, 0.15, 0.4),
        "two": span(rng, 0.8, 1.6),
        "slow": span(rng, 7, 14),
    }[kind]
    turn = (t / every) % 1
    if kind == "two":
        height = (turn > 0.5) * rng.uniform(0.3, 0.6)
    elif rng.random() < 0.5:
        height = 0.5 - 0.5 * np.cos(2 * np.pi * turn)
    else:
        up = rng.uniform(0.15, 0.5)
        height = np.where(turn < up, turn / up, (1 - turn) / (1 - up))
    f = low * high**height * (1 - rng.uniform(0, 0.05) * (t - t[0]) / t[-1])
    cry = shaped(tone(f, _reed(rng, 12)), body(rng, 5.0, 200))
    late = int(span(rng, 0.05, 0.3) * SAMPLE_RATE)
    echo = np.concatenate([np.zeros(late), cry[:-late]])
    return (cry + rng.uniform(0, 0.6) * echo) * swell(rng, n, 0.3, 3.0)


def beeps(
    rng: Generator, n: int, pitch: tuple[float, float], every: tuple[float, float], share: tuple[float, float]
) -> Signal:
    """One tone, on and off."""
    rich = rng.uniform(0, 1, 6) * np.array([0, 1, 1, 0.7, 0.5, 0.3]) * rng.choice([0.0, 0.3, 1.0])
    rich[0] = 1
    starts, lengths = rhythm(rng, n, span(rng, *every), rng.uniform(*share), 0.0)
    return tone(np.full(n, span(rng, *pitch)), rich) * gate(n, starts, lengths, 0.004)


def alarm(rng: Generator, n: int) -> Signal:
    """Beeps in groups, two tones in turn, a hammered bell or a rising whoop."""
    t = times(n)
    kind = rng.random()
    if kind < 0.35:
        starts, lengths = rhythm(rng, n, span(rng, 0.9, 2.0), rng.uniform(0.4, 0.7), 0.0)
        return beeps(rng, n, (700, 3500), (0.1, 0.3), (0.4, 0.6)) * gate(n, starts, lengths, 0.004)
    if kind < 0.55:
        low = span(rng, 500, 2500)
        f = np.where((t / span(rng, 0.2, 1.0)) % 1 < 0.5, low, low * rng.uniform(1.1, 1.5))
        return tone(f, _reed(rng, 6))
    if kind < 0.75:
        return hammered_bell(rng, n)
    every = span(rng, 0.3, 1.2)
    return tone(span(rng, 500, 1500) * 2 ** ((t / every) % 1 * rng.uniform(0.3, 1.2)), _reed(rng, 8))


def telephone(rng: Generator, n: int) -> Signal:
    """Two seconds of ringing, four of rest, or quicker: a bell, a warble or two tones that beat."""
    starts, lengths = rhythm(rng, n, span(rng, 1.5, 5.5), rng.uniform(0.3, 0.6), 0.0)
    rung = gate(n, starts, lengths, 0.01)
    t = times(n)
    kind = rng.random()
    if kind < 0.4:
        return hammered_bell(rng, n) * np.convolve(rung, np.exp(-times(8000) * 6), mode="full")[:n] / 2000
    if kind < 0.75:
        low = span(rng, 600, 1900)
        f = np.where((t * span(rng, 8, 25)) % 1 < 0.5, low, low * rng.uniform(1.1, 1.4))
        return tone(f, _reed(rng, 6)) * rung
    return (tone(np.full(n, 440.0), [1, 0.2]) + tone(np.full(n, 480.0), [1, 0.2])) * rung


def blasts(
    rng: Generator, n: int, every: tuple[float, float], share: tuple[float, float], ramp: float
) -> Signal:
    starts, lengths = rhythm(rng, n, span(rng, *every), rng.uniform(*share), 0.25)
    return gate(n, starts, lengths, ramp)


def chord(
    rng: Generator, n: int, pitch: tuple[float, float], ratios: tuple[float, ...], on: Signal, air: float
) -> Signal:
    """Several reeds at once, that sag as the air sets in and stops."""
    base = span(rng, *pitch) * (1 - 0.04 * (1 - on)) * (1 + drift(rng, n, 2, 0.003))
    reeds = [span(rng, 0.4, 1) * tone(base * r * rng.uniform(0.995, 1.005), _reed(rng)) for r in ratios]
    blown = np.sum(reeds, axis=0)
    return (shaped(blown, body(rng, 5.0, 150)) + air * band(rng, n, 400, 5000)) * on


def car_horn(rng: Generator, n: int) -> Signal:
    on = blasts(rng, n, (0.4, 2.5), (0.25, 0.8), 0.01)
    return chord(rng, n, (280, 520), (1.0, float(rng.choice([1.19, 1.25, 1.33]))), on, 0.03)


def train_horn(rng: Generator, n: int) -> Signal:
    on = blasts(rng, n, (1.5, 5), (0.5, 0.85), 0.08)
    return chord(
        rng, n, (200, 330), (1.0, 1.19, 1.33, 1.5, 1.78)[: int(rng.integers(2, 6))], on, span(rng, 0.05, 0.3)
    )


def ship_horn(rng: Generator, n: int) -> Signal:
    return chord(
        rng,
        n,
        (65, 180),
        (1.0, 1.5)[: int(rng.integers(1, 3))],
        blasts(rng, n, (4, 9), (0.4, 0.8), 0.15),
        0.1,
    )


def air_horn(rng: Generator, n: int) -> Signal:
    return chord(
        rng,
        n,
        (300, 700),
        (1.0, 1.25)[: int(rng.integers(1, 3))],
        blasts(rng, n, (0.6, 4), (0.4, 0.9), 0.02),
        0.1,
    )


def steam_whistle(rng: Generator, n: int) -> Signal:
    on = blasts(rng, n, (1.2, 5), (0.4, 0.8), 0.1)
    steam = noise(rng, n, [(300, -20), (1500, -3), (4000, 0), (8000, -4)])
    return chord(rng, n, (300, 900), (1.0, 1.26, 1.5), on, 0.1) * 0.7 + span(rng, 0.2, 0.8) * steam * on


def referee_whistle(rng: Generator, n: int) -> Signal:
    on = blasts(rng, n, (0.5, 3), (0.2, 0.7), 0.01)
    pea = 1 + rng.uniform(0.02, 0.07) * np.sign(np.sin(2 * np.pi * span(rng, 20, 45) * times(n)))
    return (
        tone(span(rng, 2000, 3800) * pea * (0.9 + 0.1 * on), [1, 0.15, 0.05]) + 0.1 * band(rng, n, 1500, 6000)
    ) * on


def whistling(rng: Generator, n: int) -> Signal:
    """Lips: nearly pure tones that slide from note to note, with breath."""
    steps = rng.integers(-7, 8, size=max(int(n / SAMPLE_RATE * span(rng, 1.5, 5)), 2)).cumsum() % 15
    notes = np.repeat(steps, n // len(steps) + 1)[:n].astype(float)
    width = int(span(rng, 0.02, 0.12) * SAMPLE_RATE)
    slid = np.convolve(np.pad(notes, width, mode="edge"), np.ones(width) / width, mode="same")[width:-width]
    f = span(rng, 700, 1300) * 2 ** (slid / 12) * (1 + 0.01 * np.sin(2 * np.pi * span(rng, 4, 7) * times(n)))
    on = blasts(rng, n, (0.3, 2), (0.7, 0.95), 0.03)
    return (tone(f, [1, 0.05]) * swell(rng, n, 4, 2) + span(rng, 0.02, 0.15) * band(rng, n, 1000, 5000)) * on


def kettle(rng: Generator, n: int) -> Signal:
    rise = np.clip(times(n) / span(rng, 0.5, 4), 0, 1)
    f = span(rng, 1500, 2800) * (0.7 + 0.3 * rise) * (1 + drift(rng, n, 5, 0.01))
    return tone(f, [1, 0.4, 0.2]) * rise + 0.3 * noise(rng, n, [(500, -15), (3000, 0), (8000, -3)])


def morse(rng: Generator, n: int) -> Signal:
    dot = span(rng, 0.04, 0.1) * SAMPLE_RATE
    lengths = dot * rng.choice([1, 3], size=int(n / dot / 2) + 1)
    rests = dot * rng.choice([1, 1, 1, 3, 7], size=len(lengths))
    starts = np.cumsum(lengths + rests) - lengths - rests
    return tone(np.full(n, span(rng, 400, 1100)), [1, 0.1]) * gate(n, starts, lengths, 0.004)


def static(rng: Generator, n: int) -> Signal:
    return noise(rng, n, body(rng, 4.0)) * swell(rng, n, span(rng, 0.5, 12), span(rng, 0.1, 5))


def vinyl(rng: Generator, n: int) -> Signal:
    pops = strokes(
        rng,
        n,
        scattered(rng, n, span(rng, 5, 60)),
        [burst(rng, span(rng, 0.002, 0.01), body(rng)) for _ in range(5)],
        8.0,
    )
    return unit(pops) + span(rng, 0.02, 0.2) * noise(rng, n, [(100, 0), (1000, -4), (8000, -8)])
