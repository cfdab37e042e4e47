"""Recordings that clients name instead of sending them: fetched from the public internet, and nowhere else.

A host is looked up once, and what it is connected to is the address that was checked: a name that leads
elsewhere the next time (DNS rebinding) gains nothing. Redirects begin anew, with all checks.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Any, BinaryIO
from urllib.parse import urljoin

import h11
from pydantic import HttpUrl, ValidationError

from earwitness.serving.limits import MEGABYTE, Limits, Refused
from earwitness.version import __version__

REDIRECTS = 5
REDIRECTED = (301, 302, 303, 307, 308)
HEAD_BYTES = 16 << 10  # of status line and headers
READ_BYTES = 64 << 10
PORTS = {"http": 80, "https": 443}
HEADERS = [
    ("accept", "*/*"),
    ("accept-encoding", "identity"),
    ("connection", "close"),
    ("user-agent", f"earwitness/{__version__}"),
]
GLOBAL_UNICAST = ip_network("2000::/3")  # all that IANA has given out of IPv6 for the public

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, the one to try first at the front. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


async def connect(address: str, port: int, secure_host: str | None) -> Streams:
    """secure_host: whose certificate is wanted; None: no TLS. Raises OSError."""
    secure = None if secure_host is None else ssl.create_default_context()
    return await asyncio.open_connection(address, port, ssl=secure, server_hostname=secure_host)


def is_public(address: str) -> bool:
    """Whether it is neither this machine's, nor a private network's, nor reserved, nor wraps one that is."""
    ip = ip_address(address)
    if ip.version == 6 and (ip not in GLOBAL_UNICAST or ip.sixtofour):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


class Fetcher:
    """async with Fetcher(limits).fetched(url) as file: ...; no proxy is used and no cookie kept."""

    def __init__(
        self,
        limits: Limits,
        look_up: Callable[[str, int], Awaitable[list[str]]] = look_up,
        connect: Callable[[str, int, str | None], Awaitable[Streams]] = connect,
    ) -> None:
        self.limits, self.look_up, self.connect = limits, look_up, connect

    @asynccontextmanager
    async def fetched(self, url: HttpUrl) -> AsyncIterator[BinaryIO]:
        """What lies there, in a file without a name that is gone afterwards. Raises Refused."""
        with tempfile.TemporaryFile() as file:
            try:
                async with asyncio.timeout(self.limits.fetch_seconds):
                    await self._fetch(url, file)
            except TimeoutError:
                raise Refused(422, f"url: takes longer than {self.limits.fetch_seconds:g} s") from None
            except (OSError, h11.ProtocolError) as error:
                raise Refused(422, f"url: cannot be fetched: {error}") from None
            file.seek(0)
            yield file

    async def _fetch(self, url: HttpUrl, file: BinaryIO) -> None:
        for _ in range(1 + REDIRECTS):
            target = await self._ask(url, file)
            if target is None:
                return
            try:
                url = HttpUrl(urljoin(str(url), target))
            except ValidationError as error:
                raise Refused(
                    422, f"url: redirects to what is no address: {error.errors()[0]['msg']}"
                ) from None
        raise Refused(422, f"url: redirects more than {REDIRECTS} times")

    async def _ask(self, url: HttpUrl, file: BinaryIO) -> str | None:
        """Writes the answer to the file; returns where it redirects to instead, if it does."""
        reader, writer = await self._connection(url)
        http = h11.Connection(h11.CLIENT, HEAD_BYTES)
        try:
            writer.write(_request(http, url))
            async for event in _events(http, reader):
                if isinstance(event, h11.Response):
                    target = dict(event.headers).get(b"location")
                    if event.status_code in REDIRECTED and target is not None:
                        return target.decode("latin-1")
                    if event.status_code != 200:
                        raise Refused(422, f"url: its host answers with status {event.status_code}")
                elif isinstance(event, h11.Data):
                    self._write(event.data, file)
        finally:
            writer.transport.abort()
        return None

    async def _connection(self, url: HttpUrl) -> Streams:
        assert url.host and url.port is not None
        host = url.host.strip("[]")
        addresses = await self.look_up(host, url.port)
        if not all(map(is_public, addresses)):
            raise Refused(422, "url: its host is not on the public internet")
        for i, address in enumerate(addresses, 1):
            try:
                return await self.connect(address, url.port, host if url.scheme == "https" else None)
            except OSError:
                if i == len(addresses):
                    raise
        raise OSError("its host has no address")

    def _write(self, content: bytes, file: BinaryIO) -> None:
        if file.tell() + len(content) > self.limits.upload_bytes:
            raise Refused(413, f"url: more than {self.limits.upload_bytes / MEGABYTE:g} MB lie there")
        file.write(content)


def _request(http: h11.Connection, url: HttpUrl) -> bytes:
    assert url.host
    host = url.host if url.port == PORTS[url.scheme] else f"{url.host}:{url.port}"
    target = (url.path or "/") + ("" if url.query is None else f"?{url.query}")
    request = h11.Request(method="GET", target=target, headers=[("host", host), *HEADERS])
    return (http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b"")


async def _events(http: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[Any]:
    """Of the answer, up to its end. Raises h11.RemoteProtocolError, also where it breaks off."""
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(READ_BYTES))
        else:
            yield event
