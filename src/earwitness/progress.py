"""Progress of long jobs: a callback gets (done, total)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from earwitness.media.files import probe
from earwitness.media.source import media_of

T = TypeVar("T")
Progress = Callable[[float, float | None], object]  # (done, total or None where it is unknown)


def track_progress(
    items: Iterable[T], progress: Progress | None, total: float | None, done: Callable[[int, T], float]
) -> Iterator[T]:
    """Yield the items; before each, call `progress` with `done(number from 1, item)` and `total`."""
    for number, item in enumerate(items, start=1):
        if progress is not None:
            progress(done(number, item), total)
        yield item


def seconds_declared(source: Any) -> float | None:
    """Return the duration in a source's header; None if unknown, or of a stream. Raises MediaError."""
    return None if hasattr(media_of(source), "read") else probe(source).duration
