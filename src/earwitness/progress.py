"""Long jobs say how far they are: a function of the caller's is called with (done, of how much)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from earwitness.media.files import probe
from earwitness.media.source import media_of

T = TypeVar("T")
Progress = Callable[[float, float | None], object]  # (done, in all or None where that is not known)


def told(
    items: Iterable[T], progress: Progress | None, total: float | None, done: Callable[[int, T], float]
) -> Iterator[T]:
    """The items themselves; before each, `progress` hears what is `done`, given its number from 1 and it."""
    for number, item in enumerate(items, start=1):
        if progress is not None:
            progress(done(number, item), total)
        yield item


def seconds_declared(source: Any) -> float | None:
    """Of a source's header; None if it does not tell, or could be read once only. Raises MediaError."""
    return None if hasattr(media_of(source), "read") else probe(source).duration
