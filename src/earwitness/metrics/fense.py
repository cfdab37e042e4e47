"""FENSE (Zhou et al. 2022): sentence similarity with a penalty for captions that read as faulty."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import penalized
from earwitness.metrics.corpus import Score

PENALTY = 0.9


def fense(sbert_sim: Sequence[float], fer: Sequence[float]) -> Score:
    """Per clip similarity x (1 - 0.9 FER), from per-clip scores."""
    return penalized(sbert_sim, fer, PENALTY)
