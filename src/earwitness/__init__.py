"""English captions for audio and video.

Public names are imported on first use, so that `import earwitness` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from earwitness.lazy import lazy_exports
from earwitness.version import __version__

__all__ = [
    "AsyncCaptioner",
    "Caption",
    "Captioner",
    "MediaError",
    "__version__",
    "list_presets",
    "load_preset",
    "score",
]

if TYPE_CHECKING:
    from earwitness.async_captioner import AsyncCaptioner
    from earwitness.captioner import Captioner
    from earwitness.captions import Caption
    from earwitness.config.preset import list_presets, load_preset
    from earwitness.media.containers import MediaError
    from earwitness.metrics.evaluation import score

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "AsyncCaptioner": "async_captioner",
        "Caption": "captions",
        "Captioner": "captioner",
        "MediaError": "media.containers",
        "list_presets": "config.preset",
        "load_preset": "config.preset",
        "score": "metrics.evaluation",
    },
)
