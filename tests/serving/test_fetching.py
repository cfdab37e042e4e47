"""Recordings named by an address: the public internet alone, within bytes and time, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import socketserver
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2 as httpx
import pytest
from pydantic import HttpUrl

from earwitness.serving.fetching import Fetcher, is_public, look_up, transport
from earwitness.serving.limits import Limits, Refused

from .conftest import LIMITS, Client, noise, serving, wait_until, wav

GOOD = wav(noise(1.0))
PUBLIC = "93.184.215.14"
NAMES = {
    "sounds.example": [PUBLIC],
    "sounds2.example": [PUBLIC],
    "inside.example": ["10.0.0.7"],
    "both.example": [PUBLIC, "127.0.0.1"],
}
CERTIFICATE = Path(__file__).with_name("sounds.example.pem")


def answered(content: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + content


def redirected(target: str) -> bytes:
    return answered(b"", "302 Found", f"location: {target}")


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(bytes(65536))


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        connection.sendall(b"y")
        time.sleep(0.05)


PAGES: dict[str, bytes | Callable[[socket.socket], None]] = {
    "/dog.wav": answered(GOOD),
    "/dog.wav?size=1&b=%20": answered(b"asked"),
    "/chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "/until-closed": b"HTTP/1.0 200 OK\r\n\r\nabc",
    "/hop": redirected("/deeper/../dog.wav"),
    "/to-loopback": redirected("http://127.0.0.1:8000/healthz"),
    "/to-metadata": redirected("http://169.254.169.254/latest/meta-data/"),
    "/to-inside": redirected("//inside.example/dog.wav"),
    "/to-file": redirected("file:///etc/passwd"),
    "/to-nowhere": redirected("http://a b/"),
    "/round": redirected("/round"),
    "/gone": answered(b"no", "404 Not Found"),
    "/broken-off": answered(GOOD)[:-100],
    "/no-http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "/long-head": b"HTTP/1.1 200 OK\r\nx: " + bytes(b"y" * (1 << 20)),
    "/claims": b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n" + bytes(3 << 20),
    "/endless": endless,
    "/dripping": dripping,
}


@dataclass
class Internet:
    """One server that is reached whatever the address; it notes what was looked up and connected to."""

    port: int
    secure: bool = False  # it speaks TLS
    looked_up: list[str] = field(default_factory=list)
    connected: list[tuple[str, int, str | None]] = field(default_factory=list)  # address, port, name in TLS
    hosts: list[str] = field(default_factory=list)  # headers
    unreachable: set[str] = field(default_factory=set)

    async def look_up(self, host: str, port: int) -> list[str]:
        self.looked_up.append(host)
        return NAMES[host] if host in NAMES else await look_up(host, port)

    def fetcher(self, limits: Limits = LIMITS) -> Fetcher:
        return Fetcher(limits, self.look_up, lambda: Rerouted(self))

    def fetch(self, url: str, limits: Limits = LIMITS) -> bytes:
        async def fetch() -> bytes:
            async with self.fetcher(limits).fetched(HttpUrl(url)) as file:
                with open(f"/dev/fd/{file.fileno()}", "rb") as again:  # as a decoder reads it
                    return again.read()

        return asyncio.run(fetch())


class Rerouted(httpx.AsyncBaseTransport):
    """The server's own transport, but every address is that of the test's server."""

    def __init__(self, internet: Internet) -> None:
        self.internet, self.inner = internet, transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url, internet = request.url, self.internet
        secure = url.scheme == "https"
        port = url.port or (443 if secure else 80)
        internet.connected.append((url.host, port, request.extensions["sni_hostname"] if secure else None))
        internet.hosts.append(request.headers["host"])
        if url.host in internet.unreachable:
            raise httpx.ConnectError("Network is unreachable")
        scheme = "https" if secure and internet.secure else "http"
        request.url = url.copy_with(scheme=scheme, host="127.0.0.1", port=internet.port)
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Host(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        _, path, _ = self.rfile.readline().decode("ascii").split()
        while self.rfile.readline().strip():
            pass
        page = PAGES[path]
        with contextlib.suppress(ConnectionError):
            self.wfile.write(page) if isinstance(page, bytes) else page(self.connection)


class SecureHost(Host):
    def setup(self) -> None:
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        super().setup()


@pytest.fixture
def internet() -> Iterator[Internet]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Host) as host:
        host.daemon_threads, host.block_on_close = True, False
        threading.Thread(target=host.serve_forever, args=(0.02,), daemon=True).start()
        yield Internet(host.server_address[1])
        host.shutdown()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/dog.wav", GOOD),
        ("/dog.wav?size=1&b=%20", b"asked"),
        ("/chunked", b"abcde"),
        ("/until-closed", b"abc"),
        ("/hop", GOOD),
    ],
)
def test_what_lies_there(internet, path, content) -> None:
    assert internet.fetch(f"http://sounds.example{path}") == content
    assert set(internet.connected) == {(PUBLIC, 80, None)} and set(internet.hosts) == {"sounds.example"}


def test_the_address_that_was_checked_is_the_one_connected_to(internet) -> None:
    """The name is looked up once; TLS wants the certificate of the name."""
    internet.fetch("https://sounds.example:8443/dog.wav")
    assert internet.looked_up == ["sounds.example"]
    assert internet.connected == [(PUBLIC, 8443, "sounds.example")]
    assert internet.hosts == ["sounds.example:8443"]


@pytest.fixture
def secure_internet() -> Iterator[Internet]:
    """Its certificate: openssl req -x509 -newkey ec -nodes -days 36500, 2026-11-21."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), SecureHost) as host:
        host.context, host.daemon_threads, host.block_on_close = context, True, False
        threading.Thread(target=host.serve_forever, args=(0.02,), daemon=True).start()
        yield Internet(host.server_address[1], secure=True)
        host.shutdown()


def test_a_host_shows_a_certificate_of_its_own_from_who_is_trusted(secure_internet, monkeypatch) -> None:
    with pytest.raises(Refused, match="certificate verify failed"):
        secure_internet.fetch("https://sounds.example/dog.wav")
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))  # now it is trusted
    assert secure_internet.fetch("https://sounds.example/dog.wav") == GOOD
    with pytest.raises(Refused, match="not valid for 'sounds2.example'"):
        secure_internet.fetch("https://sounds2.example/dog.wav")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0177.0.0.1",
            "0.0.0.0",
            "①②⑦.⓪.⓪.①",
            "localhost",
        ),
        *(
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
        ),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *(
            "[fe80::1]",
            "[fc00::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[2001:db8::1]",
            "inside.example",
            "both.example",
        ),
    ],
)
def test_other_networks_are_never_connected_to(internet, host) -> None:
    with pytest.raises(Refused, match="not on the public internet") as refused:
        internet.fetch(f"http://{host}/dog.wav")
    assert refused.value.status == 422 and internet.connected == []


def test_public_addresses_are_public() -> None:
    assert all(map(is_public, ["8.8.8.8", PUBLIC, "2606:4700:4700::1111", "2a00:1450:4001::1"]))


@pytest.mark.parametrize("path", ["/to-loopback", "/to-metadata", "/to-inside"])
def test_redirects_are_checked_as_the_first_address_was(internet, path) -> None:
    with pytest.raises(Refused, match="not on the public internet"):
        internet.fetch(f"http://sounds.example{path}")
    assert internet.connected == [(PUBLIC, 80, None)]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/to-file", 422, "URL scheme should be 'http' or 'https'"),
        ("/to-nowhere", 422, "redirects to what is no address"),
        ("/round", 422, "redirects more than 5 times"),
        ("/gone", 422, "answers with status 404"),
        ("/broken-off", 422, "cannot be fetched: peer closed connection"),
        ("/no-http", 422, "cannot be fetched"),
        ("/long-head", 422, "cannot be fetched"),
        ("/claims", 413, "more than 2 MB"),
        ("/endless", 413, "more than 2 MB"),
        ("/dripping", 422, "takes longer than 0.5 s"),
    ],
)
def test_hosts_that_misbehave(internet, path, status, said) -> None:
    with pytest.raises(Refused, match=said) as refused:
        internet.fetch(f"http://sounds.example{path}", replace(LIMITS, fetch_seconds=0.5))
    assert refused.value.status == status


def test_tls_is_required_where_it_was_asked_for(internet) -> None:
    """A host that speaks none is an error; without TLS the same host answers."""
    internet.secure = True
    assert internet.fetch("http://sounds.example/dog.wav") == GOOD
    with pytest.raises(Refused, match="cannot be fetched"):
        internet.fetch("https://sounds.example/dog.wav")


def test_a_host_that_is_not_there(internet) -> None:
    internet.unreachable = {"8.8.8.8"}
    with pytest.raises(Refused, match="cannot be fetched: Network is unreachable"):
        internet.fetch("http://8.8.8.8/")


def test_the_next_address_is_tried_where_the_first_is_not_reached(internet, monkeypatch) -> None:
    monkeypatch.setitem(NAMES, "two.example", ["2606:4700::1", PUBLIC])
    internet.unreachable = {"2606:4700::1"}
    assert internet.fetch("http://two.example/dog.wav") == GOOD
    assert [address for address, *_ in internet.connected] == ["2606:4700::1", PUBLIC]


def test_a_connection_is_used_for_one_host_alone(secure_internet, monkeypatch) -> None:
    """Two names at one address: the second has to show its own certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    monkeypatch.setitem(PAGES, "/over", redirected("https://sounds2.example/dog.wav"))
    with pytest.raises(Refused, match="not valid for 'sounds2.example'"):
        secure_internet.fetch("https://sounds.example/over")


@pytest.fixture
def client(captioner, internet) -> Iterator[Client]:
    """Of a server that fetches."""
    with serving(
        captioner, decoders=1, fetcher=internet.fetcher(replace(LIMITS, fetch_seconds=5.0))
    ) as found:
        yield found


def test_over_http_a_url_is_as_good_as_a_file(client) -> None:
    sent = client.post("/v1/captions", GOOD, beams=1)
    named = client.post("/v1/captions", None, beams=1, url="http://sounds.example/hop")
    assert named.status == 200 and named.body == sent.body
    assert client.post("/v1/tags", None, url="http://sounds.example/dog.wav").json["windows"] == [[0.0, 1.0]]
    assert client.get("/healthz").json["takes_urls"]


@pytest.mark.parametrize(
    ("url", "status", "said"),
    [
        ("file:///etc/passwd", 422, "url: URL scheme should be 'http' or 'https'"),
        ("gopher://sounds.example/", 422, "url: URL scheme should be"),
        ("/etc/passwd", 422, "url: Input should be a valid URL"),
        ("http://127.0.0.1/", 422, "not on the public internet"),
        ("http://sounds.example/gone", 422, "status 404"),
        ("http://sounds.example/chunked", 415, "not a media file"),
        ("http://sounds.example/endless", 413, "more than 2 MB"),
    ],
)
def test_over_http_refusals_name_the_fault(client, url, status, said) -> None:
    answer = client.post("/v1/captions", None, url=url)
    assert answer.status == status and said in answer.json["detail"]


def test_over_http_a_file_and_a_url_are_one_too_many(client) -> None:
    answer = client.post("/v1/captions", GOOD, url="http://sounds.example/dog.wav")
    assert answer.status == 422 and "not both" in answer.json["detail"]


def test_nothing_is_left_where_the_client_leaves_or_the_host_hangs(client, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def opened() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = opened()
    hasty = replace(client, timeout=0.5)
    with pytest.raises(TimeoutError):
        hasty.post("/v1/captions", None, url="http://sounds.example/dripping")
    wait_until(lambda: client.metric("requests_in_progress") == 0, 3)  # and not after 5 s
    assert client.post("/v1/captions", None, url="http://sounds.example/broken-off").status == 422
    wait_until(lambda: opened() <= before, 3)
    assert not list(tmp_path.iterdir())


def test_it_is_off_unless_asked_for(captioner, internet) -> None:
    with serving(captioner, decoders=1) as client:
        for file in (None, GOOD):
            answer = client.post("/v1/captions", file, url="http://sounds.example/dog.wav")
            assert answer.status == 403 and "--allow-urls" in answer.json["detail"]
        assert not client.get("/healthz").json["takes_urls"]
    assert internet.looked_up == []


def test_an_address_is_no_more_than_4096_bytes(client) -> None:
    answer = client.post("/v1/captions", None, url="http://sounds.example/" + "a" * 5000)
    assert answer.status == 400
