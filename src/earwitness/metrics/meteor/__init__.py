"""METEOR 1.5 without Java."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["MissingData", "meteor"]

if TYPE_CHECKING:
    from earwitness.metrics.meteor.data import MissingData
    from earwitness.metrics.meteor.score import meteor

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"MissingData": "data", "meteor": "score"},
)
