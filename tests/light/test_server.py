"""The server on a light installation: captions and tags over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from .conftest import EXAMPLES, EXPECTED, PROGRAM

pytestmark = pytest.mark.skipif(find_spec("fastapi") is None, reason="fastapi is not installed here")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a running `earwitness serve`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, "serve", "--port", str(port), "--decoders", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            for _ in range(300):
                assert process.poll() is None, process.communicate()[1]
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5)
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def post(address: str, name: str) -> Any:
    head = f'--gap\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    body = head + (EXAMPLES / name).read_bytes() + b"\r\n--gap--\r\n"
    request = urllib.request.Request(address, body, {"content-type": "multipart/form-data; boundary=gap"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def test_captions(address) -> None:
    (caption,) = post(f"{address}/v1/captions", "jet.opus")["captions"]
    assert EXPECTED["captions"]["jet.opus"]["text"] in (caption.get("caption"), caption.get("text"))


def test_tags(address) -> None:
    assert post(f"{address}/v1/tags", "jet.opus")
