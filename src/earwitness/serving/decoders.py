"""A pool of prestarted decoder processes; one that dies is replaced and fails its own order only."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import numpy as np

from earwitness.serving.limits import Limits, Refused
from earwitness.serving.metrics import Metrics
from earwitness.serving.recording import Recording

log = logging.getLogger("earwitness")

SOUND_COPIES = 3  # of the samples, while a decoder joins and writes them
START_SECONDS = 60.0  # until a decoder is ready; 0.5 on a machine at rest
RETRY_SECONDS = 1.0


class Decoder:
    """One process, which takes one order at a time."""

    def __init__(self, process: asyncio.subprocess.Process, orders: socket.socket) -> None:
        self.process, self.orders = process, orders

    @classmethod
    async def start(cls, memory: int) -> Decoder:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "earwitness.serving.decoder", str(memory)),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                cwd="/",
                env={"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},  # no secrets
                start_new_session=True,  # Ctrl-C is for the server, which lets requests finish
            )
        decoder = cls(process, ours)
        try:
            async with asyncio.timeout(START_SECONDS):
                if await decoder.answer() is None:
                    raise OSError("a decoder process ended as it began")
        except BaseException:  # cancelled, too: the process is not registered yet
            await decoder.stop()
            raise
        return decoder

    def order(self, order: dict[str, Any], media: BinaryIO, samples: BinaryIO) -> None:
        socket.send_fds(self.orders, [json.dumps(order).encode()], [media.fileno(), samples.fileno()])

    async def answer(self) -> dict[str, Any] | None:
        """Return the process's next line; None if it has died."""
        assert self.process.stdout
        line = await self.process.stdout.readline()
        return json.loads(line) if line else None

    async def stop(self) -> None:
        self.orders.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class Decoders:
    """async with Decoders(2, 16_000, "soxr", limits, metrics) as decoders: ... decoders.decoding(file)

    sample_rate, resampler: as load_audio takes them; the model's.
    """

    def __init__(
        self, count: int, sample_rate: int, resampler: str, limits: Limits, metrics: Metrics
    ) -> None:
        self.count, self.limits, self.metrics = count, limits, metrics
        self.sample_rate, self.resampler = sample_rate, resampler
        sound = np.float32().nbytes * sample_rate * 60 * limits.minutes
        self.memory = int(limits.decoder_bytes + SOUND_COPIES * sound)
        self._all: set[Decoder] = set()
        self._idle: asyncio.Queue[Decoder] = asyncio.Queue()
        self._replacing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Decoders:
        await asyncio.gather(*(self._add() for _ in range(self.count)))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._replacing:
            task.cancel()
        await asyncio.gather(*self._replacing, return_exceptions=True)
        await asyncio.gather(*(decoder.stop() for decoder in self._all))

    @property
    def ready(self) -> bool:
        """Whether any process can take an order, now or after its present one."""
        return any(decoder.process.returncode is None for decoder in self._all)

    @asynccontextmanager
    async def decoding(self, media: BinaryIO) -> AsyncIterator[Recording]:
        """Decode the recording in a media file, which must stay open meanwhile.

        The recording raises Refused to its readers if it cannot be decoded within the limits.
        """
        with Recording(self.sample_rate) as recording:
            work = asyncio.create_task(self._decode(media, recording))
            try:
                yield recording
            finally:
                work.cancel()
                await asyncio.wait({work})

    async def _decode(self, media: BinaryIO, recording: Recording) -> None:
        try:
            answer = await self._obeyed(media, recording)
        except Exception as error:  # the readers wait for it
            return recording.fail(error)
        if answer is None:
            reason = "the file cannot be decoded in the time and memory that the server gives one file"
            return recording.fail(Refused(422, reason))
        if answer["status"] != 200:
            return recording.fail(Refused(answer["status"], answer["detail"]))
        self.metrics.sound_seconds.inc(recording.duration)
        recording.finish(answer["faults"], answer["covered"])

    async def _obeyed(self, media: BinaryIO, recording: Recording) -> dict[str, Any] | None:
        """Return the last answer of the next idle decoder; None if it dies."""
        limits = self.limits
        order: dict[str, Any] = {"sample_rate": self.sample_rate, "resampler": self.resampler}
        order |= {"minutes": limits.minutes, "seconds": limits.decoder_seconds}
        while (decoder := await self._idle.get()).process.returncode is not None:  # ended while it was idle
            self._give_back(decoder, alive=False)
        answer = None
        try:
            async with asyncio.timeout(2 * limits.decoder_seconds):
                decoder.order(order, media, recording.file)
                while (line := await decoder.answer()) is not None and "samples" in line:
                    recording.grow(line["samples"])
                answer = line
        except (TimeoutError, OSError):
            pass
        finally:  # a decoder whose client has disconnected is ended, too
            self._give_back(decoder, alive=answer is not None)
        return answer

    def _give_back(self, decoder: Decoder, *, alive: bool) -> None:
        if alive:
            self._idle.put_nowait(decoder)
            return
        task = asyncio.create_task(self._replace(decoder))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, decoder: Decoder) -> None:
        self.metrics.decoders_replaced.inc()
        await decoder.stop()
        self._all.discard(decoder)
        while True:
            try:
                return await self._add()
            except (OSError, TimeoutError):
                log.exception("a decoder process cannot be started; tried again in %g s", RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)

    async def _add(self) -> None:
        decoder = await Decoder.start(self.memory)
        self._all.add(decoder)
        self._idle.put_nowait(decoder)
