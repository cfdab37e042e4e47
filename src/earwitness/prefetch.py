"""Read in background threads while the model computes: in order, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, repeat
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH_SIZE = 24  # clips computed at once: a tenth faster than 16 on two cores, as fast as 32 (docs/LOG.md)


def check_positive(**numbers: int) -> None:
    """Raise ValueError that names the number below 1."""
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, not {number}")


def map_ahead(function: Callable[[T], R], items: Iterable[T], *, workers: int, most: int) -> Iterator[R]:
    """map(function, items) by `workers` threads, at most `most` results ahead of the reader.

    Results are in order; exceptions of function or items are raised in place. Closing ends the threads.
    """
    coming: deque[Future[R]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="earwitness") as pool:
        try:
            for item in items:
                coming.append(pool.submit(function, item))
                if len(coming) > most:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def draw_ahead(items: Iterable[T], *, most: int) -> Iterator[T]:
    """Yield the items in order, drawn by one thread at most `most` ahead of the reader."""
    iterator, end = iter(items), object()
    for item in map_ahead(lambda _: next(iterator, end), repeat(None), workers=1, most=most):
        if item is end:
            return
        yield item  # type: ignore[misc]


def batches(items: Iterable[T], most: int, first: int | None = None) -> Iterator[list[T]]:
    """Yield lists of `most` items. first: the size of the first list, which doubles with each list."""
    iterator, size = iter(items), most if first is None else first
    while batch := list(islice(iterator, min(size, most))):
        yield batch
        size *= 2
