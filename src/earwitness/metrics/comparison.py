"""Comparing two systems on the same clips: differences with paired bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from earwitness.metrics.corpus import Floats, Pooled
from earwitness.metrics.report import Report

BLOCK = 2_000_000  # drawn clips at a time, which bounds the memory


class Difference(NamedTuple):
    """Corpus values of two systems, their difference (first minus second) with its confidence interval, and
    how probable a difference as large were if there were none."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    p: float  # two-sided

    @property
    def significant(self) -> bool:
        return not self.low <= 0 <= self.high


def compare(
    first: Report,
    second: Report,
    metrics: Sequence[str] | None = None,
    *,
    samples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Difference]:
    """Resample clips with replacement, the same for both systems (Koehn 2004).

    BLEU and METEOR are computed anew from the drawn clips' summed statistics; all others are means over them.
    CIDEr-D keeps the document frequencies of the whole set: they belong to the references, not to a system.

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
    found = {}
    for name, (one, two) in zip(names, pairs, strict=True):
        differences = one.value(next(sums)) - two.value(next(sums))
        low, high = np.quantile(differences, [tail, 1 - tail]).tolist()
        below = (1 + int((differences <= 0).sum())) / (1 + samples)
        above = (1 + int((differences >= 0).sum())) / (1 + samples)
        values = first.corpus[name], second.corpus[name]
        found[name] = Difference(*values, values[0] - values[1], low, high, min(1.0, 2 * min(below, above)))
    return found


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
    return iter(np.split(sums, np.cumsum([part.shape[1] for part in tables])[:-1], axis=1))
