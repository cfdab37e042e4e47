"""Streams of mono PCM from anything that holds sound: containers (decoded with PyAV) and arrays.

Packets that fail are skipped and counted, so that a damaged file gives its decodable part. The public
interface is `earwitness.media`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from earwitness.media.arrays import array_and_rate
from earwitness.media.containers import (
    DECODE_ERRORS,
    MediaError,
    audio_stream,
    check_rate,
    declared_duration,
    is_guessed,
    open_container,
    open_file,
    own_duration,
    pictures,
)
from earwitness.media.downmix import Downmix
from earwitness.media.ogg import links
from earwitness.media.source import Source, is_array, is_live, media_of, name_of, track_of
from earwitness.media.timestamps import Clock
from earwitness.media.wav import riff_shortfall

MAX_FAILED_PACKETS = 2_000  # in a row: 50 s of mp3
MAX_FAILED_READS = 50  # in a row, of the demuxer
BROKEN = 1e10  # 200 dB above full scale: such a sample is a flipped bit, no sound


class PcmStream:
    """Mono blocks of about a second from one source; what was lost is counted while they are drawn.

    `declared`: s that the header of the stream or, failing that, of its container declares (None if neither
    does). `pictures_end`: s at which the pictures end, counted where only the container declares a duration,
    which may be the pictures'. `position`: s, where the first block begins. `filled`: s of silence put into
    holes. `failed` packets, `failed_reads` of the demuxer, which at last `gave_up`; `broken` of `samples`
    samples are NaN, infinite or absurd (they become silence).
    """

    def __init__(self, source: Any, sample_rate: int) -> None:
        self.source = source
        self.name = name_of(source)
        self.assumed_rate = sample_rate  # of a bare array
        self.has_video = False
        self.declared: float | None = None
        self.pictures_end: float | None = None
        self.clocks: list[Clock] = []  # of each link of a chain, else one
        self.failed = self.failed_in_a_row = self.failed_reads = self.broken = self.samples = 0
        self.gave_up = False
        self._downmix = Downmix()

    @property
    def position(self) -> float:
        return self.clocks[0].position if self.clocks else 0.0

    @property
    def filled(self) -> float:
        return sum(clock.filled for clock in self.clocks)

    def blocks(self, skip_to: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (rate, float32 [n]) in order. Audio before `skip_to` s may be skipped; see `position`."""
        if is_live(self.source):
            blocks = self._from_live()
        else:
            blocks = self._from_array() if is_array(self.source) else self._from_file(skip_to)
        for rate, samples in blocks:
            yield rate, self._mono(samples)

    def _mono(self, samples: np.ndarray) -> np.ndarray:
        """[channels, n] float32 -> [n], broken samples replaced by 0."""
        self.samples += samples.shape[1]
        peak = max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))  # NaN stays NaN
        if not peak <= BROKEN:
            broken = ~(np.abs(samples) <= BROKEN)
            self.broken += int(broken.any(axis=0).sum())
            samples = np.where(broken, np.float32(0), samples)
        return self._downmix(samples)

    def _from_array(self) -> Iterator[tuple[int, np.ndarray]]:
        array, rate = array_and_rate(self.source, self.assumed_rate)
        self.declared = array.shape[1] / rate
        for start in range(0, array.shape[1], rate):
            yield rate, to_float(array[:, start : start + rate])

    def _from_live(self) -> Iterator[tuple[int, np.ndarray]]:
        pieces, rate = media_of(self.source)
        for piece in pieces:
            array, rate = array_and_rate((piece, rate), self.assumed_rate)
            yield rate, to_float(array)

    def _from_file(self, skip_to: float) -> Iterator[tuple[int, np.ndarray]]:
        with open_file(self.source) as file:
            chain = [Source(link, track_of(self.source), self.name) for link in links(file)]
            declared: list[float | None] = []
            for link in chain:  # nothing is skipped: only decoding yields the duration of a link
                self.gave_up = False
                try:
                    yield from self._from_container(link, 0.0)
                except MediaError:
                    self.failed_reads += 1  # the next one may be whole
                    self.declared = None
                declared.append(self.declared)
                self.declared = sum(filter(None, declared)) if all(declared) else None
        if not chain:
            yield from self._from_container(self.source, skip_to)

    def _from_container(self, source: Any, skip_to: float) -> Iterator[tuple[int, np.ndarray]]:
        with open_container(source) as container:
            stream, moving = audio_stream(container, source), pictures(container)
            self.has_video = self.has_video or bool(moving)
            self.declared = None if is_guessed(container, stream) else declared_duration(container, stream)
            if self.declared and container.format.name == "wav" and stream.bit_rate:
                self.declared += riff_shortfall(media_of(source)) * 8 / stream.bit_rate
            watched = moving if own_duration(stream) is None and not is_guessed(container, stream) else []
            for other in container.streams:
                if other.index != stream.index and other not in watched:  # let the demuxer step over them
                    with contextlib.suppress(AttributeError, ValueError):
                        other.discard = "all"
            self.clocks.append(clock := Clock(container, stream, bool(moving), skip_to))
            yield from self._decode(self._frames(container, [stream, *watched], clock), clock)

    def _decode(self, frames: Iterator[Any], clock: Clock) -> Iterator[tuple[int, np.ndarray]]:
        """Frames (20 to 100 ms) queued by FFmpeg to blocks of a second: one conversion instead of forty."""
        queue, rate = av.AudioFifo(), 0
        for frame in frames:
            if frame.sample_rate != rate:
                check_rate(self.name, frame.sample_rate)
            hole = clock.hole_before(frame, frame.samples / frame.sample_rate)
            frame.pts = None  # the queue refuses time stamps that do not follow each other
            if hole or not _enqueue(queue, frame):  # a hole, or another rate or layout
                if queue.samples:
                    yield rate, to_float(_channels_first(queue.read(0)))
                rate = frame.sample_rate
                for start in range(0, round(hole * rate), rate):
                    yield rate, np.zeros((1, min(rate, round(hole * rate) - start)), np.float32)
                queue = av.AudioFifo()
                queue.write(frame)
            rate = frame.sample_rate
            if queue.samples >= rate:
                yield rate, to_float(_channels_first(queue.read(0)))
        if queue.samples:
            yield rate, to_float(_channels_first(queue.read(0)))

    def _frames(self, container: Any, streams: list[Any], clock: Clock) -> Iterator[Any]:
        """Of the first stream; of the others only the end is noted."""
        for packet in self._packets(container, streams):
            if packet.stream_index != streams[0].index:
                self._note_picture(packet, container)
                continue
            if clock.skipping and clock.skips(packet):
                continue
            try:
                frames = packet.decode()
            except DECODE_ERRORS:
                if not clock.jumped_in:  # after a jump the first packets may rightly fail
                    self.failed += 1
                self.failed_in_a_row += 1
                if self.failed_in_a_row > MAX_FAILED_PACKETS:
                    return
                continue
            if frames:
                self.failed_in_a_row = 0
            for frame in frames:
                if frame.samples:
                    yield frame

    def _note_picture(self, packet: Any, container: Any) -> None:
        if packet.pts is not None:
            first = (container.start_time or 0) / av.time_base
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - first
            self.pictures_end = max(end, self.pictures_end or 0.0)

    def _packets(self, container: Any, streams: list[Any]) -> Iterator[Any]:
        failures, packets = 0, container.demux(streams)
        while failures <= MAX_FAILED_READS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except DECODE_ERRORS:
                self.failed_reads += 1
                failures += 1
                packets = container.demux(streams)  # read on behind the damage
                continue
            if failures and packet.size:
                failures = 0
            yield packet
        self.gave_up = True


def to_float(samples: np.ndarray) -> np.ndarray:
    """PCM of any type -> float32; whole numbers are scaled by their full range, so that -1 <= x < 1."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return samples.astype(np.float32, copy=False)
    half = float(1 << (8 * samples.dtype.itemsize - 1))
    if samples.dtype.kind == "u":
        return ((samples.astype(np.float64) - half) / half).astype(np.float32)
    scaled = samples.astype(np.float32)  # scaling by a power of two is exact: the one rounding is here
    scaled *= np.float32(1 / half)
    return scaled


def _channels_first(frame: Any) -> np.ndarray:
    channels, planar = frame.layout.nb_channels, frame.format.is_planar
    if frame.format.name.startswith("s64"):  # the one format that PyAV does not hand over
        rows = [
            np.frombuffer(plane, np.int64)[: frame.samples * (1 if planar else channels)]
            for plane in frame.planes
        ]
        array = np.stack(rows)
    else:
        array = frame.to_ndarray()
    return array if planar else array.reshape(-1, channels).T


def _enqueue(queue: Any, frame: Any) -> bool:
    try:
        queue.write(frame)
    except ValueError:
        return False
    return True
