"""Checkpoints of whole models: folders, published layouts, export to PEFT and the Hugging Face hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = [
    "load_checkpoint",
    "load_released",
    "merge_lora",
    "push_to_hub",
    "save_checkpoint",
    "save_merged",
    "save_peft",
]

if TYPE_CHECKING:
    from earwitness.checkpoints.export import merge_lora, push_to_hub, save_merged, save_peft
    from earwitness.checkpoints.folder import load_checkpoint, save_checkpoint
    from earwitness.checkpoints.released import load_released

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "load_checkpoint": "folder",
        "load_released": "released",
        "merge_lora": "export",
        "push_to_hub": "export",
        "save_checkpoint": "folder",
        "save_merged": "export",
        "save_peft": "export",
    },
)
