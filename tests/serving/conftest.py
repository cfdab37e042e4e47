"""Servers on ports of their own, run by threads, and clients that send exactly what a test needs."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from earwitness.captioner import Captioner
from earwitness.runtime import TorchModel
from earwitness.serving.app import create_app
from earwitness.serving.limits import Limits
from earwitness.serving.server import server

RATE = 16_000
BOUNDARY = "gap-between-parts"
# Small, so that a test reaches them; the pace is what a test may wait for.
LIMITS = Limits(upload_bytes=2 << 20, minutes=0.5, head_seconds=1.5, pace_seconds=1.5, request_seconds=30.0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Of one server. Its sockets give up after `timeout` seconds: a server that hangs fails the test."""

    port: int
    app: Any
    timeout: float = 30.0

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), self.timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def post(self, path: str, file: bytes | None, name: str = "sound.wav", **fields: Any) -> Answer:
        head = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.request("POST", path, multipart(file, name, **fields), head)

    def metric(self, name: str) -> float:
        """The value of a line of /metrics, 0 where there is none yet."""
        lines = dict(line.rsplit(" ", 1) for line in self.get("/metrics").body.decode().splitlines())
        return float(lines.get(f"earwitness_{name}", 0))


def multipart(file: bytes | None, name: str = "sound.wav", **fields: Any) -> bytes:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts.append(head.encode("utf-8", "surrogateescape") + file + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(captioner: Captioner, limits: Limits = LIMITS, **options: Any) -> Iterator[Client]:
    app = create_app(captioner, limits, **options)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        running = server(app, limits, log_level="critical")
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            wait_until(lambda: running.started or not thread.is_alive())
            assert running.started
            yield Client(listening.getsockname()[1], app)
        finally:
            running.should_exit = True
            thread.join(60)
    assert not thread.is_alive(), "the server does not stop"


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def resident_memory() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    beat = 1 + np.sin(2 * np.pi * (0.7 + seed) * np.arange(round(seconds * RATE)) / RATE)
    return (0.1 * beat * rng.normal(size=len(beat))).astype(np.float32)


def heard(waveform: np.ndarray) -> np.ndarray:
    """What 16 bits keep of it: int16."""
    return (waveform * 32768).round().clip(-32768, 32767).astype(np.int16)


def wav(waveform: np.ndarray) -> bytes:
    """A file of just the samples of `heard`; floats soundfile itself would scale by 32767."""
    import io

    import soundfile

    file = io.BytesIO()
    soundfile.write(file, heard(waveform), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


@pytest.fixture(scope="session")
def captioner(tiny_model) -> Captioner:
    return Captioner(TorchModel(tiny_model), "tiny")


@pytest.fixture
def slow_listening(captioner, monkeypatch) -> None:
    """Half a second a batch, however fast the machine: for tests of what happens meanwhile."""
    network = captioner.model.network
    listen = network.listen

    def slow(sound):
        time.sleep(0.5)
        return listen(sound)

    monkeypatch.setattr(network, "listen", slow)


@pytest.fixture(scope="session")
def client(captioner) -> Iterator[Client]:
    """Of a server with a tiny model and small limits."""
    with serving(captioner) as found:
        yield found
