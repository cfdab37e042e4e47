"""SPIDEr (Liu et al. 2017): the mean of CIDEr-D and SPICE. With spice_approx it is spider_approx, never
spider."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import average
from earwitness.metrics.corpus import Score


def spider(cider_d: Sequence[float], spice: Sequence[float]) -> Score:
    """Per clip (CIDEr-D + SPICE) / 2, from the two metrics' per-clip scores."""
    return average(cider_d, spice)
