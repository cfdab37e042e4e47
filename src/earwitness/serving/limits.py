"""Limits for one client and for all clients together."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

MEGABYTE = 1 << 20


class Refused(Exception):
    """A refused request: HTTP status and reason."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Limits:
    """Limits, each with the status of a request that exceeds it; other requests are not affected."""

    upload_bytes: int = 128 * MEGABYTE  # 413; 60 minutes of 16-bit WAV at 16 kHz are 110 MB
    minutes: float = 60.0  # of sound in one recording: 413
    concurrency: int = 64  # recordings decoded and captioned at once; more of them wait
    queue: int = 192  # recordings that wait or are being uploaded: 503
    per_client: int = 128  # of both, by one address: 429
    connections: int = 512  # open ones of one address, with or without a request: closed
    silent_seconds: float = 60.0  # that a client may leave what it is sent unread: closed
    head_bytes: int = 16 << 10  # of a request's line and headers: 431
    head_seconds: float = 10.0  # until a request's head is there: 408
    pace_seconds: float = 10.0  # a body slower than `pace` is accepted for so long: 408
    pace: int = 8192  # bytes a second
    fetch_seconds: float = 120.0  # until what a client named by its address is there: 422
    request_seconds: float = 600.0  # from a request's head to the end of its answer, ...
    sound_factor: float = 1.0  # ... and so many more for each second of sound: 503
    decoder_seconds: float = 120.0  # of processor time, and twice that by the clock, a recording: 422
    decoder_bytes: int = 512 * MEGABYTE  # of memory beside the sound itself: 422
    jobs: int = 256  # kept at once, finished or not: 503
    job_seconds: float = 3600.0  # that the result of a job is kept

    @property
    def admitted(self) -> int:
        return self.concurrency + self.queue


class Timed(Protocol):
    @property
    def duration(self) -> float:
        """Seconds of sound so far."""


class Deadline:
    """The deadline of a request, which moves with the duration of its recording."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.begin = limits, time.monotonic()
        self.recording: Timed | None = None

    @property
    def allowed(self) -> float:
        """Seconds from the request's head."""
        sound = 0.0 if self.recording is None else self.recording.duration
        return self.limits.request_seconds + self.limits.sound_factor * sound

    @property
    def left(self) -> float:
        return self.begin + self.allowed - time.monotonic()
