"""Engines, vehicles and aircraft."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from earwitness.features import SAMPLE_RATE
from earwitness.scenes.synthesis.signals import (
    Signal,
    body,
    breath_cycle,
    burst,
    drift,
    noise,
    object_of,
    pulses,
    shaped,
    span,
    strokes,
    struck,
    swell,
    times,
    tone,
    unit,
)


def speed(rng: Generator, n: int, revving: float) -> Signal:
    """What an engine's idle is multiplied by: steady, revved now and then, or driven through gears."""
    t = times(n)
    steady = 1 + drift(rng, n, 1.5, 0.02)
    if rng.random() > revving:
        return steady * (1 + drift(rng, n, 0.3, 0.05))
    if rng.random() < 0.35:  # through the gears
        gear = span(rng, 1.5, 4.0)
        within = ((t + rng.uniform(0, gear)) % gear) / gear
        return steady * (1 + span(rng, 0.5, 2.0) * within ** rng.uniform(0.6, 1.2))
    out = np.ones(n)
    at = rng.uniform(0, 1)
    while at < t[-1]:
        rise, fall, height = span(rng, 0.08, 0.6), span(rng, 0.3, 1.5), span(rng, 0.4, 3.0)
        up = np.clip((t - at) / rise, 0, 1) * np.exp(-np.clip(t - at - rise, 0, None) / fall)
        out = np.maximum(out, 1 + height * up)
        at += rise + fall * span(rng, 0.5, 2.5)
    return steady * out


def engine(
    rng: Generator,
    n: int,
    fire: tuple[float, float],
    revving: float = 0.3,
    cylinders: tuple[int, ...] = (2, 3, 4, 6),
    air: tuple[float, float] = (0.1, 0.5),
    dull: float = 0.0,
) -> Signal:
    """Explosions, one cylinder unlike the next, through an exhaust, with the noise of the air they move.

    fire: explosions a second at idle. air: the noise's share. dull: dB taken from the highs.
    """
    idle = span(rng, *fire)
    faster = speed(rng, n, revving)
    at = pulses(rng, idle * faster, 0.015)
    pattern = 1 + rng.uniform(0.05, 0.5) * rng.standard_normal(int(rng.choice(cylinders)))
    gains = pattern[np.arange(len(at)) % len(pattern)] + 0.08 * rng.standard_normal(len(at))
    gains = gains * faster[at] ** rng.uniform(0.3, 1.0)
    bang = burst(
        rng,
        span(rng, 0.6, 3.0) / idle,
        [(40, 0), (300, -2), (1000, -10), (4000, -24 - dull), (8000, -36 - dull)],
        0.15 / idle,
    )
    boom = struck(n, at, gains, bang)
    puff = np.sqrt(struck(n, at, np.abs(gains), np.exp(-times(1600) * idle * 2)).clip(0))
    breath = (
        noise(rng, n, [(80, -6), (400, 0), (2000, -6), (8000, -20 - dull)]) * puff / max(puff.mean(), 1e-9)
    )
    mixed = unit(shaped(boom, body(rng, 6.0))) + span(rng, *air) * breath * (faster / faster.mean()) ** 0.5
    if rng.random() < 0.3:  # belts, chains, gears
        mixed += span(rng, 0.02, 0.15) * tone(idle * faster * rng.uniform(3, 25), [1, 0.4, 0.2])
    return mixed


def approach(rng: Generator, n: int, x: Signal) -> Signal:
    """x as something that comes near, passes and goes: louder and brighter, then lower in pitch."""
    t = times(n)
    when, width = rng.uniform(0.2, 0.8) * t[-1], span(rng, 0.3, 2.0)
    near = 1 / np.sqrt(1 + ((t - when) / width) ** 2)
    pitch = 1 - rng.uniform(0.01, 0.07) * np.arctan((t - when) / width) / 1.57
    moved = np.interp(np.cumsum(pitch) - pitch[0], np.arange(n), x)
    dull = np.convolve(moved, np.ones(12) / 12, mode="same")
    return near ** rng.uniform(1, 1.8) * (near * moved + (1 - near) * dull)


def tyres(rng: Generator, n: int) -> Signal:
    low = span(rng, 500, 1100)
    return noise(rng, n, [(60, -4), (200, -8), (low, 0), (low * 2, -3), (5000, -18), (8000, -28)])


def car(rng: Generator, n: int) -> Signal:
    return engine(rng, n, (28, 90), 0.4, (3, 4, 6, 8), (0.2, 1.0), 4.0)


def car_passing(rng: Generator, n: int) -> Signal:
    return approach(rng, n, tyres(rng, n) + span(rng, 0.1, 0.8) * unit(engine(rng, n, (50, 130), 0.1)))


def traffic(rng: Generator, n: int) -> Signal:
    far = noise(rng, n, [(50, 2), (150, 0), (800, -6), (2500, -16), (8000, -34)]) * swell(rng, n, 0.5, 2.0)
    for _ in range(int(rng.integers(1, 5))):
        far = far + span(rng, 0.3, 2.0) * unit(car_passing(rng, n))
    return far


def motorcycle(rng: Generator, n: int) -> Signal:
    bike = engine(rng, n, (18, 60), 0.75, (1, 2), (0.05, 0.3), -4.0)
    return approach(rng, n, bike) if rng.random() < 0.35 else bike


def truck(rng: Generator, n: int) -> Signal:
    lorry = engine(rng, n, (25, 55), 0.35, (4, 6), (0.4, 1.2), 4.0)
    lorry += span(rng, 0.05, 0.4) * unit(
        strokes(
            rng, n, pulses(rng, np.full(n, span(rng, 15, 40)), 0.1), [object_of(rng, 800, 4000, (0.02, 0.06))]
        )
    )
    return approach(rng, n, lorry) if rng.random() < 0.3 else lorry


def boat(rng: Generator, n: int) -> Signal:
    wash = noise(rng, n, [(100, -10), (500, 0), (2000, -2), (8000, -14)]) * swell(rng, n, 3, 3.0)
    fire = (5, 14) if rng.random() < 0.3 else (35, 110)
    return engine(rng, n, fire, 0.3, (1, 2, 4), (0.1, 0.4), 3.0) + span(rng, 0.1, 0.9) * wash


def starting(rng: Generator, n: int) -> Signal:
    """A starter's whirring pulses, and the engine that catches, or does not."""
    t = times(n)
    caught = rng.uniform(0.6, 2.5) if rng.random() < 0.8 else t[-1] + 1
    turn = span(rng, 4, 9)
    labour = 1 + 0.25 * np.sin(2 * np.pi * turn * t)
    whirr = tone(span(rng, 90, 220) * labour, rng.uniform(0.2, 1, 14)) + 0.8 * noise(
        rng, n, [(200, 0), (2000, -3), (8000, -14)]
    )
    runs = unit(engine(rng, n, (20, 45), 0.3, (4, 6))) * (1 + 1.5 * np.exp(-np.clip(t - caught, 0, None) * 3))
    return unit(shaped(whirr * labour**3, body(rng))) * (t < caught) + runs * np.clip(
        (t - caught) / 0.15, 0, 1
    )


def helicopter(rng: Generator, n: int) -> Signal:
    rate = np.full(n, span(rng, 9, 24)) * (1 + drift(rng, n, 0.5, 0.01))
    chop = burst(rng, span(rng, 0.03, 0.09), [(30, 0), (120, 0), (600, -8), (2500, -20), (8000, -34)], 0.006)
    blades = unit(struck(n, pulses(rng, rate, 0.01), 1.0, chop))
    wash = noise(rng, n, [(60, 0), (300, -3), (2000, -12), (8000, -26)]) * (0.5 + np.abs(blades).clip(0, 2))
    turbine = tone(np.full(n, span(rng, 300, 2500)), [1, 0.5, 0.2])
    flown = blades * swell(rng, n, 0.4, 2) + span(rng, 0.2, 0.8) * wash + span(rng, 0.01, 0.15) * turbine
    return approach(rng, n, flown) if rng.random() < 0.3 else flown


def propeller(rng: Generator, n: int) -> Signal:
    f = span(rng, 60, 160) * (1 + drift(rng, n, 0.3, 0.01) + drift(rng, n, 30, 0.006))
    partials = rng.uniform(0.3, 1, 22) / np.arange(1, 23) ** rng.uniform(0.4, 1.1)
    drone = tone(f, partials) + (tone(f * rng.uniform(0.985, 1.015), partials) if rng.random() < 0.5 else 0)
    flown = unit(drone) + span(rng, 0.2, 1.0) * noise(rng, n, [(60, 0), (500, -3), (3000, -15), (8000, -30)])
    return approach(rng, n, flown) if rng.random() < 0.6 else flown


def jet(rng: Generator, n: int) -> Signal:
    roar = noise(rng, n, [(40, 0), (200, 2), (800, 0), (2500, -8), (8000, -22)]) * swell(rng, n, 2, 1.5)
    whine = tone(span(rng, 900, 3500) * (1 + drift(rng, n, 0.3, 0.02)), [1, 0.3, 0.3])
    return approach(rng, n, roar + span(rng, 0.02, 0.4) * whine)


def train(rng: Generator, n: int) -> Signal:
    """Axles over rail joints, in pairs, over the rolling of the wheels."""
    t = times(n)
    gap, bogie = span(rng, 0.45, 1.3), span(rng, 0.12, 0.25)
    first = np.arange(rng.uniform(0, gap), t[-1], gap)
    at = (
        np.concatenate([first, first + bogie * gap, first + 0.5 * gap, first + (0.5 + bogie) * gap])
        * SAMPLE_RATE
    ).astype(int)
    clacks = [object_of(rng, 120, 2500, (0.04, 0.2), click=0.6) for _ in range(3)]
    roll = noise(rng, n, [(40, 0), (150, 2), (600, -2), (2500, -8), (8000, -22)]) * swell(rng, n, 1.5, 2)
    ridden = unit(strokes(rng, n, at[at < n], clacks, 2.0)) * span(rng, 0.3, 1.5) + roll
    if rng.random() < 0.4:  # wheels on a bend
        ridden += (
            span(rng, 0.05, 0.4)
            * tone(span(rng, 1800, 4500) * (1 + drift(rng, n, 3, 0.01)), [1, 0.5])
            * swell(rng, n, 1, 8)
        )
    return approach(rng, n, ridden) if rng.random() < 0.25 else ridden


def race_car(rng: Generator, n: int) -> Signal:
    return approach(rng, n, engine(rng, n, (150, 420), 0.7, (4, 6, 8), (0.05, 0.3), -6.0))


def chainsaw(rng: Generator, n: int) -> Signal:
    return engine(rng, n, (60, 130), 0.85, (1,), (0.2, 0.6), -6.0)


def lawn_mower(rng: Generator, n: int) -> Signal:
    return engine(rng, n, (22, 50), 0.2, (1, 2), (0.4, 1.2))


def screech(rng: Generator, n: int) -> Signal:
    """Tyres: a few loose tones about a kilohertz, in noise."""
    skid = breath_cycle(rng, n, span(rng, 1.0, 4), rng.uniform(0.5, 0.9)) ** 0.5
    f = span(rng, 600, 1500) * (1 + drift(rng, n, 8, 0.03)) * (1 - 0.1 * times(n) / times(n)[-1])
    cries = sum(
        (tone(f * span(rng, 0.8, 1.3), [1, 0.5, 0.3, 0.1]) * swell(rng, n, 6, 4) for _ in range(3)),
        np.zeros(n),
    )
    return (
        unit(cries) + span(rng, 0.2, 1) * noise(rng, n, [(200, -8), (1000, 0), (4000, -8), (8000, -18)])
    ) * skid
