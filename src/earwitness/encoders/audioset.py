"""The classes of AudioSet (Gemmeke et al. 2017), which published taggers name."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

CLASSES = 527


@lru_cache(maxsize=1)
def audioset_classes() -> tuple[str, ...]:
    """Names of AudioSet's classes in the order of the published heads."""
    text = resources.files("earwitness.encoders").joinpath("audioset_classes.txt").read_text("utf-8")
    return tuple(line for line in text.splitlines() if not line.startswith("#"))
