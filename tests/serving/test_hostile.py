"""Hostile input: the right status for each, nothing on the disk, no memory kept, other clients unharmed."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import socket
import struct
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from .conftest import BOUNDARY, LIMITS, RATE, multipart, noise, resident_memory, serving, wait_until, wav

FORM = f"content-type: multipart/form-data; boundary={BOUNDARY}"
HEAD = f"POST /v1/captions HTTP/1.1\r\nhost: localhost\r\n{FORM}\r\n"
GOOD = wav(noise(1.0))


def zip_bomb() -> bytes:
    """50 MB of nothing in 50 kB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("sound.wav", bytes(50 << 20))
    return file.getvalue()


def claiming(channels: int = 1, rate: int = RATE, size: int = 1 << 30) -> bytes:
    """A WAV header that promises `size` bytes, and half a second of sound."""
    format_ = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate & 0xFFFFFFFF, 2 * channels & 0xFFFF, 16)
    head = b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + format_
    samples = (noise(0.5) * 32767).astype("<i2").tobytes()
    return head + b"data" + struct.pack("<I", size) + samples * channels


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    """(status, all that came until the server closed)"""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += piece
    return int(received.split(b" ", 2)[1]) if received else 0, received


# name -> (content, statuses that are right)
FILES = {
    "zip renamed": (zip_bomb(), 415),
    "text": (b"hello " * 10_000, 415),
    "random bytes": (np.random.default_rng(0).bytes(100_000), 415),
    "playlist": (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", 415),
    "concat script": (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(1000), 415),
    "empty": (b"", 422),
    "header alone": (GOOD[:44], 422),
    "too short": (wav(noise(0.001)), 422),
    "1 GB claimed": (claiming(), 200),  # half a second is there, and is captioned
    "65535 channels claimed": (claiming(channels=65_535)[:10_000], 422),
    "4 GHz claimed": (claiming(rate=4_000_000_000), 415),
    "truncated": (GOOD[: len(GOOD) // 2], 200),
    "too many minutes": (wav(noise(31.0)), 413),
}


@pytest.mark.parametrize("name", FILES)
def test_files(client, name) -> None:
    content, status = FILES[name]
    answer = client.post("/v1/captions", content, "dog.wav", beams=1)
    assert answer.status == status, answer.body
    if status != 200:
        assert answer.json["detail"]


def test_a_truncated_file_is_said_to_be(client) -> None:
    told = client.post("/v1/captions", GOOD[: len(GOOD) // 2], beams=1).json
    assert told["damaged"] and told["faults"] and told["covered"] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("path", ["/v1/captions", "/v1/tags"])
def test_too_many_bytes_are_refused_before_they_are_sent(client, path) -> None:
    with client.connect() as connection:
        head = HEAD.replace("/v1/captions", path)
        connection.sendall(f"{head}content-length: {1 << 40}\r\n\r\n".encode())
        status, received = answer_of(connection)
    assert status == 413 and b"larger than 2 MB" in received


def test_a_head_that_comes_at_once_is_no_larger_than_one_that_comes_in_pieces(client) -> None:
    answer = client.request("GET", "/healthz", headers={"x": "a" * 17_000})
    assert answer.status == 431 and "16 KB" in answer.json["detail"]
    assert client.request("GET", "/healthz", headers={"x": "a" * 15_000}).status == 200


def test_two_lengths_of_a_body_end_the_connection(client) -> None:
    """What a proxy takes for the rest of the body must not be taken for the next request."""
    chunked = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
    head = f"{HEAD}content-length: {len(chunked)}\r\ntransfer-encoding: chunked\r\n\r\n"
    with client.connect() as connection:
        connection.sendall(head.encode() + chunked)
        status, received = answer_of(connection)
    assert status == 400 and received.count(b"HTTP/1.1") == 1


def test_an_endless_stream_is_cut(client) -> None:
    """Chunks without end: the answer comes after 2 MB, and the connection is closed."""
    chunk = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    sent = 0
    with client.connect() as connection:
        connection.sendall(f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode())
        start = multipart(b"")[: -len(BOUNDARY) - 6]
        connection.sendall(b"%x\r\n" % len(start) + start + b"\r\n")
        with contextlib.suppress(ConnectionError):
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += len(chunk)
        status, _ = answer_of(connection)
    assert sent < 100 << 20, "the server reads on and on"
    assert status in (413, 0)  # 0: the answer was lost when the connection was reset under the sender


def test_a_refused_client_that_stops_sending_reads_its_answer(client) -> None:
    answer = client.post("/v1/captions", bytes(3 << 20))
    assert answer.status == 413 and answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * (1 << 20), 431),
        (b"GET /" + b"a" * (1 << 20), 431),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\n" + b"".join(b"x%d: y\r\n" % i for i in range(10_000)), 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", 400),
        (
            b"POST /v1/tags HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: text/json\r\ncontent-length: 2\r\n\r\n{}",
            415,
        ),
        (f"{HEAD}transfer-encoding: chunked\r\n\r\nZZZ\r\n".encode(), 400),
    ],
    ids=[
        "long header",
        "long path",
        "many headers",
        "TLS",
        "negative length",
        "two lengths",
        "json",
        "bad chunk",
    ],
)
def test_heads(client, head, status) -> None:
    with client.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(head)
        if b"text/json" in head:
            connection.shutdown(socket.SHUT_WR)
        assert answer_of(connection)[0] == status


@pytest.mark.parametrize(
    "first",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"],
    ids=["silent", "half a head", "after an answer"],
)
def test_slowloris_in_the_head(client, first) -> None:
    """A head that comes drop by drop does not keep its connection for more than 1.5 s."""
    begin = time.monotonic()
    with client.connect() as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(first)
            while time.monotonic() - begin < 10:
                connection.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - begin < 6
        received = answer_of(connection)[1]
    assert b" 408 " in received or not received  # lost with the connection, if drops were still on their way


def test_slowloris_in_the_body(client) -> None:
    begin, drops = time.monotonic(), iter(multipart(bytes(5000)))
    with client.connect() as connection:
        connection.sendall(f"{HEAD}content-length: 100000\r\n\r\n".encode())
        connection.settimeout(0.1)
        received = b""
        while not received and time.monotonic() - begin < 10:
            connection.sendall(bytes([next(drops)]))
            with contextlib.suppress(TimeoutError):
                received = connection.recv(4096)
        connection.settimeout(5)
        while b"too slow" not in received and (piece := connection.recv(4096)):  # the body may come by itself
            received += piece
    assert b" 408 " in received and b"too slow" in received
    assert time.monotonic() - begin < 6


@pytest.mark.parametrize(
    "name",
    [
        "../../../../etc/passwd",
        "/etc/cron.d/x",
        "..\\..\\x",
        "a\x00b.wav",
        "x" * 3000,
        "\udcff\udcfe.wav",
        "CON",
        "; rm -rf /",
    ],
)
def test_names_of_files_reach_nothing(client, name) -> None:
    answer = client.post("/v1/captions", GOOD, name, beams=1)
    assert answer.status == 200
    assert name.encode("utf-8", "surrogateescape") not in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/../app.py",
        "/..%2fapp.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page/../../app.py",
        "/style.css/",
        "/.",
        "/x\\..\\app.py",
        "/%00",
    ],
)
def test_paths_reach_nothing(client, path) -> None:
    answer = client.get(path)
    assert answer.status == 404
    assert b"root:" not in answer.body and b"import" not in answer.body


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "boundary"),
        (b"no parts at all", 400, ""),
        (multipart(None, beams=1), 422, "has no part named file"),
        (multipart(GOOD)[:-40], 400, "the form is incomplete"),
        (multipart(None, beams=1)[:-4], 400, "the form is incomplete"),
        (
            multipart(GOOD).replace(b'name="file"', b'name="audio"'),
            422,
            "audio: no such field; the fields are file,",
        ),
        (multipart(GOOD[:100]).replace(b'; filename="sound.wav"', b""), 422, "has no part named file"),
        (multipart(GOOD, beams="9" * 5000), 400, "maximum size"),
        (multipart(GOOD, **{f"f{i}": i for i in range(50)}), 400, "Too many fields"),
        (multipart(GOOD)[: -len(BOUNDARY) - 6] + multipart(GOOD), 400, "Too many files"),
    ],
    ids=[
        *("empty", "no parts", "no file", "cut off", "end cut off", "another name", "file as text"),
        *("long field", "many fields", "two files"),
    ],
)
def test_forms(client, body, status, said) -> None:
    head = {"content-type": "multipart/form-data" + (f"; boundary={BOUNDARY}" if body else "")}
    answer = client.request("POST", "/v1/captions", body, head)
    assert answer.status == status and said in answer.json["detail"]


def test_too_many_requests_of_one_client_and_of_all(captioner) -> None:
    limits = replace(LIMITS, concurrency=1, queue=2, per_client=2, pace_seconds=20.0)
    with serving(captioner, limits, decoders=1) as client, contextlib.ExitStack() as held:

        def hold(address: str) -> None:
            connection = held.enter_context(
                socket.create_connection(("127.0.0.1", client.port), 10, (address, 0))
            )
            connection.sendall(f"{HEAD}content-length: 1000\r\n\r\n-".encode())

        hold("127.0.0.1")
        hold("127.0.0.1")
        wait_until(lambda: client.metric("requests_in_progress") == 2)
        answer = client.post("/v1/captions", GOOD)
        assert answer.status == 429 and answer.headers["retry-after"]
        hold("127.0.0.2")
        wait_until(lambda: client.metric("requests_in_progress") == 3)
        with socket.create_connection(("127.0.0.1", client.port), 10, ("127.0.0.3", 0)) as other:
            other.sendall(f"{HEAD}content-length: 1000\r\nconnection: close\r\n\r\n".encode())
            status, received = answer_of(other)
        assert status == 503 and b"retry-after" in received.lower()
        held.close()  # they leave, and there is room again
        wait_until(lambda: client.metric("requests_in_progress") == 0)
        assert client.post("/v1/captions", GOOD, beams=1).status == 200


def test_one_address_holds_so_many_connections_only(captioner) -> None:
    with (
        serving(captioner, replace(LIMITS, connections=3, head_seconds=20.0), decoders=1) as client,
        contextlib.ExitStack() as held,
    ):
        silent = [held.enter_context(client.connect()) for _ in range(3)]
        wait_until(lambda: len(client.app.state.listener.decoders._all) == 1)
        with client.connect() as fourth:
            assert answer_of(fourth) == (0, b"")
        with socket.create_connection(("127.0.0.1", client.port), 10, ("127.0.0.2", 0)) as other:
            other.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            assert answer_of(other)[0] == 200
        silent[0].close()
        time.sleep(0.2)
        assert client.get("/healthz").status == 200


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="this system has no TCP_USER_TIMEOUT")
def test_who_does_not_read_the_answer_is_dropped(captioner) -> None:
    """Answers of some megabytes fill the buffers of both ends; then nothing moves."""
    with (
        serving(captioner, replace(LIMITS, silent_seconds=1.0), decoders=1) as client,
        socket.socket() as deaf,
    ):
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(30)
        deaf.connect(("127.0.0.1", client.port))
        request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n"
        deaf.sendall(request)
        assert deaf.recv(1)  # the server has it
        opened = len(os.listdir("/proc/self/fd"))
        with contextlib.suppress(ConnectionError, TimeoutError):
            deaf.sendall(request * 2000)
        wait_until(lambda: len(os.listdir("/proc/self/fd")) < opened, 30)
        assert client.get("/healthz").status == 200


def test_an_answer_that_takes_too_long(captioner, slow_listening) -> None:
    limits = replace(LIMITS, request_seconds=0.3, sound_factor=0.0)
    with serving(captioner, limits, decoders=1) as client:
        answer = client.post("/v1/captions", wav(noise(29.0)), window=0.5)
        assert answer.status == 503 and "longer than 0.3 s" in answer.json["detail"]
        wait_until(lambda: client.metric("requests_in_progress") == 0)


def test_who_leaves_is_no_longer_worked_for(captioner, slow_listening) -> None:
    with serving(captioner, decoders=1) as client:
        body = multipart(wav(noise(29.0)), window=0.5)
        with client.connect() as connection:
            connection.sendall(f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: client.metric('clips_total{work="listen"}') > 0)
        wait_until(lambda: client.metric("requests_in_progress") == 0, 5)
        assert client.post("/v1/captions", GOOD, beams=1).status == 200
    done = client.app.state.metrics.registry.get_sample_value
    assert sum(done("earwitness_clips_total", {"work": work}) or 0 for work in ("listen", "caption")) < 58


def test_files_are_gone_with_their_request(client, slow_listening, tmp_path, monkeypatch) -> None:
    """Not when garbage is collected some time: also where the client leaves in the middle."""

    def held() -> list[str]:
        names = []
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                names.append(os.readlink(f"/proc/self/fd/{fd}"))
        return [name for name in names if name.startswith(str(tmp_path))]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    sound = wav(noise(29.0))
    gc.disable()
    try:
        for fields in ({"window": 5}, {"window": 5, "format": "ndjson"}, {}):
            path = "/v1/captions" if fields else "/v1/tags"
            assert client.post(path, sound, **fields).status == 200
            wait_until(lambda: not held(), 5)
        assert client.post("/v1/captions", b"-" * 10**6).status == 415
        wait_until(lambda: not held(), 5)
        body = multipart(sound, window=0.5)
        with client.connect() as connection:
            connection.sendall(f"{HEAD}content-length: {len(body)}\r\n\r\n".encode() + body)
            wait_until(lambda: len(held()) > 1)
        wait_until(lambda: not held(), 10)
    finally:
        gc.enable()


def test_a_mix_leaves_nothing_behind_and_harms_nobody(client, tmp_path, monkeypatch) -> None:
    """Good and bad together: every good one is answered, memory and open files end where they began."""

    def hang(_: int) -> int:
        with client.connect() as connection, contextlib.suppress(ConnectionError):
            connection.sendall(HEAD.encode() + b"content-length: 50000\r\n\r\n" + b"-" * 100)
            time.sleep(0.5)
        return 0

    def bad(i: int) -> int:
        return client.post("/v1/captions", list(FILES.values())[i % len(FILES)][0], "../x", beams=1).status

    def good(_: int) -> int:
        return client.post("/v1/captions", GOOD, beams=1).status

    def a_round() -> list[int]:
        with ThreadPoolExecutor(24) as threads:
            asked = [threads.submit(what, i) for i in range(14) for what in (good, bad, hang)]
            return [future.result() for future in asked]

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    a_round()
    gc.collect()
    opened, memory = len(os.listdir("/proc/self/fd")), resident_memory()
    statuses = [status for _ in range(4) for status in a_round()]
    assert statuses[::3] == [200] * len(statuses[::3])
    assert set(statuses[1::3]) == {200, 413, 415, 422}
    gc.collect()
    assert resident_memory() - memory < 30e6
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= opened + 2, 10)
    assert not list(tmp_path.iterdir())
    assert client.metric("requests_in_progress") == 0


def test_a_decoder_killed_in_the_middle_harms_one_request(captioner) -> None:
    with serving(captioner, decoders=1) as client:
        listener = client.app.state.listener
        (victim,) = listener.decoders._all
        os.kill(victim.process.pid, 19)  # SIGSTOP: the next order hangs
        with ThreadPoolExecutor(2) as threads:
            doomed = threads.submit(client.post, "/v1/captions", GOOD)
            wait_until(lambda: client.metric("requests_in_progress") == 1)
            time.sleep(0.3)
            following = threads.submit(client.post, "/v1/captions", GOOD, beams=1)
            os.kill(victim.process.pid, 9)
            assert doomed.result().status == 422
            assert following.result().status == 200
        assert client.metric("decoders_replaced_total") == 1
