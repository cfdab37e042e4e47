"""AsyncCaptioner: an asynchronous Captioner, which keeps the event loop free while the model computes.

captioner = AsyncCaptioner(Captioner.from_pretrained())
caption = await captioner("dog.wav")
async for caption in captioner.timeline("long.mp4"): ...
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from earwitness.captioner import Captioner
from earwitness.captions import Caption

T = TypeVar("T")
END: Any = object()


class AsyncCaptioner:
    """A Captioner and one worker thread; concurrent requests take turns, batch by batch.

    Arguments and errors are the Captioner's. `progress` and `on_error` are called in that thread.
    """

    def __init__(self, captioner: Captioner) -> None:
        self.captioner = captioner
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="earwitness")

    async def __call__(self, sources: Any, **options: Any) -> Any:
        """A source -> its Caption; a list of sources -> the list of their Captions."""
        return await self._run(partial(self.captioner, sources, **options))

    def stream(self, sources: Iterable[Any], **options: Any) -> AsyncIterator[Caption | None]:
        return self._drawn(partial(self.captioner.stream, sources, **options))

    def timeline(self, source: Any, *window_and_hop: float, **options: Any) -> AsyncIterator[Caption]:
        return self._drawn(partial(self.captioner.timeline, source, *window_and_hop, **options))

    async def _drawn(self, begin: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
        captions: Any = await self._run(begin)
        try:
            while (caption := await self._run(partial(next, captions, END))) is not END:
                yield caption
        finally:
            await self._run(captions.close)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
