"""MACE (Dixit et al. 2024): CLAP similarity with a penalty for captions that read as faulty.

mace_text compares a caption with its references, mace_audio with the sound, mace takes the mean of both. The
published values are those of MS-CLAP 2023; any other embedder gives others, so reports name it.
"""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import average, penalized
from earwitness.metrics.corpus import Score

PENALTY = 0.3
THRESHOLD = 0.97  # of the probability of an error; FENSE's is lower


def mace(similarity: Sequence[float], error_probabilities: Sequence[float]) -> Score:
    """Per clip similarity x (1 - 0.3 [error probability > 0.97])."""
    return penalized(similarity, [float(p > THRESHOLD) for p in error_probabilities], PENALTY)


def mace_combined(
    text: Sequence[float], audio: Sequence[float], error_probabilities: Sequence[float]
) -> Score:
    """MACE of the mean of text-text and audio-text similarity."""
    return mace(average(text, audio).clips, error_probabilities)
