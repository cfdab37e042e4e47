"""Sound and pictures out of media files: decode, channel mean, resample, windows, frames.

    audio = load_audio("dog.mp3")                      # float32 [S] at 16 kHz, however damaged the file
    for clip in windows("match.mp4", window=10.0):     # constant memory, any length
        clip.waveform, clip.start, clip.end

Channels are averaged here: FFmpeg's own mono mix is 3 dB louder for equal channels. A damaged or truncated file
gives what decodes and says how much that is. Nothing but the named file is ever opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import av
import numpy as np

from earwitness.pcm import (
    MediaError,
    PcmStream,
    declared_duration,
    is_array,
    name_of,
    open_container,
    pictures,
)
from earwitness.resample import METHODS, resample, resampler_stream

__all__ = [
    "Audio",
    "MediaError",
    "MediaInfo",
    "Window",
    "find_media",
    "is_media_path",
    "load_audio",
    "probe",
    "resample",
    "sample_frames",
    "windows",
]

SAMPLE_RATE = 16_000  # Hz
SHORTEST = 0.01  # s: less holds no analysis frame, hence nothing to hear
SHORTEST_TAIL = 0.1  # s: a shorter rest joins the window before it
MAX_SECONDS = 4 * 3600.0  # load_audio's default bound: 0.9 GB at 16 kHz
LOST = 0.25  # s (and 1 %) that may be missing from the declared duration: padding and rounding of codecs

AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".wave",
        ".w64",
        ".aif",
        ".aiff",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".spx",
        ".mp3",
        ".mp2",
        ".mpga",
        ".m4a",
        ".m4b",
        ".aac",
        ".adts",
        ".ac3",
        ".eac3",
        ".amr",
        ".ape",
        ".wv",
        ".tta",
        ".dsf",
        ".dts",
        ".wma",
        ".mka",
        ".weba",
        ".voc",
        ".sox",
        ".gsm",
    ]
)
VIDEO_SUFFIXES = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".ts",
        ".mts",
        ".m2ts",
        ".vob",
        ".flv",
        ".f4v",
        ".wmv",
        ".asf",
        ".3gp",
        ".3g2",
        ".ogv",
        ".rm",
        ".rmvb",
        ".mxf",
        ".dv",
        ".nut",
    ]
)


@dataclass(frozen=True)
class Audio:
    """Decoded sound."""

    waveform: np.ndarray  # float32 [S], mono, in [-1, 1]
    sample_rate: int  # Hz
    duration: float  # s, of `waveform`
    damaged: bool  # packets failed, samples were repaired, or the file ends before its header says
    covered: float  # decoded fraction of what the file declares between start and end, 0..1
    has_video: bool
    source: str


@dataclass(frozen=True)
class Window:
    """A stretch of sound; start and end in seconds from the beginning of the file."""

    waveform: np.ndarray  # float32 [S]
    start: float
    end: float


@dataclass(frozen=True)
class MediaInfo:
    """What the header says, nothing decoded."""

    duration: float | None  # s, None if the header does not tell
    channels: int  # 0 without sound
    sample_rate: int  # Hz, 0 without sound
    has_audio: bool
    has_video: bool
    container: str  # FFmpeg's name of the format, or "array"


def load_audio(
    source: Any,
    sample_rate: int = SAMPLE_RATE,
    *,
    start: float = 0.0,
    end: float | None = None,
    resampler: str = "soxr",
    max_seconds: float | None = MAX_SECONDS,
) -> Audio:
    """Decode `source` between `start` and `end` seconds to a mono waveform at `sample_rate`.

    `source` is a path, bytes, a binary file object, an (array, rate) pair, or an array or tensor [S] or
    [channels, S], taken to be at `sample_rate`. Whole-number samples are scaled by their full range.
    `resampler` is "soxr" or "sinc" (see earwitness.resample).

    Channels are averaged. NaN and infinite samples become 0. Lossy decoders and resampling overshoot 1 slightly and
    are left so; only if a float source holds values beyond 2 it is clipped to [-1, 1]. Both repairs count as
    damage. Digital silence is sound.

    Raises MediaError for what cannot be heard (no file, no media, no audio stream, less than 10 ms, nothing but
    NaN) and for more than `max_seconds` of sound (None: no bound), ValueError for arguments.
    """
    _check_span(start, end)
    stream = PcmStream(source, sample_rate)
    chunks, kept = [], 0
    limit = None if max_seconds is None else int(max_seconds * sample_rate)
    for chunk in _resampled(stream, sample_rate, resampler, start, end):
        chunks.append(chunk)
        kept += len(chunk)
        if limit is not None and kept > limit:
            mend = "use windows(), start and end, or raise max_seconds"
            raise MediaError(stream.name, f"is longer than {max_seconds:g} s; {mend}")
    _check_heard(stream, kept / sample_rate, start)
    covered, cut = _coverage(stream, kept / sample_rate, start, end)
    waveform = np.concatenate(chunks)
    return Audio(
        waveform,
        sample_rate,
        kept / sample_rate,
        stream.damaged or cut,
        covered,
        stream.has_video,
        stream.name,
    )


def windows(
    source: Any,
    window: float = 10.0,
    hop: float | None = None,
    sample_rate: int = SAMPLE_RATE,
    *,
    resampler: str = "soxr",
    max_seconds: float | None = None,
) -> Iterator[Window]:
    """Windows of `window` seconds every `hop` seconds (default: the window), decoded as they are drawn.

    Memory does not grow with the length of the file. Together the windows cover every sample: the last one is as
    short as the file leaves it, unless that is under 0.1 s, which joins the window before it. Start and end are
    whole samples, exact to 1 / sample_rate. Sources and errors are load_audio's; those of the file are raised when
    the first window is drawn. `max_seconds` bounds the sound decoded (MediaError).
    """
    hop = window if hop is None else hop
    if not window > SHORTEST_TAIL:
        raise ValueError(f"window must be longer than {SHORTEST_TAIL} s, not {window}")
    if not 0 < hop <= window:
        raise ValueError(f"hop must lie between 0 and the window of {window} s, or sound is lost; not {hop}")
    if round(hop * sample_rate) < 1:
        raise ValueError(f"hop of {hop} s is shorter than a sample")
    _check_method(resampler)
    return _windows(PcmStream(source, sample_rate), window, hop, sample_rate, resampler, max_seconds)


def _windows(
    stream: PcmStream, window: float, hop: float, rate: int, method: str, max_seconds: float | None
) -> Iterator[Window]:
    size, tail = round(window * rate), round(SHORTEST_TAIL * rate)
    pieces: list[np.ndarray] = []
    begin = count = total = index = 0  # `pieces` hold samples begin .. begin + count of `total`
    for chunk in _resampled(stream, rate, method, 0.0, None):
        pieces.append(chunk)
        count += len(chunk)
        total += len(chunk)
        if max_seconds is not None and total > max_seconds * rate:
            raise MediaError(stream.name, f"is longer than {max_seconds:g} s; raise max_seconds")
        if begin + count < (first := round(index * hop * rate)) + size + tail:
            continue  # `tail` more samples tell whether a rest is worth its own window
        held = np.concatenate(pieces)
        while begin + count >= first + size + tail:
            held, begin = held[first - begin :], first
            count = len(held)
            yield Window(held[:size].copy(), begin / rate, (begin + size) / rate)
            index += 1
            first = round(index * hop * rate)
        held, begin = held[first - begin :], first
        count = len(held)
        pieces = [held.copy()]
    _check_heard(stream, total / rate, 0.0)
    yield from _last_windows(np.concatenate(pieces), begin, index, total, size, tail, hop, rate)


def _last_windows(held, begin, index, total, size, tail, hop, rate) -> Iterator[Window]:
    """What is left when the end is known: up to `size + tail` samples past the last window's start."""
    while True:
        first = round(index * hop * rate)
        stop = first + size if first + size + tail <= total else total
        yield Window(held[first - begin : stop - begin].copy(), first / rate, stop / rate)
        if stop == total:
            return
        index += 1


def _resampled(
    stream: PcmStream, to_rate: int, method: str, start: float, end: float | None
) -> Iterator[np.ndarray]:
    """Chunks at `to_rate` from output sample round(start * to_rate) up to round(end * to_rate)."""
    _check_method(method)
    if to_rate != int(to_rate) or to_rate <= 0:
        raise ValueError(f"sample_rate must be a positive whole number of Hz, not {to_rate!r}")
    first = round(start * to_rate)
    stop = None if end is None else round(end * to_rate)
    for at, chunk in _on_grid(stream, int(to_rate), method, start):
        chunk = chunk[max(0, first - at) : None if stop is None else max(0, stop - at)]
        if len(chunk):
            yield chunk
        if stop is not None and at + len(chunk) >= stop and at >= first:
            return


def _on_grid(stream: PcmStream, to_rate: int, method: str, start: float) -> Iterator[tuple[int, np.ndarray]]:
    """(position in output samples, chunk). After a jump the input is cut where an output sample falls exactly on
    an input sample, so that the output grid is the one of the whole file."""
    rate, resampler, at = 0, None, 0
    for new_rate, samples in stream.blocks(start):
        if new_rate != rate:
            if resampler is not None:  # a chained stream may change its rate
                rest = resampler.resample_chunk(samples[:0], last=True)
                yield at, rest
                at += len(rest)
            else:
                period = new_rate // gcd(new_rate, to_rate)
                position = round(stream.position * new_rate)
                samples = samples[-position % period :]
                at = -(-position // period) * period * to_rate // new_rate
            rate, resampler = new_rate, resampler_stream(new_rate, to_rate, method)
        chunk = resampler.resample_chunk(samples)
        yield at, chunk
        at += len(chunk)
    if resampler is not None:
        yield at, resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _coverage(stream: PcmStream, seconds: float, start: float, end: float | None) -> tuple[float, bool]:
    """(decoded fraction of the declared span, whether more is missing than codecs' padding explains)."""
    if stream.declared is None or not stream.declared_is_exact:
        return 1.0, False
    stop = stream.declared if end is None else min(end, stream.declared)
    wanted = max(stop - start, 1e-9)
    covered = min(1.0, seconds / wanted)
    return covered, wanted - seconds > max(LOST, 0.01 * wanted)


def _check_heard(stream: PcmStream, seconds: float, start: float) -> None:
    if stream.samples == 0:
        reason = "nothing in it decodes as sound" if stream.failed else "holds no samples"
    elif stream.nonfinite == stream.samples:
        reason = "holds nothing but NaN or infinite samples"
    elif seconds == 0 and start > 0:
        reason = f"ends before the start asked for, {start:g} s"
    elif seconds < SHORTEST:
        reason = f"holds only {seconds * 1000:.3g} ms of sound; {SHORTEST * 1000:g} ms are the least"
    else:
        return
    raise MediaError(stream.name, reason)


def _check_span(start: float, end: float | None) -> None:
    if not 0 <= start < float("inf"):
        raise ValueError(f"start must be 0 or more seconds, not {start}")
    if end is not None and not end > start:
        raise ValueError(f"end ({end} s) must lie after start ({start} s)")


def _check_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"unknown resampler {method!r}: choose one of {', '.join(METHODS)}")


def probe(source: Any) -> MediaInfo:
    """The header of `source`, without decoding. MediaError if it is not media."""
    if is_array(source):
        array, rate = source if isinstance(source, tuple) else (source, SAMPLE_RATE)
        channels, length = (1, *array.shape)[-2:]
        return MediaInfo(length / rate, int(channels), int(rate), True, False, "array")
    with open_container(source) as container:
        moving = pictures(container)
        sound = container.streams.best("audio") if container.streams.audio else None
        context = sound.codec_context if sound is not None else None
        return MediaInfo(
            declared_duration(container, sound or (moving[0] if moving else None)),
            context.channels if context is not None else 0,
            (context.sample_rate or 0) if context is not None else 0,
            sound is not None,
            bool(moving),
            container.format.name,
        )


def sample_frames(
    source: Any,
    fps: float = 2.0,
    start: float = 0.0,
    end: float | None = None,
    size: int | None = 224,
    *,
    max_frames: int = 10_000,
) -> tuple[np.ndarray, np.ndarray]:
    """RGB frames shown at start, start + 1/fps, ... before `end` (s): (uint8 [N, H, W, 3], times float64 [N]).

    The picture shown at a time is the last one that began by then. With `size` the shorter side is scaled to it
    (bicubic) and the centre square is cut out: [N, size, size, 3]; None keeps the pictures as they are. Raises
    MediaError for a source without pictures or with more than `max_frames`.
    """
    _check_span(start, end)
    if not fps > 0:
        raise ValueError(f"fps must be positive, not {fps}")
    frames: list[np.ndarray] = []
    with open_container(source) as container:
        streams = pictures(container)
        if not streams:
            raise MediaError(name_of(source), "holds no moving pictures")
        shown, shown_at, last_end = None, 0.0, 0.0
        for picture, at, until in _pictures(container, streams[0], start):
            shown, shown_at, last_end = _collect(frames, shown, picture, at, fps, start, end, size), at, until
            if len(frames) > max_frames:
                raise MediaError(name_of(source), f"gives more than {max_frames} frames; raise max_frames")
            if end is not None and at >= end:
                break
        else:
            stop = last_end if end is None else min(end, last_end)
            if shown is not None:
                _collect(frames, shown, None, max(stop, shown_at), fps, start, end, size)
    if not frames:
        raise MediaError(name_of(source), f"no picture decodes from {start:g} s on")
    return np.stack(frames), start + np.arange(len(frames)) / fps


def _collect(frames, shown, following, until, fps, start, end, size):
    """Append `shown` for every sampling time before `until`; returns the picture that is shown next."""
    rendered = None
    while (time := start + len(frames) / fps) < until - 1e-6 and (end is None or time < end - 1e-6):
        picture = shown if shown is not None else following  # before the first picture: that one
        rendered = _render(picture, size) if rendered is None else rendered
        frames.append(rendered)
    return following


def _pictures(container, stream, start: float) -> Iterator[tuple[Any, float, float]]:
    """(frame, shown from, shown until) in seconds from the beginning of the file; failing packets are left out."""
    stream.thread_type = "AUTO"
    tick = float(stream.time_base)
    zero = (container.start_time or 0) / av.time_base
    step = 1 / float(stream.average_rate) if stream.average_rate else 0.04
    if start > 0:
        container.seek(int((start + zero) * av.time_base), backward=True, any_frame=False)
    failures, at, packets = 0, start, container.demux(stream)
    while failures <= 500:
        try:
            decoded = next(packets).decode()
        except StopIteration:
            return
        except (av.FFmpegError, ValueError, OSError):
            failures += 1
            continue
        for frame in decoded:
            failures = 0
            at = frame.pts * tick - zero if frame.pts is not None else at + step
            yield frame, at, at + step


def _render(frame, size: int | None) -> np.ndarray:
    """A decoded picture -> uint8 [H, W, 3], upright."""
    width, height = frame.width, frame.height
    if size is not None:
        scale = size / min(width, height)
        width, height = max(size, round(width * scale)), max(size, round(height * scale))
    picture = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    if size is not None:
        top, left = (height - size) // 2, (width - size) // 2
        picture = picture[top : top + size, left : left + size]
    turns = round(getattr(frame, "rotation", 0) / 90) % 4  # phones store pictures lying down
    return np.ascontiguousarray(np.rot90(picture, turns)) if turns else picture


def is_media_path(path: str | os.PathLike) -> bool:
    """Whether the name ends like a sound or video file."""
    return Path(path).suffix.lower() in AUDIO_SUFFIXES | VIDEO_SUFFIXES


def find_media(paths: str | os.PathLike | Iterable[str | os.PathLike], recursive: bool = False) -> list[Path]:
    """Files to caption: files named are kept as they are, folders give their media files, sorted, without
    hidden ones (and with `recursive` those of their subfolders; links to folders are not followed). No file twice.
    """
    found: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(path)
        if not path.exists():
            raise MediaError(str(path), "no such file or folder")
        found.update(dict.fromkeys(_in_folder(path, recursive) if path.is_dir() else [path]))
    return list(found)


def _in_folder(folder: Path, recursive: bool) -> list[Path]:
    found = []
    for root, subfolders, names in os.walk(folder):
        subfolders[:] = [name for name in subfolders if recursive and not name.startswith(".")]
        found += [Path(root, n) for n in names if not n.startswith(".") and is_media_path(n)]
    return sorted(found)
