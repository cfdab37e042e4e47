"""deploy/nginx.conf, run by a real nginx on this machine's own address, before a real server."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

from .conftest import BOUNDARY, LIMITS, Client, multipart, noise, serving, wait_until, wav

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx: apt-get install nginx-light")
DEPLOY = Path(__file__).parents[2] / "deploy"
SITE = "captions.example"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}", "host": SITE}
LONG = wav(np.concatenate([noise(1.0, seed) for seed in range(28)]))
AROUND = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/errors;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    {server}
}}
"""


@pytest.fixture(scope="module")
def behind(captioner, tmp_path_factory) -> Iterator[tuple[Client, Client]]:
    """(client of nginx, client of the server behind it)"""
    folder = tmp_path_factory.mktemp("nginx")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    limits = replace(LIMITS, upload_bytes=4 << 20)
    with serving(captioner, limits, allow_origins=[f"https://{SITE}"], decoders=1) as client:
        here = f"http://127.0.0.1:{client.port}/"
        server = (DEPLOY / "nginx.conf").read_text().replace("http://127.0.0.1:8000/", here)
        server = server.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")  # TLS is nginx's own affair
        lines = [line for line in server.splitlines() if "ssl_certificate" not in line]
        (folder / "earwitness-proxy.conf").write_text((DEPLOY / "earwitness-proxy.conf").read_text())
        server = "\n".join(lines).replace("/etc/nginx/", f"{folder}/")
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, server=server))
        with subprocess.Popen([NGINX, "-p", str(folder), "-c", f"{folder}/nginx.conf"]) as nginx:
            try:
                front = Client(port, client.app)

                def answers() -> bool:
                    assert nginx.poll() is None, (folder / "errors").read_text()
                    try:
                        front.connect().close()
                    except OSError:
                        return False
                    return True

                wait_until(answers, 20)
                yield front, client
            finally:
                nginx.terminate()
                nginx.wait(20)


def get(client: Client, path: str):
    return client.request("GET", path, headers={"host": SITE})


@pytest.mark.parametrize("prefix", ["", "/captions"])
def test_the_page_and_its_answers_under_a_prefix(behind, prefix) -> None:
    front, back = behind
    for name in ("/", "/app.js", "/docs", "/healthz", "/openapi.json"):
        assert get(front, prefix + name).body == back.get(name).body
    answer = front.request("POST", f"{prefix}/v1/captions?beams=1&window=4", multipart(LONG), FORM)
    assert answer.status == 200
    assert answer.body == back.post("/v1/captions", LONG, beams=1, window=4).body
    assert get(front, f"{prefix}/metrics").status == 403


def test_uploads_larger_than_nginx_own_limit_reach_the_server_which_refuses_them(behind) -> None:
    front, _ = behind
    fits = wav(np.concatenate([noise(29.0)]))
    padded = fits + bytes(3 << 20)  # more than nginx takes by itself: 1 MB
    assert front.request("POST", "/v1/captions?beams=1", multipart(padded), FORM).status == 200
    answer = front.request("POST", "/v1/captions", multipart(bytes(5 << 20)), FORM)
    assert answer.status == 413 and "larger than 4 MB" in answer.json["detail"]


def test_lines_pass_as_they_come(behind, slow_listening) -> None:
    front, back = behind
    connection = HTTPConnection("127.0.0.1", front.port, timeout=30)
    body = multipart(LONG, format="ndjson", window=0.5, hop=0.5, beams=1)
    connection.request("POST", "/captions/v1/captions", body, FORM)
    response = connection.getresponse()
    first = json.loads(response.readline())
    assert first["type"] == "progress" and back.metric("requests_in_progress") == 1
    rest = [json.loads(line)["type"] for line in response]
    connection.close()
    assert rest.count("caption") > 1 and rest[-1] == "end"


def test_clients_are_told_apart_by_their_own_addresses(behind, caplog) -> None:
    """Whatever they say of themselves."""
    front, _ = behind
    caplog.set_level(logging.INFO, "earwitness.requests")
    with socket.create_connection(("127.0.0.1", front.port), 10, ("127.0.0.5", 0)) as connection:
        head = f"GET /livez HTTP/1.1\r\nhost: {SITE}\r\nx-forwarded-for: 9.9.9.9\r\nconnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert b" 200 " in connection.recv(4096)
    wait_until(lambda: any("/livez" in record.getMessage() for record in caplog.records))
    (line,) = [record.getMessage() for record in caplog.records if "/livez" in record.getMessage()]
    assert line.startswith("127.0.0.5 ")


def test_one_id_names_a_request_on_both_sides(behind) -> None:
    front, _ = behind
    assert len(get(front, "/livez").headers["x-request-id"]) == 32  # nginx made it


def test_another_sites_page_is_refused_and_its_own_is_not(behind) -> None:
    front, _ = behind
    for origin, status in ((f"https://{SITE}", 200), ("https://evil.example", 403)):
        body = multipart(wav(noise(0.5)), beams=1)
        assert front.request("POST", "/v1/captions", body, FORM | {"origin": origin}).status == status
