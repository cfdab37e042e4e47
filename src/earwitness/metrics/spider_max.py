"""SPIDEr-max (Labbe et al. 2022): the best of several candidates for every clip."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.composed import best_of
from earwitness.metrics.corpus import Score


def spider_max(spider_sets: Sequence[Sequence[float]]) -> Score:
    """Per clip the highest SPIDEr over candidate sets [sets][clips], each set scored as a corpus of its
    own; with SPIDEr on spice_approx it is spider_max_approx."""
    return best_of(spider_sets)
