"""earwitness says in words what it heard.

Public names are imported on first use, so that `import earwitness` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from earwitness.version import __version__

_HOMES = {
    "AsyncCaptioner": "earwitness.async_captioner",
    "Caption": "earwitness.captioner",
    "Captioner": "earwitness.captioner",
    "MediaError": "earwitness.media",
    "list_presets": "earwitness.config",
    "load_preset": "earwitness.config",
    "score": "earwitness.metrics",
}
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
    from earwitness.captioner import Caption, Captioner
    from earwitness.config.preset import list_presets, load_preset
    from earwitness.media.containers import MediaError
    from earwitness.metrics import score


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'earwitness' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
