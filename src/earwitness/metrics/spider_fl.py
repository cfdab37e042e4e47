"""SPIDEr-FL (DCASE 2023): SPIDEr with a penalty for captions that read as faulty."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import penalized
from earwitness.metrics.corpus import Score

PENALTY = 0.9


def spider_fl(spider: Sequence[float], fer: Sequence[float]) -> Score:
    """Per clip SPIDEr x (1 - 0.9 FER), from per-clip scores."""
    return penalized(spider, fer, PENALTY)
