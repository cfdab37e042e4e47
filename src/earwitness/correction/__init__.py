"""Correction of faulty captions: an error detector flags them, a language model rewrites them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["Correction", "Corrector", "ErrorDetector"]

if TYPE_CHECKING:
    from earwitness.correction.corrector import Correction, Corrector
    from earwitness.correction.error_detector import ErrorDetector

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"Correction": "corrector", "Corrector": "corrector", "ErrorDetector": "error_detector"},
)
