"""Pictures out of videos, at a steady rate: what the frame encoders see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from earwitness.media.containers import DECODE_ERRORS, MediaError, open_container, pictures
from earwitness.media.source import name_of

MAX_FAILED_PACKETS = 500  # in a row: 20 s of video


def sample_frames(
    source: Any,
    fps: float = 2.0,
    start: float = 0.0,
    end: float | None = None,
    size: int | None = 224,
    *,
    max_frames: int = 2_000,
) -> tuple[np.ndarray, np.ndarray]:
    """RGB pictures shown at start, start + 1/fps, ... before `end` (s).

    Returns (uint8 [N, H, W, 3], their times in seconds, float64 [N]). The picture shown at a time is the
    last one that began by then. With `size` the shorter side is scaled to it (bicubic) and the centre
    square cut out: [N, size, size, 3]; None keeps the pictures as they are. Pictures of phones held upright
    come upright.

    Raises MediaError for a source without moving pictures or with more than `max_frames` to give,
    ValueError for arguments.
    """
    if not fps > 0:
        raise ValueError(f"fps must be positive, not {fps}")
    if not 0 <= start < float("inf") or (end is not None and not end > start):
        raise ValueError(f"start must be 0 or more seconds and end after it, not {start} to {end}")
    if size is not None and size < 1:
        raise ValueError(f"size must be a positive number of pixels, not {size}")
    name = name_of(source)
    with open_container(source) as container:
        streams = pictures(container)
        if not streams:
            raise MediaError(name, "has no video")
        if streams[0].codec_context is None:
            raise MediaError(name, "its pictures are in a codec that cannot be decoded here")
        frames: list[np.ndarray] = []
        for picture in _sampled(_shown(container, streams[0], start), fps, start, end):
            if len(frames) == max_frames:
                raise MediaError(
                    name, f"gives more than {max_frames} pictures; raise max_frames or lower fps"
                )
            frames.append(frames[-1] if picture is None else _render(picture, size, name))
            if frames[-1].shape != frames[0].shape:
                raise MediaError(name, "its pictures change their size on the way; pass a size")
    if not frames:
        raise MediaError(name, f"no picture decodes from {start:g} s on")
    return np.stack(frames), start + np.arange(len(frames)) / fps


def _sampled(
    shown: Iterator[tuple[Any, float]], fps: float, start: float, end: float | None
) -> Iterator[Any]:
    """Yield the frame at every sampling time; None means "unchanged"."""
    count, current = 0, None
    for following, until in shown:  # `current` is shown until `until`, the first from the very beginning
        picture = following if current is None else current
        while (time := start + count / fps) < until - 1e-6:
            if end is not None and time >= end - 1e-6:
                return
            yield picture
            picture, count = None, count + 1
        current = following


def _shown(container: Any, stream: Any, start: float) -> Iterator[tuple[Any, float]]:
    """(picture, s at which it appears) of each picture that decodes; at last (None, the end)."""
    stream.thread_type = "AUTO"
    tick, zero = float(stream.time_base), (container.start_time or 0) / av.time_base
    step = 1 / float(stream.average_rate) if stream.average_rate else 0.04
    if start > 0:
        with contextlib.suppress(av.FFmpegError):  # what cannot seek is decoded from its beginning
            container.seek(round((start + zero) * av.time_base), backward=True, any_frame=False)
    at = None
    for frame in _frames(container, stream):
        if frame.pts is not None:
            at = frame.pts * tick - zero
        else:
            at = start if at is None else at + step
        yield frame, at
    if at is not None:
        yield None, at + step


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    failures, packets = 0, container.demux(stream)
    while failures <= MAX_FAILED_PACKETS:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except DECODE_ERRORS:
            failures, packets = failures + 1, container.demux(stream)
            continue
        try:
            frames = packet.decode()
        except DECODE_ERRORS:
            failures += 1
            continue
        if frames:
            failures = 0
        yield from frames


def _render(picture: Any, size: int | None, name: str) -> np.ndarray:
    """A decoded picture -> uint8 [H, W, 3], upright."""
    width, height = picture.width, picture.height
    if size is not None:
        scale = size / min(width, height)
        width, height = max(size, round(width * scale)), max(size, round(height * scale))
    try:
        pixels = picture.reformat(width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
    except DECODE_ERRORS as error:
        raise MediaError(name, f"its pictures cannot be shown ({error})") from error
    if size is not None:
        top, left = (height - size) // 2, (width - size) // 2
        pixels = pixels[top : top + size, left : left + size]
    quarter_turns = (
        round(getattr(picture, "rotation", 0) / 90) % 4
    )  # phones store upright pictures lying down
    return np.ascontiguousarray(np.rot90(pixels, quarter_turns))
