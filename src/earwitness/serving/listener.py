"""From an uploaded file to captions and tags: a decoder process, then a thread that calls the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from earwitness.captions import MIN_TAG_PROBABILITY, Caption
from earwitness.clips import TOLERANCE
from earwitness.media import reading as media
from earwitness.prefetch import batches
from earwitness.serving.decoders import Decoders
from earwitness.serving.limits import Limits
from earwitness.serving.metrics import Metrics
from earwitness.serving.recording import Closed, Recording
from earwitness.serving.shared_model import Abandoned, SharedModel

if TYPE_CHECKING:
    from earwitness.captioner import Captioner

WINDOW = 10.0  # s, of a recording that is too long for one caption
TAG_WINDOW = 1.0  # s
MAX_TRACKS = 24  # tags followed over time


@dataclass(frozen=True)
class TagTracks:
    """The most probable tags of a recording, with their probability in each window."""

    names: list[str]
    windows: list[tuple[float, float]]  # s
    probabilities: np.ndarray  # [windows, names]


@dataclass(frozen=True)
class Progress:
    """Seconds of audio given to the model so far."""

    stage: Literal["captions", "tags"]
    seconds: float


Found = Caption | TagTracks | Progress
Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Wanted:
    """The settings of a request. window None: one caption, if the model takes the recording at once."""

    captions: bool = True
    tags: bool = False
    window: float | None = None
    hop: float | None = None
    beams: int | None = None
    tag_window: float = TAG_WINDOW


class Listener:
    """async with Listener(captioner, limits, metrics, decoders=2, batch_size=16) as listener: ..."""

    def __init__(
        self, captioner: Captioner, limits: Limits, metrics: Metrics, *, decoders: int, batch_size: int
    ) -> None:
        self.model = SharedModel(captioner.model, batch_size, metrics)
        self.captioner, self.batch_size, self.metrics = captioner, batch_size, metrics
        rate, resampler = captioner.sample_rate, captioner.model.resampler
        self.decoders = Decoders(decoders, rate, resampler, limits, metrics)
        self.places = asyncio.Semaphore(limits.concurrency)
        self.threads = ThreadPoolExecutor(limits.concurrency, "earwitness")
        self._stack = AsyncExitStack()

    @property
    def has_tags(self) -> bool:
        return bool(self.model.tag_names) and self.model.tags_clips

    @property
    def unready(self) -> str | None:
        """Return the reason why recordings cannot be captioned; None if they can."""
        return self.model.unready or (None if self.decoders.ready else "no decoder process runs")

    async def __aenter__(self) -> Listener:
        await self._stack.enter_async_context(self.decoders)
        self._stack.enter_context(self.model)
        self._stack.enter_context(self.threads)  # the first to end: pending requests are still answered
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def opened(self, file: BinaryIO) -> AsyncIterator[Recording]:
        """Decode the recording in a media file as soon as there is capacity."""
        with self.metrics.waiting.track_inprogress():
            await self.places.acquire()
        try:
            with self.metrics.running.track_inprogress():
                async with self.decoders.decoding(file) as recording:
                    yield recording
        finally:
            self.places.release()

    async def find(self, recording: Recording, wanted: Wanted) -> AsyncIterator[Found]:
        """Yield results as soon as they are known. Raises Refused, also in the middle."""

        def found(left: Event, report: Report) -> Generator[Found]:
            if wanted.captions:
                captioner = self.model.behind(self.captioner, left)
                yield from self._captions(captioner, recording, wanted, report)
            if wanted.tags:
                yield self._tags(recording, wanted, left, report)

        async with _drawn(found, self.threads) as items:
            async for item in items:
                yield item

    def _captions(
        self, captioner: Captioner, recording: Recording, wanted: Wanted, report: Report
    ) -> Iterator[Caption]:
        most = captioner.max_seconds
        if wanted.window is None and not recording.longer_than(most + TOLERANCE):
            yield captioner((recording.waveform(), recording.sample_rate), beams=wanted.beams)
            report(Progress("captions", recording.duration))
            return
        window = wanted.window or min(WINDOW, most)
        source = _reporting(recording, "captions", window, report), recording.sample_rate
        size, beams = self.batch_size, wanted.beams
        yield from captioner.timeline(
            source, window, wanted.hop, batch_size=size, low_latency=True, beams=beams
        )

    def _tags(self, recording: Recording, wanted: Wanted, left: Event, report: Report) -> TagTracks:
        rate, hop = recording.sample_rate, wanted.hop if not wanted.captions else None
        source = _reporting(recording, "tags", WINDOW, report), rate
        windows = media.windows(source, wanted.tag_window, hop, rate)
        times: list[tuple[float, float]] = []
        rows: list[np.ndarray] = []
        for batch in batches(windows, self.batch_size):
            if left.is_set():
                raise Abandoned
            rows.extend(self.model.tag_probabilities([window.waveform for window in batch]))
            times += [(window.start, window.end) for window in batch]
        table = np.stack(rows)  # [windows, tags]
        peaks = table.max(0)
        chosen = [i for i in np.argsort(-peaks)[:MAX_TRACKS] if peaks[i] >= MIN_TAG_PROBABILITY]
        return TagTracks([self.model.tag_names[i] for i in chosen], times, table[:, chosen])


def _reporting(
    recording: Recording, stage: Literal["captions", "tags"], step: float, report: Report
) -> Iterator[np.ndarray]:
    """Yield the recording's blocks; report every `step` seconds of them, and the end."""
    seconds = reported = 0.0
    for block in recording.blocks():
        yield block
        seconds += len(block) / recording.sample_rate
        if seconds >= reported + step:
            reported = seconds
            report(Progress(stage, seconds))
    if seconds > reported:
        report(Progress(stage, seconds))


@asynccontextmanager
async def _drawn(
    items_until: Callable[[Event, Report], Generator[Found]], threads: ThreadPoolExecutor
) -> AsyncIterator[AsyncIterator[Found]]:
    """Yield the items of a blocking generator, which one of the threads draws until the reader leaves.

    The generator gets an event that is set then, upon which it may raise Abandoned or Closed, and a function
    that reports progress among its items, from any thread.
    """
    loop, left, end = asyncio.get_running_loop(), Event(), object()
    coming: asyncio.Queue[Any] = asyncio.Queue()

    def put(item: Found) -> None:
        with suppress(RuntimeError):  # the loop is closed: it has no reader
            loop.call_soon_threadsafe(coming.put_nowait, item)

    def draw() -> None:
        with suppress(Abandoned, Closed), closing(items_until(left, put)) as items:
            for item in items:
                if left.is_set():
                    return
                put(item)

    async def read() -> AsyncIterator[Found]:
        while (item := await coming.get()) is not end:
            yield item
        await drawing

    drawing = loop.run_in_executor(threads, draw)
    drawing.add_done_callback(lambda _: coming.put_nowait(end))
    try:
        yield read()
    finally:
        left.set()
        drawing.cancel()
