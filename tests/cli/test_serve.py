"""`earwitness serve`: it says what it does, and what is wrong, before the model is loaded."""

from __future__ import annotations

import logging
import re
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earwitness.cli import app

pytest.importorskip("fastapi", reason="needs the extra serve")


@pytest.fixture(autouse=True)
def logging_as_before():
    """The command configures the log of its process, which here is that of all tests."""
    loggers = [logging.getLogger(name) for name in (None, "earwitness", "uvicorn")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    yield
    for logger, (handlers, level) in zip(loggers, before):
        logger.handlers[:] = handlers
        logger.setLevel(level)


def run(*options: str):
    return CliRunner().invoke(app, ["serve", *options], env={"COLUMNS": "200"})


def test_it_says_that_it_loads_then_its_address_and_logs_requests(tiny_checkpoint: Path) -> None:
    started = "from earwitness.cli import main; main()"
    command = [sys.executable, "-c", started, "serve", "--model", str(tiny_checkpoint), "--port", "0"]
    with subprocess.Popen([*command, "--decoders", "1"], stderr=subprocess.PIPE, text=True) as process:
        try:
            said = [process.stderr.readline() for _ in range(2)]
            assert said[0].startswith("Loading ") and str(tiny_checkpoint) in said[0]
            port = int(re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)\n", said[1])[1])
            connection = HTTPConnection("127.0.0.1", port, timeout=60)  # bound: it waits
            connection.request("GET", "/readyz", headers={"x-request-id": "mine"})
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.send_signal(signal.SIGTERM)
            _, rest = process.communicate(timeout=60)
    assert re.search(r"INFO \[mine\] 127\.0\.0\.1 GET /readyz 200 ", rest)
    assert process.returncode in (0, -signal.SIGTERM)


def test_a_port_in_use_is_said_before_anything_is_loaded() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("--port", str(taken.getsockname()[1]), "--model", "/nothing")
    assert result.exit_code == 2 and "Address already in use" in result.output
    assert "Loading" not in result.output


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_server_for_everybody_without_a_key_is_warned_of(host, warned) -> None:
    result = run("--host", host, "--port", "0", "--model", "/nothing")
    assert result.exit_code == 2  # for want of the model
    assert ("set EARWITNESS_API_KEY" in result.output) == warned
    with_key = run("--host", host, "--port", "0", "--model", "/nothing", "--api-key", "x")
    assert "EARWITNESS_API_KEY" not in with_key.output


def test_an_origin_that_is_none_is_named(tiny_checkpoint: Path) -> None:
    result = run("--port", "0", "--model", str(tiny_checkpoint), "--allow-origin", "captions.example")
    assert result.exit_code == 2 and "captions.example' is no origin" in result.output
