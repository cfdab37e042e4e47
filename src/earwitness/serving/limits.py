"""What one client, and all of them together, may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1 << 20


class Refused(Exception):
    """A request that is not granted: `status` of HTTP, and why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Limits:
    """Beyond any of these a request is refused with a status of its own, and the others go on."""

    upload_bytes: int = 100 * MEGABYTE  # 413
    minutes: float = 60.0  # of sound in one recording: 413
    concurrency: int = 64  # recordings worked on at once; more of them wait
    queue: int = 192  # recordings that wait or are being uploaded: 503
    per_client: int = 128  # of both, by one address: 429
    connections: int = 512  # open ones of one address, with or without a request: closed
    silent_seconds: float = 60.0  # that a client may leave what it is sent unread: closed
    head_seconds: float = 10.0  # until a request's head is there: 408
    pace_seconds: float = 10.0  # a body slower than `pace` is borne for so long: 408
    pace: int = 8192  # bytes a second
    fetch_seconds: float = 120.0  # until what a client named by its address is there: 422
    request_seconds: float = 600.0  # from a request's head to the end of its answer: 503
    decoder_seconds: float = 120.0  # of processor time, and twice that by the clock, a recording: 422
    decoder_bytes: int = 512 * MEGABYTE  # of memory beside the sound itself: 422

    @property
    def admitted(self) -> int:
        return self.concurrency + self.queue
