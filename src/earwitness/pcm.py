"""Streams of mono PCM from anything that holds sound: containers (decoded with PyAV) and arrays.

Media files are untrusted: only self-contained formats are opened (no playlists, no URLs, no external
references), failing packets are bounded, and what decodes of a damaged file is kept and measured.
`earwitness.media` is the public face.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

# Demuxers that read one self-contained file. Left out on purpose: hls, dash, concat, sdp, image sequences, raw
# PCM and every device, which open other files or addresses, or take any bytes for sound.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,ogg,mp3,aac,ac3,eac3,amr,amrnb,amrwb,ape,wv,tta,dsf,dts,truehd,voc,sox,gsm,"
    "mov,matroska,avi,mpegts,mpeg,flv,asf,rm,mxf,dv,nut,3gp,swf"
)
IO_BUFFER = 1 << 18  # bytes: FFmpeg's 32 KiB would cost a Python call eight times as often
IO_TIMEOUT = 60.0  # s without progress inside one read
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz
MAX_CHANNELS = 63
MAX_FAILED_PACKETS = 2_000  # in a row; 50 s of mp3
MAX_FAILED_READS = 50  # in a row, of the demuxer
GAP = 0.1  # s: timestamps that jump further are a hole (filled with silence), less is rounding
MAX_GAP = 60.0  # s: a longer jump is a broken clock, not a pause
PREROLL = 1.0  # s decoded before a seek target: mp3's bit reservoir and Opus' 80 ms need it
ABSURD = 2.0  # full scale is 1; lossy decoders overshoot a little, beyond 6 dB the samples are damage
PIXELS = 1 << 26  # of one picture


class MediaError(ValueError):
    """A file that cannot be heard: says which and why, and what would mend it.

    Attributes: `path` (the file's name, or "<bytes>", "<array>"...) and `reason`.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason

    def __reduce__(self):  # both arguments survive pickling between worker processes
        return type(self), (self.path, self.reason)


def name_of(source: Any) -> str:
    """What messages call this source."""
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "<file object>"
    return "<array>"


def is_array(source: Any) -> bool:
    """A numpy array, a torch tensor, or an (array, sample_rate) pair."""
    if isinstance(source, tuple):
        return len(source) == 2 and is_array(source[0])
    return hasattr(source, "__array__") and hasattr(source, "shape")


def open_file(source: Any) -> io.IOBase:
    """A path, bytes or binary file object -> a binary file object; MediaError for what cannot be one."""
    name = name_of(source)
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise MediaError(name, "is empty (0 bytes)")
        return io.BytesIO(source)
    if hasattr(source, "read"):
        return source
    if not isinstance(source, str | os.PathLike):
        raise MediaError(name, f"cannot read sound from a {type(source).__name__}")
    if "://" in name[:16]:
        raise MediaError(name, "addresses are not fetched; download the file and pass its path")
    path = Path(source)
    try:
        if path.is_dir():
            raise MediaError(name, "is a folder; pass the files in it (find_media lists them)")
        if not path.exists():
            raise MediaError(name, "no such file")
        if not path.is_file():
            raise MediaError(name, "is not a regular file")
        if path.stat().st_size == 0:
            raise MediaError(name, "is empty (0 bytes)")
        return path.open("rb")
    except MediaError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise MediaError(name, f"cannot be opened ({error})") from error


def _refuse_nested(url: str, flags: int, options: dict):
    raise PermissionError(f"external reference refused: {url!r}")


@contextlib.contextmanager
def open_container(source: Any) -> Iterator[Any]:
    """An open PyAV input container that reads nothing but `source`; MediaError if it is not media."""
    name = name_of(source)
    file = open_file(source)
    try:
        try:
            container = av.open(
                file,
                mode="r",
                options={"max_pixels": str(PIXELS)},
                container_options={"format_whitelist": FORMATS, "protocol_whitelist": "file"},
                metadata_errors="replace",
                buffer_size=IO_BUFFER,
                timeout=IO_TIMEOUT,
                io_open=_refuse_nested,
            )
        except (av.FFmpegError, ValueError, OSError, MemoryError) as error:
            raise MediaError(name, f"is not a media file that can be read ({_short(error)})") from error
        with container:
            yield container
    finally:
        if file is not source:
            file.close()


def pictures(container: Any) -> list[Any]:
    """The video streams that move: cover art is none."""
    return [s for s in container.streams.video if not _is_cover(s)]


def _is_cover(stream: Any) -> bool:
    disposition = getattr(av.stream, "Disposition", None)
    return disposition is not None and bool(stream.disposition & disposition.attached_pic)


def declared_duration(container: Any, stream: Any) -> float | None:
    """Seconds the header promises, or None."""
    if stream is not None and stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


class PcmStream:
    """Mono blocks of about a second from one source; what was lost is counted while they are drawn.

    After iteration: `decoded` seconds of sound, `filled` seconds of silence put into holes, `failed` packets,
    `nonfinite` and `clipped` samples, `rate` of the source, `declared` duration (s, None if unknown).
    """

    def __init__(self, source: Any, sample_rate: int) -> None:
        self.source = source
        self.name = name_of(source)
        self.assumed_rate = sample_rate
        self.has_video = False
        self.declared: float | None = None
        self.declared_is_exact = True
        self.position = 0.0  # s, of the first sample yielded
        self.decoded = self.filled = 0.0
        self.failed = self.nonfinite = self.clipped = self.samples = 0

    def blocks(self, skip_to: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        """(rate, float32 [n]) in order. Blocks before `skip_to` seconds may be left out; `position` tells."""
        raw = self._from_array() if is_array(self.source) else self._from_container(skip_to)
        for rate, samples in raw:
            if not MIN_RATE <= rate <= MAX_RATE:
                raise MediaError(self.name, f"claims an absurd sample rate of {rate} Hz")
            yield rate, self._mono(samples)

    @property
    def damaged(self) -> bool:
        return bool(self.failed or self.nonfinite or self.clipped)

    def _mono(self, samples: np.ndarray) -> np.ndarray:
        """[channels, n] float32 -> their mean [n], repaired: NaN and infinity to 0, absurd values to +-1."""
        with np.errstate(all="ignore"):
            mono = samples[0] if len(samples) == 1 else samples.mean(axis=0)
            peak = max(float(mono.max(initial=0.0)), -float(mono.min(initial=0.0)))
        self.samples += mono.size
        if peak <= ABSURD and not self.clipped:  # False for NaN
            return mono
        bad = ~np.isfinite(samples)
        self.nonfinite += int(bad.any(axis=0).sum())
        samples = np.where(bad, np.float32(0), samples)
        absurd = int((np.abs(samples) > ABSURD).any(axis=0).sum())
        if absurd or self.clipped:  # from the first absurd value on the whole stream is clipped alike
            self.clipped += absurd
            samples = samples.clip(-1, 1)
        return samples.mean(axis=0, dtype=np.float32)

    def _from_array(self) -> Iterator[tuple[int, np.ndarray]]:
        array, rate = self.source if isinstance(self.source, tuple) else (self.source, self.assumed_rate)
        if hasattr(array, "detach"):  # torch, which need not be imported to be recognised
            array = array.detach().cpu()
            array = (array.float() if array.is_floating_point() else array).numpy()
        array = np.atleast_2d(np.asarray(array))
        if array.ndim != 2 or array.dtype.kind not in "fiu":
            raise MediaError(
                self.name, f"arrays are [S] or [channels, S] numbers, not {array.shape} {array.dtype}"
            )
        if len(array) > MAX_CHANNELS:
            raise MediaError(self.name, f"has {len(array)} channels; arrays are [channels, S]: transpose it")
        if len(array) == 0:
            raise MediaError(self.name, "has no channels")
        if not np.isreal(rate) or rate != int(rate):
            raise MediaError(self.name, f"has an absurd sample rate of {rate!r} Hz")
        self.declared = array.shape[1] / rate if rate > 0 else None
        for start in range(0, array.shape[1], max(int(rate), 1)):
            block = to_float(array[:, start : start + max(int(rate), 1)])
            self.decoded += block.shape[1] / max(int(rate), 1)
            yield int(rate), block

    def _from_container(self, skip_to: float) -> Iterator[tuple[int, np.ndarray]]:
        with open_container(self.source) as container:
            self.has_video = bool(pictures(container))
            if not container.streams.audio:
                what = "is a video without sound" if self.has_video else "holds no audio stream"
                raise MediaError(self.name, what)
            stream = container.streams.best("audio") or container.streams.audio[0]
            _check_header(self.name, stream)
            self.declared = declared_duration(container, stream)
            self.declared_is_exact = _declares_exactly(container, stream)
            for other in container.streams:
                if other.index != stream.index:
                    with contextlib.suppress(AttributeError, ValueError):
                        other.discard = "all"  # let the demuxer step over pictures
            yield from self._decode(container, stream, skip_to)

    def _decode(self, container: Any, stream: Any, skip_to: float) -> Iterator[tuple[int, np.ndarray]]:
        fifo, rate = av.AudioFifo(), 0
        clock = _Clock(container, stream, self.has_video, skip_to)
        for frame in self._frames(container, stream, clock):
            hole = clock.hole(frame, self)
            frame.pts = None  # the queue would refuse frames whose time stamps leave holes
            try:
                if hole:
                    raise ValueError
                fifo.write(frame)
            except ValueError:  # a hole, or another rate or layout: drain, then start anew
                if rate and fifo.samples:
                    yield rate, self._drain(fifo)
                for seconds in _steps(hole):
                    yield frame.sample_rate, np.zeros((1, round(seconds * frame.sample_rate)), np.float32)
                fifo = av.AudioFifo()
                fifo.write(frame)
            rate = frame.sample_rate
            if not MIN_RATE <= rate <= MAX_RATE:
                raise MediaError(self.name, f"claims an absurd sample rate of {rate} Hz")
            clock.advance(frame.samples / rate)
            if fifo.samples >= rate:
                yield rate, self._drain(fifo)
        if rate and fifo.samples:
            yield rate, self._drain(fifo)

    def _drain(self, fifo: Any) -> np.ndarray:
        frame = fifo.read(0)
        self.decoded += frame.samples / frame.sample_rate
        return to_float(_channels_first(frame))

    def _frames(self, container: Any, stream: Any, clock: _Clock) -> Iterator[Any]:
        """Frames that decode; packets and reads that fail are counted, and end the stream if too many in a row."""
        for packet in self._packets(container, stream):
            if clock.skips(packet):
                continue
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError, MemoryError):
                self.failed += not (
                    clock.skipped and not clock.started
                )  # after a jump the first may rightly fail
                self.failed_in_a_row += 1
                if self.failed_in_a_row > MAX_FAILED_PACKETS:
                    return
                continue
            if frames:
                self.failed_in_a_row = 0
            for frame in frames:
                if frame.samples:
                    yield frame

    failed_in_a_row = 0

    def _packets(self, container: Any, stream: Any) -> Iterator[Any]:
        failures, packets = 0, container.demux(stream)
        while failures <= MAX_FAILED_READS:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, ValueError, OSError):
                failures += 1
                self.failed += 1
                packets = container.demux(stream)
                continue
            if packet.size:
                failures = 0
            yield packet


class _Clock:
    """Where decoded sound lies in the file: presentation time stamps against samples counted."""

    def __init__(self, container: Any, stream: Any, has_video: bool, skip_to: float) -> None:
        self.tick = float(stream.time_base or 0)  # s
        starts = [float(stream.start_time * self.tick)] if stream.start_time is not None else []
        if has_video and container.start_time is not None:  # sound is timed against the pictures
            starts.append(container.start_time / av.time_base)
        self.zero = min(starts) if starts else None
        self.pictures = has_video
        self.skip_to = skip_to - PREROLL
        self.skipped = False
        self.started = False
        self.now = 0.0  # s, end of what was decoded

    def skips(self, packet: Any) -> bool:
        if self.started or self.skip_to <= 0 or self.zero is None or packet.pts is None or not packet.size:
            return False
        self.skipped = self.skipped or packet.pts * self.tick - self.zero < self.skip_to
        return packet.pts * self.tick - self.zero < self.skip_to

    def hole(self, frame: Any, stream: PcmStream) -> float:
        """Seconds of silence that belong before this frame."""
        if frame.pts is None:
            self.started = True
            return 0.0
        time = frame.pts * self.tick
        if not self.started:
            self.started = True
            if self.skipped:
                stream.position = self.now = time - self.zero
                return 0.0
            if not self.pictures or self.zero is None:
                self.zero = time
        gap = time - self.zero - self.now
        if GAP < gap <= MAX_GAP and stream.filled + gap <= MAX_GAP + self.now:
            stream.filled += gap
            self.now += gap
            return gap
        if abs(gap) > GAP:
            self.zero += gap  # the clock was reset: trust the samples
        return 0.0

    def advance(self, seconds: float) -> None:
        self.now += seconds


def _check_header(name: str, stream: Any) -> None:
    context = stream.codec_context
    if context is None:
        raise MediaError(name, "its sound is in a codec that cannot be decoded here")
    channels = context.channels
    if not 1 <= channels <= MAX_CHANNELS:
        raise MediaError(name, f"claims {channels} channels; 1 to {MAX_CHANNELS} can be read")
    rate = context.sample_rate
    if rate and not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(name, f"claims an absurd sample rate of {rate} Hz")


def _declares_exactly(container: Any, stream: Any) -> bool:
    """Bare mp3/aac/ac3/amr streams have no length: FFmpeg guesses it. An mp3 with a LAME header starts late."""
    name = container.format.name
    if name == "mp3":
        return bool(stream.start_time)
    return name not in {"aac", "ac3", "eac3", "amr", "amrnb", "amrwb", "dts", "truehd", "gsm"}


def _channels_first(frame: Any) -> np.ndarray:
    array = frame.to_ndarray()
    if frame.format.is_planar:
        return array
    return array.reshape(-1, frame.layout.nb_channels).T


def to_float(samples: np.ndarray) -> np.ndarray:
    """PCM of any type -> float32; whole numbers are scaled by their full range, so that -1 <= x < 1."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return samples.astype(np.float32, copy=False)
    half = float(1 << (8 * samples.dtype.itemsize - 1))
    offset = half if samples.dtype.kind == "u" else 0.0
    if samples.dtype.itemsize <= 2:
        return (samples.astype(np.float32) - np.float32(offset)) * np.float32(1 / half)
    return ((samples.astype(np.float64) - offset) / half).astype(np.float32)


def _steps(seconds: float) -> Iterator[float]:
    while seconds > 1:
        yield 1.0
        seconds -= 1
    if seconds > 0:
        yield seconds


def _short(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
