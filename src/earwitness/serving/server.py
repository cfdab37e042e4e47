"""The application on a port: uvicorn, with a deadline for the head of every request."""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_BYTES = 16 << 10  # of request line and headers
GRACE_SECONDS = 30  # for requests in progress when the server is asked to stop


class HeadDeadline(H11Protocol):
    """A connection that is closed unless the whole head of a request arrives in time.

    Heads sent drop by drop would otherwise hold connections for ever.
    """

    seconds: float
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._clear_deadline()

    def send_400_response(self, msg: str) -> None:
        """What h11 cannot read: 400, or 431 where the head is too large."""
        self._refuse(getattr(sys.exception(), "error_status_hint", 400))

    def _set_deadline(self) -> None:
        """It runs while no request is being answered, from when the last one was."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.seconds, self._refuse, 408)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or not self.cycle.response_started or self.cycle.response_complete:
            phrase = HTTPStatus(status).phrase
            head = f"HTTP/1.1 {status} {phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode("ascii"))
        self.transport.close()


def server(app: FastAPI, head_seconds: float, **options: Any) -> uvicorn.Server:
    """options: host, port, ... of uvicorn.Config."""
    protocol = type("Protocol", (HeadDeadline,), {"seconds": head_seconds})
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            h11_max_incomplete_event_size=HEAD_BYTES,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            **options,
        )
    )
