"""Sound out of media files: decode, mix the channels, resample, cut windows.

    audio = load_audio("dog.mp3")                      # float32 [S] at 16 kHz, however damaged the file
    for clip in windows("match.mp4", window=10.0):     # constant memory, any length
        clip.waveform, clip.start, clip.end

Channels are averaged here: FFmpeg's own mono mix is 3 dB louder for equal channels. Where they cancel each
other in the mean (an inverted channel, a lone channel of many) the loudest one is taken. A damaged or
truncated file gives what decodes and says what is missing. Nothing but the named file is ever opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from earwitness.media.containers import MediaError
from earwitness.media.damage import assess
from earwitness.media.files import MediaInfo, find_media, is_media_path, probe
from earwitness.media.pcm import PcmStream
from earwitness.media.resampling import METHODS, resample, resampled
from earwitness.media.video import sample_frames
from earwitness.sample_rate import SAMPLE_RATE

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

SHORTEST = 0.01  # s: less than one analysis frame
SHORTEST_TAIL = 0.1  # s: a shorter rest joins the window before it
MAX_SECONDS = 4 * 3600.0  # load_audio's default bound: 0.9 GB at 16 kHz
OVERSHOOT = 2.0  # full scale is 1; lossy decoders and resampling exceed it a little, field recorders by far

log = logging.getLogger("earwitness")


@dataclass(frozen=True)
class Audio:
    """Decoded sound."""

    waveform: np.ndarray  # float32 [S], mono, in [-1, 1] but for a little overshoot
    sample_rate: int  # Hz
    duration: float  # s, of `waveform`
    covered: float  # decoded fraction of what the file declares between start and end, 0..1
    has_video: bool
    source: str
    faults: tuple[str, ...] = ()  # of a damaged file: packets that failed, holes, an end before its header's
    lost: float = 0.0  # s that are missing, as far as the file states it
    repaired: tuple[str, ...] = ()  # what was replaced, though nothing is missing

    @property
    def damaged(self) -> bool:
        return bool(self.faults)


@dataclass(frozen=True)
class Window:
    """A stretch of sound; start and end in seconds from the beginning of the file."""

    waveform: np.ndarray  # float32 [S]
    start: float
    end: float


def load_audio(
    source: Any,
    sample_rate: int = SAMPLE_RATE,
    *,
    start: float = 0.0,
    end: float | None = None,
    resampler: str = "soxr",
    max_seconds: float | None = MAX_SECONDS,
    on_chunk: Callable[[np.ndarray], object] | None = None,
) -> Audio:
    """Decode `source` between `start` and `end` seconds to a mono waveform at `sample_rate`.

    `source` is a path, bytes, a binary file object, an (array, rate) pair, or an array or tensor [S] or
    [channels, S] that is taken to be at `sample_rate`; a `Source` names an audio track of one. Whole-number
    samples are scaled by their full range. `resampler` is "soxr" or "sinc" (see earwitness.media.resampling).
    `on_chunk` is called with each stretch of the waveform, float32 [n], as soon as it is decoded, not scaled.

    Channels are averaged; where the mean holds less than a tenth of the loudest channel's energy, that
    channel is taken. Lossy decoders and resampling overshoot 1 a little and are left so; a recording with
    values beyond 2 is divided by its peak. NaN and infinite samples become 0. Holes in the time stamps
    become silence and count as lost. Digital silence is sound.

    Raises MediaError for a source without usable audio (no file, no media, no audio stream, less than 10 ms,
    nothing but NaN) and for more than `max_seconds` of sound (None: no bound), ValueError for arguments.
    """
    if not 0 <= start < float("inf") or (end is not None and not end > start):
        raise ValueError(f"start must be 0 or more seconds and end after it, not {start} to {end}")
    _check_conversion(sample_rate, resampler)
    stream = PcmStream(source, sample_rate)
    chunks, kept = [], 0
    for chunk in resampled(stream, sample_rate, resampler, start, end):
        chunks.append(chunk)
        kept += len(chunk)
        if on_chunk is not None:
            on_chunk(chunk)
        _check_bound(
            stream, kept / sample_rate, max_seconds, "use windows(), start and end, or raise max_seconds"
        )
    seconds = kept / sample_rate
    _check_decoded(stream, seconds, start)
    damage = assess(stream, seconds, start, end)
    waveform = np.concatenate(chunks)
    return Audio(
        waveform=_at_full_scale(waveform, _peak(waveform)),
        sample_rate=sample_rate,
        duration=seconds,
        covered=damage.covered,
        has_video=stream.has_video,
        source=stream.name,
        faults=damage.faults,
        lost=damage.lost,
        repaired=damage.repaired,
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

    Memory does not grow with the length of the file. Together the windows cover every sample: the last one
    is as short as the file leaves it, unless that is under 0.1 s, which joins the window before it. Start
    and end are whole samples, exact to 1 / sample_rate.

    Sources are load_audio's, and pairs (iterator of arrays, rate) of sound that is still arriving. Errors are
    load_audio's; those of the file are raised as windows are drawn, and damage is logged after the last one.
    A recording beyond full scale is divided by its peak so far. `max_seconds`
    bounds the sound decoded (MediaError; None: no bound).
    """
    hop = window if hop is None else hop
    if not SHORTEST_TAIL < window < float("inf"):
        raise ValueError(f"window must be longer than {SHORTEST_TAIL} s, not {window}")
    if not 1 / sample_rate <= hop <= window:
        raise ValueError(f"hop must be at most the window of {window} s, or sound is lost; not {hop}")
    _check_conversion(sample_rate, resampler)
    stream = PcmStream(source, sample_rate)
    return _windows(stream, window, hop, sample_rate, resampler, max_seconds)


def _windows(
    stream: PcmStream, window: float, hop: float, rate: int, method: str, max_seconds: float | None
) -> Iterator[Window]:
    size, tail = round(window * rate), round(SHORTEST_TAIL * rate)
    pieces: list[np.ndarray] = []
    peak = 0.0  # so far
    first = begin = total = index = 0  # window `index` starts at `first`; `pieces` hold begin .. total
    for chunk in resampled(stream, rate, method, 0.0, None):
        pieces.append(chunk)
        total += len(chunk)
        peak = max(peak, _peak(chunk))
        _check_bound(stream, total / rate, max_seconds, "raise max_seconds")
        while total >= first + size + tail:  # `tail` more samples decide whether a rest is a window
            held = np.concatenate(pieces)
            yield Window(_at_full_scale(held[:size].copy(), peak), first / rate, (first + size) / rate)
            index += 1
            begin, first = first, round(index * hop * rate)  # hop <= window: `first` is held already
            pieces, begin = [held[first - begin :].copy()], first
    _check_decoded(stream, total / rate, 0.0)
    held, stop = np.concatenate(pieces), 0
    while stop < total:  # the end is known, and less than `size + tail` away
        stop = first + size if first + size + tail <= total else total
        waveform = held[first - begin : stop - begin].copy()
        yield Window(_at_full_scale(waveform, peak), first / rate, stop / rate)
        index += 1
        first = round(index * hop * rate)
    damage = assess(stream, total / rate)
    log_damage(stream.name, damage.faults, damage.lost, damage.repaired)


def log_damage(name: str, faults: Sequence[str], lost: float, repaired: Sequence[str]) -> None:
    """Warn of what is missing of a recording and of what was replaced in it, if anything."""
    if faults:
        missing = f"; {lost:.2f} s of sound are lost" if lost else ""
        log.warning("%s is damaged: %s%s", name, "; ".join(faults), missing)
    for what in repaired:
        log.warning("%s: %s", name, what)


def _peak(waveform: np.ndarray) -> float:
    return max(float(waveform.max(initial=0.0)), -float(waveform.min(initial=0.0)))


def _at_full_scale(waveform: np.ndarray, peak: float) -> np.ndarray:
    """Divide a waveform by its recording's `peak` where that is far beyond full scale."""
    return waveform / np.float32(peak) if peak > OVERSHOOT else waveform


def _check_decoded(stream: PcmStream, seconds: float, start: float) -> None:
    if stream.samples == 0:
        failed = stream.failed or stream.failed_reads
        reason = "nothing in it decodes as sound" if failed else "holds no samples"
    elif stream.broken == stream.samples:
        reason = "holds nothing but NaN or infinite samples"
    elif seconds == 0 and start > 0:
        reason = f"ends before the start asked for, {start:g} s"
    elif seconds < SHORTEST:
        reason = f"holds only {seconds * 1000:.3g} ms of sound; {SHORTEST * 1000:g} ms are the least"
    else:
        return
    raise MediaError(stream.name, reason)


def _check_bound(stream: PcmStream, seconds: float, most: float | None, remedy: str) -> None:
    if most is not None and seconds > most:
        raise MediaError(stream.name, f"is longer than {most:g} s; {remedy}")


def _check_conversion(sample_rate: int, method: str) -> None:
    if sample_rate != int(sample_rate) or sample_rate <= 0:
        raise ValueError(f"sample_rate must be a positive whole number of Hz, not {sample_rate!r}")
    if method not in METHODS:
        raise ValueError(f"unknown resampler {method!r}: choose one of {', '.join(METHODS)}")
