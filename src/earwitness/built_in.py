"""Models that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

BUILT_IN = {"mini": Path(__file__).parent / "assets" / "mini"}


def local_folder(source: str | Path) -> Path | None:
    """The folder of a path, else of a built-in model's name; None for what must be a hub name."""
    folder = Path(source) if Path(source).exists() else BUILT_IN.get(str(source), Path(source))
    return folder if folder.is_dir() else None
