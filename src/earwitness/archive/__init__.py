"""Captions of many files, on this machine or on a Ray cluster, in a table that can be resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["ShardedTable", "Share", "caption_files", "caption_on_ray"]

if TYPE_CHECKING:
    from earwitness.archive.captioning import caption_files, caption_on_ray
    from earwitness.archive.sharded_table import ShardedTable, Share

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "ShardedTable": "sharded_table",
        "Share": "sharded_table",
        "caption_files": "captioning",
        "caption_on_ray": "captioning",
    },
)
