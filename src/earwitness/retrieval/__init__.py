"""Captions of similar sounds: a searchable store of them, and the embedders that text and audio share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports

__all__ = ["CaptionDatastore", "ClapEmbedder", "Embedder", "Retrieved"]

if TYPE_CHECKING:
    from earwitness.retrieval.datastore import CaptionDatastore, Retrieved
    from earwitness.retrieval.embedders import ClapEmbedder, Embedder

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "CaptionDatastore": "datastore",
        "ClapEmbedder": "embedders",
        "Embedder": "embedders",
        "Retrieved": "datastore",
    },
)
