"""Batching of requests from many threads, in turn."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any

Run = Callable[[Any, Sequence[Any]], Sequence[Any]]
ENDED = "the thread of the model has ended"


class Batcher:
    """with Batcher(run, size=16, patience=0.005) as batcher: answers = batcher.ask(key, items)

    run(key, items) -> answers, in the same order; called by one thread, with at most `size` items of one key.
    A batch starts as soon as it is full and the thread is free, or `patience` seconds later. Callers take
    turns, one item each: a request of a thousand items delays one of a single item by a batch. What `run`
    raises, all in its batch raise.
    """

    def __init__(self, run: Run, size: int = 16, patience: float = 0.005) -> None:
        self.run, self.size, self.patience = run, size, patience
        self._waiting: dict[tuple[Hashable, object], deque[tuple[Any, Future[Any]]]] = {}
        self._count, self._open = 0, True
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="earwitness-model", daemon=True)

    def __enter__(self) -> Batcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Answer pending requests and accept no more."""
        with self._news:
            self._open = False
            self._news.notify()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether its thread runs and accepts items."""
        return self._open and self._thread.is_alive()

    def ask(self, key: Hashable, items: Sequence[Any]) -> list[Any]:
        """Return the answers to the items; blocks until they are computed."""
        futures: list[Future[Any]] = [Future() for _ in items]
        with self._news:
            if not self._open:
                raise RuntimeError("the batcher is closed")
            self._waiting[key, object()] = deque(zip(items, futures))
            self._count += len(items)
            self._news.notify()
        return [future.result() for future in futures]

    def _work(self) -> None:
        try:
            while batch := self._next_batch():
                self._answer(*batch)
        finally:  # however this thread ends, no caller waits for ever
            self._close()

    def _answer(self, key: Hashable, items: list[Any], futures: list[Future[Any]]) -> None:
        try:
            for future, answer in zip(futures, self.run(key, items), strict=True):
                future.set_result(answer)
        except Exception as error:
            _fail(futures, error)
        except BaseException:  # such as SystemExit: it ends this thread, and must not end the callers'
            _fail(futures, RuntimeError(ENDED))
            raise

    def _close(self) -> None:
        with self._news:
            self._open = False
            _fail([future for queue in self._waiting.values() for _, future in queue], RuntimeError(ENDED))
            self._waiting.clear()
            self._count = 0

    def _next_batch(self) -> tuple[Hashable, list[Any], list[Future[Any]]] | None:
        with self._news:
            self._news.wait_for(lambda: self._count or not self._open)
            if not self._count:
                return None
            self._news.wait_for(lambda: self._count >= self.size or not self._open, self.patience)
            key = next(iter(self._waiting))[0]
            return key, *zip(*self._taken(key))  # type: ignore[return-value]

    def _taken(self, key: Hashable) -> list[tuple[Any, Future[Any]]]:
        """Take items of the key, one of each caller in turn; a served caller moves to the end."""
        batch: list[tuple[Any, Future[Any]]] = []
        while len(batch) < self.size and (places := [place for place in self._waiting if place[0] == key]):
            for place in places[: self.size - len(batch)]:
                queue = self._waiting.pop(place)
                batch.append(queue.popleft())
                if queue:
                    self._waiting[place] = queue
        self._count -= len(batch)
        return batch


def _fail(futures: Sequence[Future[Any]], error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)
