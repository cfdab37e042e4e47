"""Pretrained weights: sources, copying into a module, freezing and LoRA."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["CheckpointError", "copy_weights"]

if TYPE_CHECKING:
    from earwitness.weights.copying import copy_weights
    from earwitness.weights.errors import CheckpointError

__getattr__, __dir__ = lazy_exports(
    __name__,
    {"CheckpointError": "errors", "copy_weights": "copying"},
)
