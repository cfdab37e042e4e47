"""Two systems on the same clips, and how sure a system's own values are.

p comes from a paired randomization test (Noreen 1989): if two systems were interchangeable, either could
have written each clip's caption. Intervals come from the paired bootstrap over clips (Koehn 2004). BLEU and
METEOR are computed anew from the summed statistics of every sample; all others are means over clips. CIDEr-D
keeps the document frequencies of the whole set: they belong to the references, not to a system.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from earwitness.metrics.corpus import Floats, Pooled
from earwitness.metrics.report import Report

BLOCK = 2_000_000  # drawn clips at a time, which bounds the memory
EXACT = 1 << 14  # fewer assignments of clips to systems than this are all tried, not sampled
FEWEST_CLIPS = 20  # below, nothing is called significant and no interval of one system is given
LEVEL = 0.05  # of significance, after Holm's correction


class Difference(NamedTuple):
    """Corpus values of two systems and their difference, first minus second.

    low, high: confidence interval of the difference, from the bootstrap. p: two-sided probability of a
    difference as large if the systems were interchangeable. p_corrected: p after Holm's (1979) correction for
    all metrics of the comparison.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    clips: int

    @property
    def significant(self) -> bool:
        """Below LEVEL after the correction, on FEWEST_CLIPS or more."""
        return self.clips >= FEWEST_CLIPS and self.p_corrected < LEVEL


def compare(
    first: Report,
    second: Report,
    metrics: Sequence[str] | None = None,
    *,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Differences of two systems in every metric that both have clip by clip.

    Raises:
        ValueError: the reports are about other clips, or share no per-clip metric.
    """
    names = [name for name in (metrics or first.clips) if name in first.clips and name in second.clips]
    if not names:
        raise ValueError("the two reports share no metric with per-clip values")
    order = _places(first, second)
    pairs = [(_pooled(first, name), _pooled(second, name, order)) for name in names]
    sums = _resampled([pooled.statistics for pair in pairs for pooled in pair], samples, seed)
    tail = (1 - confidence) / 2
    bounds = []
    for one, two in pairs:
        differences = one.value(next(sums)) - two.value(next(sums))
        bounds.append(np.quantile(differences, [tail, 1 - tail]).tolist())
    chances = _randomized(pairs, samples, seed)
    found = {}
    for name, (low, high), p, corrected in zip(names, bounds, chances, holm(chances), strict=True):
        own, other = first.corpus[name], second.corpus[name]
        found[name] = Difference(own, other, own - other, low, high, p, corrected, len(first.ids))
    return found


def intervals(
    report: Report, *, samples: int = 2_000, confidence: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Confidence interval of every corpus value that has values by clip; none under FEWEST_CLIPS clips."""
    names = list(report.clips)
    if len(report.ids) < FEWEST_CLIPS or not names:
        return {}
    pooled = [_pooled(report, name) for name in names]
    sums = _resampled([each.statistics for each in pooled], samples, seed)
    tail = (1 - confidence) / 2
    found = {}
    for name, each in zip(names, pooled, strict=True):
        low, high = np.quantile(each.value(next(sums)), [tail, 1 - tail]).tolist()
        found[name] = (low, high)
    return found


def holm(chances: Sequence[float]) -> list[float]:
    """p-values of a family of tests, corrected after Holm (1979)."""
    order = sorted(range(len(chances)), key=lambda number: chances[number])
    corrected, highest = [0.0] * len(chances), 0.0
    for rank, number in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[number]))
        corrected[number] = highest
    return corrected


def _places(first: Report, second: Report) -> list[int]:
    """Where the second report has the clips of the first."""
    places = {name: number for number, name in enumerate(second.ids)}
    order = [places.get(name, -1) for name in first.ids]
    if len(places) != len(order) or first.references != [second.references[n] for n in order if n >= 0]:
        raise ValueError(
            "the two reports are about different clips or references: score both on the same ones"
        )
    return order


def _pooled(report: Report, name: str, order: Sequence[int] | None = None) -> Pooled:
    """How a metric's corpus value comes about: a mean unless it says otherwise."""
    clips = len(report.ids)
    mean = Pooled(np.array(report.clips[name])[:, None], lambda sums: sums[:, 0] / clips)
    pooled = report.pooled.get(name, mean)
    return pooled if order is None else pooled._replace(statistics=pooled.statistics[order])


def _resampled(tables: Sequence[Floats], samples: int, seed: int) -> Iterator[Floats]:
    """Of every table [C, K] the sums [samples, K] over clips drawn with replacement, the same for all."""
    generator = np.random.default_rng(seed)
    table = np.concatenate(tables, axis=1)
    clips = len(table)
    sums = np.empty((samples, table.shape[1]))
    block = max(1, BLOCK // clips)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        drawn = generator.integers(clips, size=(size, clips)) + clips * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * clips).reshape(size, clips)
        sums[start : start + size] = times.astype(np.float64) @ table
    return _split(sums, tables)


def _randomized(pairs: Sequence[tuple[Pooled, Pooled]], samples: int, seed: int) -> list[float]:
    """Of every pair of systems the two-sided p of its difference under exchange of the systems by clip.

    Under EXACT assignments p is exact; else (1 + as large) / (1 + samples), which is never 0.
    """
    gains = [one.statistics - two.statistics for one, two in pairs]  # [C, K] each
    table = np.concatenate(gains, axis=1)
    moved = np.concatenate([swapped @ table for swapped in _assignments(len(table), samples, seed)])
    exact = _all_are_tried(len(table))
    found = []
    for (one, two), move in zip(pairs, _split(moved, gains), strict=True):
        own, other = one.statistics.sum(0), two.statistics.sum(0)
        observed = abs(float((one.value(own[None]) - two.value(other[None]))[0]))
        differences = np.abs(one.value(own - move) - two.value(other + move))
        # sums in another order differ in their last bits
        as_large = int((differences >= observed - 1e-12 - 1e-9 * observed).sum())
        found.append(as_large / len(moved) if exact else (1 + as_large) / (1 + len(moved)))
    return found


def _assignments(clips: int, samples: int, seed: int) -> Iterator[Floats]:
    """Which clips [S, C] change systems, 1 where one does: every assignment if they are few, else drawn."""
    if _all_are_tried(clips):
        yield ((np.arange(1 << clips)[:, None] >> np.arange(clips)) & 1).astype(np.float64)
        return
    generator = np.random.default_rng([seed, 1])
    block = max(1, BLOCK // clips)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        yield (generator.random((size, clips), dtype=np.float32) < 0.5).astype(np.float64)


def _all_are_tried(clips: int) -> bool:
    return 1 << min(clips, EXACT.bit_length()) < EXACT


def _split(sums: Floats, tables: Sequence[Floats]) -> Iterator[Floats]:
    return iter(np.split(sums, np.cumsum([part.shape[1] for part in tables])[:-1], axis=1))
