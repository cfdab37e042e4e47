"""Pretrained weights: sources, copying into a module, freezing and LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["CheckpointError", "copy_weights"]

if TYPE_CHECKING:
    from earwitness.weights.copying import CheckpointError, copy_weights

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"CheckpointError": "copying", "copy_weights": "copying"},
)
