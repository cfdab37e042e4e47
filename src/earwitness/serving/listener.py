"""From an uploaded file to captions and tags: a decoder process, then a thread that asks the shared model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from itertools import islice
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import numpy as np

from earwitness.captions import MIN_TAG, Caption
from earwitness.clips import TOLERANCE, Clip
from earwitness.media import reading as media
from earwitness.serving.decoders import Decoders, Recording
from earwitness.serving.limits import Limits
from earwitness.serving.metrics import Metrics
from earwitness.serving.shared_model import Abandoned, SharedModel

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

WINDOW = 10.0  # s, of a recording that is too long for one caption
MAX_TRACKS = 24  # tags followed over time

T = TypeVar("T")


@dataclass(frozen=True)
class TagTracks:
    """The tags that are told of some window, with their probability in each."""

    names: list[str]
    windows: list[tuple[float, float]]  # s
    probabilities: np.ndarray  # [windows, names]


class Listener:
    """async with Listener(captioner, limits, metrics, decoders=2, batch_size=16) as listener: ..."""

    def __init__(
        self, captioner: Captioner, limits: Limits, metrics: Metrics, *, decoders: int, batch_size: int
    ) -> None:
        self.model = SharedModel(captioner.model, batch_size, metrics)
        self.captioner, self.batch_size = captioner, batch_size
        self.decoders = Decoders(decoders, captioner.sample_rate, limits, metrics)
        self.places = asyncio.Semaphore(limits.concurrency)
        self.threads = ThreadPoolExecutor(limits.concurrency, "earwitness")
        self._stack = AsyncExitStack()

    @property
    def tells_tags(self) -> bool:
        return bool(self.model.tag_names) and self.model.tags_clips

    async def __aenter__(self) -> Listener:
        await self._stack.enter_async_context(self.decoders)
        self._stack.enter_context(self.model)
        self._stack.enter_context(self.threads)  # the first to end: what is asked is still answered
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def heard(self, file: BinaryIO) -> AsyncIterator[Recording]:
        """The recording in a media file, worked on when there is a place. Raises Refused."""
        async with self.places:
            recording = await self.decoders.decode(file)
            try:
                yield recording
            finally:
                del (
                    recording.waveform
                )  # what still knows the recording, tracebacks say, is not to keep its file

    async def captions(
        self, recording: Recording, window: float | None, hop: float | None, beams: int | None
    ) -> AsyncIterator[Caption]:
        """As soon as they are known. window None: one caption, if the model hears the recording at once."""

        def told(left: Event) -> Generator[Caption]:
            return self._captions(self.model.behind(self.captioner, left), recording, window, hop, beams)

        async for caption in drawn(told, self.threads):
            yield caption

    async def tags(self, recording: Recording, window: float, hop: float | None) -> TagTracks:
        """The probabilities of tags over time."""
        rows = [row async for row in drawn(lambda _: self._tag_rows(recording, window, hop), self.threads)]
        times, probabilities = zip(*rows)
        table = np.stack(probabilities)  # [windows, tags]
        peaks = table.max(0)
        told = [i for i in np.argsort(-peaks)[:MAX_TRACKS] if peaks[i] >= MIN_TAG]
        return TagTracks([self.model.tag_names[i] for i in told], list(times), table[:, told])

    def _captions(
        self,
        captioner: Captioner,
        recording: Recording,
        window: float | None,
        hop: float | None,
        beams: int | None,
    ) -> Generator[Caption]:
        source = recording.waveform, recording.sample_rate
        if window is None and recording.duration <= captioner.max_seconds + TOLERANCE:
            yield captioner(source, beams=beams)
            return
        window = window or min(WINDOW, captioner.max_seconds)
        yield from captioner.timeline(source, window, hop, batch_size=self.batch_size, beams=beams)

    def _tag_rows(
        self, recording: Recording, window: float, hop: float | None
    ) -> Generator[tuple[tuple[float, float], np.ndarray]]:
        """(start, end) of each window, and the probability of every tag in it."""
        rate = recording.sample_rate
        windows = media.windows((recording.waveform, rate), window, hop, rate)
        while batch := [Clip(w.waveform, w.start, w.end, "") for w in islice(windows, self.batch_size)]:
            rows = self.model.tag_probabilities([clip.waveform for clip in batch])
            for clip, row in zip(batch, rows):
                yield (clip.start, clip.end), row


async def drawn(
    items_until: Callable[[Event], Generator[T]], threads: ThreadPoolExecutor
) -> AsyncIterator[T]:
    """The items of a generator that blocks, drawn by one of the threads until the reader leaves.

    The generator is told of it by the event it was made with, and may then raise Abandoned.
    """
    loop, left, end = asyncio.get_running_loop(), Event(), object()
    coming: asyncio.Queue[Any] = asyncio.Queue()

    def draw() -> None:
        with suppress(Abandoned), closing(items_until(left)) as items:
            for item in items:
                if left.is_set():
                    return
                loop.call_soon_threadsafe(coming.put_nowait, item)

    drawing = loop.run_in_executor(threads, draw)
    drawing.add_done_callback(lambda _: coming.put_nowait(end))
    try:
        while (item := await coming.get()) is not end:
            yield item
        await drawing
    finally:
        left.set()
        drawing.cancel()
