"""SPICE: by the official program, or approximated without Java."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["spice", "spice_approx"]

if TYPE_CHECKING:
    from earwitness.metrics.spice.approximate import spice_approx
    from earwitness.metrics.spice.official import spice

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"spice": "official", "spice_approx": "approximate"},
)
