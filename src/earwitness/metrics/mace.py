"""MACE (Dixit et al. 2024): audio-text similarity with a penalty for captions that read as faulty."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import penalized
from earwitness.metrics.corpus import Score

PENALTY = 0.3


def mace(clap_score: Sequence[float], fer: Sequence[float]) -> Score:
    """Per clip similarity x (1 - 0.3 FER), from per-clip scores."""
    return penalized(clap_score, fer, PENALTY)
