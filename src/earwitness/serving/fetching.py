"""Download of recordings from URLs that clients send, from the public internet alone.

A host is looked up once, and the checked address is the one connected to, so that DNS rebinding has no
effect. Every redirect is checked like the first URL.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import BinaryIO

import httpx2 as httpx
from pydantic import HttpUrl, ValidationError

import earwitness
from earwitness.serving.limits import MEGABYTE, Limits, Refused

REDIRECTS = 5
HEADERS = {
    "accept": "*/*",
    "accept-encoding": "identity",
    "user-agent": f"earwitness/{earwitness.__version__}",
}
GLOBAL_UNICAST = ip_network("2000::/3")  # all IPv6 space that IANA has assigned to the public


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of a host in order of preference. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


def is_public(address: str) -> bool:
    """Whether an address is neither local, private nor reserved, nor wraps one that is."""
    ip = ip_address(address)
    if ip.version == 6 and (ip not in GLOBAL_UNICAST or ip.sixtofour):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def transport() -> httpx.AsyncBaseTransport:
    """Return a transport without proxy that verifies certificates by the system's trust store.

    Connections are not reused: another host may have the same address.
    """
    secure, limits = ssl.create_default_context(), httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=secure, trust_env=False, limits=limits)


class Fetcher:
    """async with Fetcher(limits).fetched(url) as file: ...; no proxy is used and no cookie kept."""

    def __init__(
        self,
        limits: Limits,
        look_up: Callable[[str, int], Awaitable[list[str]]] = look_up,
        transport: Callable[[], httpx.AsyncBaseTransport] = transport,
    ) -> None:
        self.limits, self.look_up, self.transport = limits, look_up, transport

    @asynccontextmanager
    async def fetched(self, url: HttpUrl) -> AsyncIterator[BinaryIO]:
        """Download a recording into an anonymous temporary file. Raises Refused."""
        with tempfile.TemporaryFile() as file:
            try:
                async with self.transport() as connections, asyncio.timeout(self.limits.fetch_seconds):
                    await self._fetch(url, file, connections)
            except TimeoutError:
                raise Refused(422, f"url: takes longer than {self.limits.fetch_seconds:g} s") from None
            except (OSError, httpx.HTTPError) as error:
                raise Refused(422, f"url: cannot be fetched: {error}") from None
            file.seek(0)
            yield file

    async def _fetch(self, url: HttpUrl, file: BinaryIO, connections: httpx.AsyncBaseTransport) -> None:
        for _ in range(1 + REDIRECTS):
            response = await self._response(url, connections)
            try:
                if response.has_redirect_location:
                    url = _joined(url, response.headers["location"])
                    continue
                if response.status_code != 200:
                    raise Refused(422, f"url: its host answers with status {response.status_code}")
                async for piece in response.aiter_raw():
                    self._write(piece, file)
                return
            finally:
                await response.aclose()
        raise Refused(422, f"url: redirects more than {REDIRECTS} times")

    async def _response(self, url: HttpUrl, connections: httpx.AsyncBaseTransport) -> httpx.Response:
        """Send the request to the host's first reachable address, under the host's name."""
        assert url.host and url.port is not None
        target = httpx.URL(str(url))
        addresses = await self.look_up(url.host.strip("[]"), url.port)
        if not all(map(is_public, addresses)):
            raise Refused(422, "url: its host is not on the public internet")
        failure: Exception = OSError("its host has no address")
        for address in addresses:
            request = httpx.Request(
                "GET",
                target.copy_with(host=address),
                headers={"host": target.netloc.decode("ascii"), **HEADERS},
                extensions={"sni_hostname": target.host},  # whose certificate is required
            )
            try:
                return await connections.handle_async_request(request)
            except httpx.ConnectError as error:
                failure = error
        raise failure

    def _write(self, content: bytes, file: BinaryIO) -> None:
        if file.tell() + len(content) > self.limits.upload_bytes:
            raise Refused(413, f"url: the file has more than {self.limits.upload_bytes / MEGABYTE:g} MB")
        file.write(content)


def _joined(url: HttpUrl, location: str) -> HttpUrl:
    try:
        return HttpUrl(str(httpx.URL(str(url)).join(location)))
    except (ValidationError, httpx.InvalidURL) as error:
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise Refused(422, f"url: redirects to what is no address: {said}") from None
