"""What arrives before the answer is complete: captions with their windows, tags, and what errors leave."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from earwitness.serving.limits import Limits
from earwitness.serving.listener import Listener

from .conftest import BOUNDARY, LIMITS, RATE, Client, multipart, noise, serving, wait_until, wav

DOCS = Path(__file__).parents[2] / "docs"
LONG = wav(np.concatenate([noise(1.0, seed) for seed in range(28)]))


def streamed(client: Client, file: bytes, **fields: Any) -> Iterator[dict[str, Any]]:
    """The lines of an answer, as they arrive."""
    connection = HTTPConnection("127.0.0.1", client.port, timeout=client.timeout)
    try:
        head = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/v1/captions", multipart(file, format="ndjson", **fields), head)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        for line in response:
            yield json.loads(line)
    finally:
        connection.close()


def test_the_first_caption_comes_with_the_first_windows(client, slow_listening) -> None:
    """Of 56 windows, no more than six have been through the model, which takes half a second for each."""
    before = client.metric('clips_total{work="listen"}')
    for line in streamed(client, LONG, window=0.5, hop=0.5, beams=1):
        if line["type"] == "caption":
            break
    assert client.metric('clips_total{work="listen"}') - before <= 6
    assert line["start"] == 0.0


def test_each_window_reports_progress(client) -> None:
    lines = list(streamed(client, LONG, window=4, beams=1))
    seconds = [line["seconds"] for line in lines if line["type"] == "progress"]
    assert len(seconds) == 7 and seconds == sorted(seconds) and seconds[-1] == 28.0
    kinds = [line["type"] for line in lines]
    assert kinds[-1] == "end" and kinds.index("progress") < kinds.index("caption") < len(kinds) - 2


def test_captions_come_while_the_file_is_still_being_decoded(captioner, monkeypatch) -> None:
    """The decoder is stopped after the first seconds; what it wrote is captioned all the same."""
    from earwitness.serving.recording import Recording

    grow = Recording.grow

    def stopping(recording: Recording, samples: int) -> None:
        if samples <= 20 * RATE:
            grow(recording, samples)

    monkeypatch.setattr(Recording, "grow", stopping)
    monkeypatch.setattr(Recording, "finish", lambda *_: None)
    with serving(captioner, decoders=1) as client:
        lines = streamed(client, LONG, window=1, beams=1)
        kinds = [next(lines)["type"] for _ in range(6)]
        assert "caption" in kinds
        lines.close()


def test_captions_and_tags_are_one_request(client) -> None:
    lines = list(streamed(client, LONG, window=4, beams=1, tags="true"))
    kinds = [line.pop("type") for line in lines]
    assert kinds[-2:] == ["tags", "end"] and "caption" not in kinds[kinds.index("tags") :]
    sound = client.metric("sound_seconds_total")
    whole = client.post("/v1/captions", LONG, window=4, beams=1, tags=True).json
    assert client.metric("sound_seconds_total") - sound == 28.0  # decoded once
    alone = client.post("/v1/tags", LONG).json
    assert whole["tags"] == lines[-2] == {key: alone[key] for key in ("names", "windows", "probabilities")}
    assert whole["captions"] == [line for kind, line in zip(kinds, lines) if kind == "caption"]


def failing(captioner, monkeypatch, after: int) -> None:
    """The model raises an error in each batch but the first `after`."""
    caption, calls = captioner.model.caption, []

    def failing(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise RuntimeError("the model is broken")
        return caption(*arguments, **options)

    monkeypatch.setattr(captioner.model, "caption", failing)


def test_what_was_found_before_an_error_is_kept(captioner, monkeypatch) -> None:
    failing(captioner, monkeypatch, after=2)
    with serving(captioner, decoders=1) as client:
        lines = list(streamed(client, LONG, window=2, beams=1))
        assert [line["type"] for line in lines if line["type"] != "progress"][:2] == ["caption", "caption"]
        assert lines[-1]["type"] == "error" and lines[-1]["status"] == 500
        assert "broken" not in lines[-1]["detail"]  # the reason is for the log


def test_tags_that_fail_leave_the_captions(captioner, monkeypatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("no tags")

    monkeypatch.setattr(Listener, "_tags", fail)
    with serving(captioner, decoders=1) as client:
        lines = list(streamed(client, LONG, window=10, beams=1, tags="true"))
    captions = [line for line in lines if line["type"] == "caption"]
    assert lines[-1]["type"] == "error" and captions[-1]["end"] == 28.0


def test_a_failure_is_json_with_the_requests_id(captioner, monkeypatch) -> None:
    failing(captioner, monkeypatch, after=0)
    with serving(captioner, decoders=1) as client:
        for fields in ({}, {"format": "ndjson"}):
            answer = client.post("/v1/captions", wav(noise(1.0)), **fields)
            assert answer.status == 500 and "X-Request-ID" in answer.json["detail"]
            assert len(answer.headers["x-request-id"]) == 32


def test_too_many_minutes_are_an_error_after_what_was_found(captioner) -> None:
    with serving(captioner, replace(LIMITS, minutes=0.2), decoders=1) as client:
        assert client.post("/v1/captions", LONG, window=2, beams=1).status == 413
        lines = list(streamed(client, LONG, window=2, beams=1))
        assert (lines[-1]["type"], lines[-1]["status"]) == ("error", 413)
        assert "longer than 0.2 minutes" in lines[-1]["detail"]


def test_an_answer_that_takes_too_long_ends_with_an_error(captioner, slow_listening) -> None:
    limits = replace(LIMITS, request_seconds=2.0, sound_factor=0.0)
    with serving(captioner, limits, decoders=1) as client:
        lines = list(streamed(client, LONG, window=0.5, beams=1))
        assert (lines[-1]["type"], lines[-1]["status"]) == ("error", 503)
        assert any(line["type"] == "progress" for line in lines)


def test_the_time_of_a_request_grows_with_its_sound(captioner, slow_listening) -> None:
    """28 s of sound in some 6 s of work, of which 1 s would be allowed without any."""
    limits = replace(LIMITS, request_seconds=1.0, sound_factor=1.0)
    with serving(captioner, limits, decoders=1) as client:
        begin = time.monotonic()
        assert client.post("/v1/captions", LONG, window=4, beams=1).status == 200
        assert time.monotonic() - begin > 2


def test_an_hour_of_wav_is_no_more_than_the_largest_upload() -> None:
    limits = Limits()
    assert limits.upload_bytes >= 60 * limits.minutes * RATE * 2 + 44


@pytest.mark.parametrize("kind", ["audio/wav", "application/octet-stream", "video/mp4"])
def test_a_recording_may_be_the_body_itself(client, kind) -> None:
    sent = client.post("/v1/captions", LONG, window=4, beams=1).body
    answer = client.request("POST", "/v1/captions?window=4&beams=1", LONG, {"content-type": kind})
    assert answer.status == 200 and answer.body == sent
    empty = client.request("POST", "/v1/captions", b"", {"content-type": kind})
    assert empty.status == 422 and "empty" in empty.json["detail"]
    large = client.request("POST", "/v1/captions", bytes(3 << 20), {"content-type": kind})
    assert large.status == 413
    wrong = client.request("POST", "/v1/captions?windwo=4", LONG, {"content-type": kind})
    assert wrong.status == 422 and "windwo: no such field" in wrong.json["detail"]


def test_it_is_ready_until_the_model_fails_again_and_again(captioner, monkeypatch) -> None:
    with serving(captioner, decoders=1) as client:
        assert client.get("/livez").json == client.get("/readyz").json == {"status": "ok"}
        with monkeypatch.context() as patch:
            failing(captioner, patch, after=0)
            for _ in range(3):
                assert client.post("/v1/captions", wav(noise(1.0))).status == 500
            answer = client.get("/readyz")
            assert answer.status == 503 and "failed in its last 3 batches" in answer.json["detail"]
            assert client.get("/livez").status == 200
        assert client.post("/v1/captions", wav(noise(1.0))).status == 200
        assert client.get("/readyz").status == 200


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it is ended on purpose
def test_it_is_not_ready_without_a_decoder_or_the_models_thread(captioner, monkeypatch) -> None:
    with serving(captioner, decoders=1) as client:
        listener = client.app.state.listener
        with monkeypatch.context() as patch:
            patch.setattr(listener.decoders, "_all", set())
            assert "no decoder" in client.get("/readyz").json["detail"]
        assert client.get("/readyz").status == 200
        monkeypatch.setattr(listener.model._batcher, "run", lambda *_: (_ for _ in ()).throw(SystemExit))
        assert client.post("/v1/captions", wav(noise(1.0))).status == 500
        wait_until(lambda: client.get("/readyz").status == 503)
        assert "thread of the model" in client.get("/readyz").json["detail"]
        assert client.post("/v1/captions", wav(noise(1.0))).status == 500  # and it does not hang
        assert client.get("/livez").status == 200


def test_the_client_of_the_documentation(client, tmp_path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / "server.md").read_text("utf-8"), re.M | re.S)
    found: dict[str, Any] = {}
    exec(code, found)
    path = tmp_path / "long.wav"
    path.write_bytes(LONG)
    rows = list(found["captions"](path, f"http://127.0.0.1:{client.port}"))
    for row in rows:
        assert row.pop("type") == "caption"
    assert rows == client.post("/v1/captions", LONG).json["captions"]


def test_head_is_answered_where_get_is(client) -> None:
    for path in ("/", "/docs", "/style.css", "/healthz", "/livez", "/readyz", "/metrics", "/openapi.json"):
        got, head = client.get(path), client.request("HEAD", path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
    assert client.request("HEAD", "/nothing").status == 404
