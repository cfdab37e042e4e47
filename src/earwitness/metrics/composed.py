"""Metrics made of other metrics' values. They take arrays of scores, never their parts' options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earwitness.metrics.corpus import Floats, Score, mean_score


def _paired(first: Sequence[float], second: Sequence[float]) -> tuple[Floats, Floats]:
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise ValueError(f"the two metrics cover different clips: {one.shape} and {two.shape}")
    return one, two


def average(first: Sequence[float], second: Sequence[float]) -> Score:
    """Mean of two metrics per clip."""
    one, two = _paired(first, second)
    return mean_score((one + two) / 2)


def penalized(scores: Sequence[float], faulty: Sequence[float], penalty: float) -> Score:
    """score x (1 - penalty x faulty) per clip; `faulty` is 0 or 1."""
    one, two = _paired(scores, faulty)
    return mean_score(one * (1 - penalty * two))


def best_of(candidate_sets: Sequence[Sequence[float]]) -> Score:
    """Per clip the highest score over several candidate sets: [sets][clips]."""
    return mean_score(np.asarray(candidate_sets, dtype=np.float64).max(axis=0))
