"""Comparing two systems on the same clips: differences with paired bootstrap confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from earwitness.metrics.report import Report


class Difference(NamedTuple):
    """Mean per-clip difference (first minus second), its confidence interval, and how often it is not
    above 0."""

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

    Metrics are compared by the mean of their per-clip values; for BLEU and METEOR, whose corpus value
    pools counts, that is
    not the corpus value.

    Raises:
        ValueError: the reports are about other clips, or share no per-clip metric.
    """
    if first.ids != second.ids or first.references != second.references:
        raise ValueError(
            "the two reports are about different clips or references: score both on the same ones"
        )
    names = [name for name in (metrics or first.clips) if name in first.clips and name in second.clips]
    if not names:
        raise ValueError("the two reports share no metric with per-clip values")
    one = np.array([first.clips[name] for name in names])
    two = np.array([second.clips[name] for name in names])
    means = _bootstrap_means(one - two, samples, seed)
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=1)
    below = (1 + (means <= 0).sum(axis=1)) / (1 + samples)
    above = (1 + (means >= 0).sum(axis=1)) / (1 + samples)
    p = np.minimum(1.0, 2 * np.minimum(below, above))
    a, b = one.mean(axis=1), two.mean(axis=1)
    table = np.stack([a, b, a - b, low, high, p], axis=1).tolist()
    return {name: Difference(*row) for name, row in zip(names, table, strict=True)}


def _bootstrap_means(values: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Means of resampled columns: [M, clips] -> [M, samples]; drawn in blocks to bound memory."""
    generator = np.random.default_rng(seed)
    clips = values.shape[1]
    means = np.empty((len(values), samples))
    block = max(1, 2_000_000 // clips)
    for start in range(0, samples, block):
        size = min(block, samples - start)
        draws = generator.integers(clips, size=(size, clips))
        for row, line in enumerate(values):
            means[row, start : start + size] = line[draws].mean(axis=1)
    return means
