"""What hostile clients do to the server, and which answers are right. 0: the connection was closed."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import time
import zipfile
from collections.abc import Callable
from http.client import HTTPConnection
from typing import NamedTuple

import numpy as np

BOUNDARY = "gap-between-parts"
FORM = f"content-type: multipart/form-data; boundary={BOUNDARY}"
HEAD = f"POST /v1/captions HTTP/1.1\r\nhost: localhost\r\n{FORM}\r\n"
MEGABYTE = 1 << 20
GIGABYTE = 1 << 30
PATIENCE = 60.0  # s until an attack gives up by itself; a server that lets it is too patient


class Attack(NamedTuple):
    """launch(port) -> status."""

    launch: Callable[[int], int]
    right: set[int]


def form() -> dict[str, str]:
    return {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def posted(file: bytes, name: str = "sound.wav") -> bytes:
    """The body of a form with one file."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return head.encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()


def uploading(file: bytes, name: str = "sound.wav") -> Callable[[int], int]:
    return lambda port: _asked(port, "POST", "/v1/captions", posted(file, name))


def getting(path: str) -> Callable[[int], int]:
    return lambda port: _asked(port, "GET", path, None)


def sending(head: bytes, piece: bytes = b"", most: int = 0, pause: float = 0.0) -> Callable[[int], int]:
    """The head, then the piece again and again, until there is an answer or `most` bytes were sent."""

    def launch(port: int) -> int:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            end, sent = time.monotonic() + PATIENCE, 0
            with contextlib.suppress(ConnectionError):
                connection.sendall(head)
                while sent < most and time.monotonic() < end:
                    connection.sendall(piece)
                    sent += len(piece)
                    time.sleep(pause)
            if sent >= most > 0 or time.monotonic() >= end:
                return -1  # it took everything
            return _status(connection)

    return launch


def leaving(body: bytes) -> Callable[[int], int]:
    """Asks for much work, and leaves."""

    def launch(port: int) -> int:
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
            connection.sendall(f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.5)
        return 0

    return launch


def _asked(port: int, method: str, path: str, body: bytes | None) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    with contextlib.closing(connection):
        with contextlib.suppress(ConnectionError):  # refused before all was sent; the answer is there
            connection.request(method, path, body, form())
        response = connection.getresponse()
        response.read()
        return response.status


def _status(connection: socket.socket) -> int:
    received = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n" not in received and (piece := connection.recv(4096)):
            received += piece
    return int(received.split(b" ", 2)[1]) if received else 0


def _wav(seconds: float, declared: int | None = None, rate: int = 16_000) -> bytes:
    """Noise, in a header that may claim another size or rate."""
    samples = np.random.default_rng(0).normal(0, 3000, round(16_000 * seconds)).astype("<i2").tobytes()
    size = len(samples) if declared is None else declared
    shape = struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate & 0xFFFFFFFF, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", size + 36)
        + b"WAVEfmt "
        + shape
        + b"data"
        + struct.pack("<I", size)
        + samples
    )


def _zip_bomb(size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("sound.wav", bytes(size))
    return file.getvalue()


SOUND = _wav(10)
CHUNK = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
ATTACKS = {
    "oversized, declared": Attack(sending(f"{HEAD}content-length: {1 << 40}\r\n\r\n".encode()), {413}),
    "oversized": Attack(uploading(bytes(21 * MEGABYTE)), {413}),
    "endless stream": Attack(  # the answer may be lost under what is still being sent
        sending(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode(), CHUNK, GIGABYTE), {413, 400, 0}
    ),
    "truncated": Attack(uploading(SOUND[: len(SOUND) // 2]), {200}),
    "header alone": Attack(uploading(SOUND[:44]), {422}),
    "zip bomb renamed": Attack(uploading(_zip_bomb(500 * MEGABYTE)), {415}),
    "random bytes": Attack(uploading(np.random.default_rng(0).bytes(MEGABYTE)), {415}),
    "playlist": Attack(uploading(b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "x.m3u8"), {415}),
    "4 GB claimed": Attack(uploading(_wav(1, declared=0xFFFFFF00)), {200}),
    "4 GHz claimed": Attack(uploading(_wav(1, rate=4_000_000_000)), {415}),
    "1 GB header": Attack(
        sending(b"GET / HTTP/1.1\r\nhost: localhost\r\nx: ", b"a" * 65536, GIGABYTE), {431, 0}
    ),
    "1 GB of a part's header": Attack(
        sending(
            f"{HEAD}transfer-encoding: chunked\r\n\r\n{len(BOUNDARY) + 4:x}\r\n--{BOUNDARY}\r\n\r\n".encode(),
            CHUNK.replace(b"\0", b"a"),
            GIGABYTE,
        ),
        {400, 0},
    ),
    "slow head": Attack(sending(b"GET / HTTP/1.1\r\n", b"x", 1000, 0.5), {408, 0}),
    "slow body": Attack(
        sending(f"{HEAD}content-length: 100000\r\n\r\n--".encode(), b"x", 1000, 0.5), {408, 400, 0}
    ),
    "path in the address": Attack(getting("/..%2f..%2f..%2fetc/passwd"), {404}),
    "path in the name": Attack(uploading(SOUND, "../../../etc/cron.d/x"), {200}),
    "TLS": Attack(sending(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n"), {400}),
    "leaves": Attack(leaving(posted(_wav(500))), {0}),
}
