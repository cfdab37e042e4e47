"""What the neural metrics share: loading by hub name or folder, and saying plainly what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from earwitness.metrics.meteor.data import MissingData

T = TypeVar("T")
BATCH = 64


def load_or_explain(what: str, name: str, load: Callable[[], T]) -> T:
    """Load a model.

    Raises:
        MissingData: it cannot be had; the message names the model and the ways to it.
    """
    try:
        return load()
    except (OSError, ValueError, ImportError, KeyError) as error:
        first = str(error).strip().split("\n")[0]
        raise MissingData(
            f"{what} needs the model {name!r}, which could not be loaded "
            f"({type(error).__name__}: {first:.200}); "
            "give a folder that holds it, or run once with network access"
        ) from error


def batches(items: Sequence[str], size: int = BATCH) -> Iterator[list[str]]:
    """Slices of a list."""
    for start in range(0, len(items), size):
        yield list(items[start : start + size])


def hub_file(name: str, repository: str) -> Path:
    """A file by path, else from a hub repository."""
    path = Path(name)
    if path.is_file():
        return path
    if path.is_dir():
        found = sorted(path.glob("*.ckpt"))
        if found:
            return found[0]
        raise FileNotFoundError(f"{path} holds no .ckpt file")
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repository, path.name))


def plain_words(caption: str) -> str:
    """Lower case, without punctuation."""
    return re.sub(r"[^\w\s]", "", caption).lower()
