"""uvicorn with limits on connections before a request is complete."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from earwitness.serving.limits import Limits

GRACE_SECONDS = 30  # for requests in progress when the server stops


class Guarded(H11Protocol):
    """A connection that is closed unless a request's head arrives in time and the answer is read.

    Slow heads and unread answers would otherwise hold connections for ever. The number of connections per
    address is limited.
    """

    limits: Limits
    addresses: Counter[str]
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self.addresses[self._address] += 1
        if self.addresses[self._address] > self.limits.connections:
            return transport.abort()
        self._set_deadline()
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux ends what is not taken, even as it is being closed
            peer = transport.get_extra_info("socket")
            unread = round(1000 * self.limits.silent_seconds)
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, unread)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._set_deadline()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._clear_deadline()
        self.addresses[self._address] -= 1
        if not self.addresses[self._address]:
            del self.addresses[self._address]

    def send_400_response(self, msg: str) -> None:
        """Answer requests that h11 cannot parse: 400, or 431 for a head that is too large."""
        self._refuse(getattr(sys.exception(), "error_status_hint", 400))

    def _set_deadline(self) -> None:
        """Set the deadline, which runs while no request is being answered."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._clear_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.limits.head_seconds, self._refuse, 408)

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


def server(app: FastAPI, limits: Limits, **options: Any) -> uvicorn.Server:
    """Create the server. options: host, port, ... of uvicorn.Config."""
    protocol = type("Protocol", (Guarded,), {"limits": limits, "addresses": Counter()})
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            h11_max_incomplete_event_size=limits.head_bytes,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            **options,
        )
    )
