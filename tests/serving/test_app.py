"""The API as clients see it: the captioner's captions in four formats, tags, health, metrics."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earwitness.captioner import DEFAULT, Captioner
from earwitness.captions import merge_neighbours
from earwitness.checkpoints.folder import WEIGHTS
from earwitness.serving.app import PAGE
from earwitness.subtitles.formats import to_srt, to_vtt

from .conftest import BOUNDARY, LIMITS, RATE, heard, multipart, noise, serving, wait_until, wav

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def long() -> np.ndarray:
    """12 s that change twice."""
    return np.concatenate([noise(4.0), 0.3 * noise(4.0, 1), np.zeros(2 * RATE, np.float32), noise(2.0, 2)])


def test_a_short_recording_gets_the_captioners_caption(client, captioner) -> None:
    expected = captioner((heard(noise(2.0)), RATE), beams=2)
    answer = client.post("/v1/captions", wav(noise(2.0)), beams=2)
    assert answer.status == 200
    told = answer.json
    assert (told["model"], told["duration"], told["damaged"], told["covered"]) == ("tiny", 2.0, False, 1.0)
    (row,) = told["captions"]
    assert row["caption"] == expected.text
    assert row["score"] == pytest.approx(expected.score, abs=1e-4)
    assert row["sureness"] == expected.sureness
    assert (row["start"], row["end"], row["kind"]) == (0.0, 2.0, expected.kind)
    assert [name for name, _ in row["tags"]] == [name for name, _ in expected.tags]


def test_a_window_gives_the_captioners_timeline_in_every_format(client, captioner, long) -> None:
    expected = list(merge_neighbours(captioner.timeline((heard(long), RATE), 4.0, beams=1)))
    assert len(expected) > 2
    asked = {"window": 4, "beams": 1}
    rows = client.post("/v1/captions", wav(long), **asked).json["captions"]
    times = [(round(c.start, 3), round(c.end, 3), c.text) for c in expected]
    assert [(row["start"], row["end"], row["caption"]) for row in rows] == times
    srt = client.post("/v1/captions", wav(long), **asked, format="srt")
    assert srt.body.decode() == to_srt(expected) and srt.headers["content-type"].startswith(
        "application/x-subrip"
    )
    vtt = client.post("/v1/captions", wav(long), **asked, format="vtt")
    assert vtt.body.decode() == to_vtt(expected) and vtt.headers["content-type"].startswith("text/vtt")
    streamed = client.post("/v1/captions", wav(long), **asked, format="ndjson")
    lines = [json.loads(line) for line in streamed.body.splitlines()]
    assert [line for line in lines if line.pop("type") == "caption"] == rows
    assert lines[-1] == {"model": "tiny", "duration": 12.0, "damaged": False, "faults": [], "covered": 1.0}
    progress = [line["seconds"] for line in lines if "stage" in line]
    assert progress == sorted(progress) and progress[-1] == 12.0


def test_fields_may_stand_in_the_query(client, long) -> None:
    in_form = client.post("/v1/captions", wav(long), window=4, beams=1, format="vtt")
    in_query = client.post("/v1/captions?window=4&beams=1&format=vtt", wav(long))
    assert in_query.body == in_form.body


def test_silence_is_said(client) -> None:
    (row,) = client.post("/v1/captions", wav(np.zeros(RATE, np.float32))).json["captions"]
    assert (row["caption"], row["score"], row["kind"]) == ("silence", 1.0, "silence")


def test_tags_over_time(client, captioner) -> None:
    sound = np.concatenate([noise(2.0), 0.2 * noise(2.5, 3)])
    told = client.post("/v1/tags", wav(sound), window=1).json
    assert told["windows"] == [[0.0, 1.0], [1.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 4.5]]
    table = np.array(told["probabilities"])
    assert table.shape == (5, len(told["names"])) and len(told["names"]) > 0
    assert (table.max(0) >= 0.2).all() and (np.diff(table.max(0)) <= 1e-9).all()  # the surest first
    for (start, end), row in zip(told["windows"], table):
        window = heard(sound)[round(start * RATE) : round(end * RATE)]
        expected = dict(captioner((window, RATE), beams=1, max_new_tokens=1).tags)
        for name, probability in zip(told["names"], row):
            assert expected.get(name, probability) == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"window": 31}, "window: this model takes at most 10 s"),
        ({"window": 0.1}, "window: Input should be greater than or equal to 0.5"),
        ({"window": "nan"}, "window: Input should be"),
        ({"window": 4, "hop": 5}, "hop: needs a window, and is from half of it to all of it"),
        ({"hop": 5}, "hop: needs a window"),
        ({"beams": 0}, "beams: Input should be greater than or equal to 1"),
        ({"beams": 1000}, "beams: Input should be less than or equal to 16"),
        ({"format": "exe"}, "format: Input should be 'json', 'ndjson', 'srt' or 'vtt'"),
        ({"windwo": 5}, "windwo: no such field; the fields are file, url, window, hop, beams, tags, format"),
    ],
)
def test_wrong_fields_are_named(client, fields, said) -> None:
    answer = client.post("/v1/captions", wav(noise(1.0)), **fields)
    assert answer.status == 422 and said in answer.json["detail"]


def test_common_batches(client) -> None:
    """Many clients at once: each gets its own answer, and the model hears fewer batches than clips."""
    sounds = [wav(noise(0.5 + 0.1 * seed, seed)) for seed in range(12)]
    alone = [client.post("/v1/captions", sound, beams=1).json["captions"] for sound in sounds]
    batches = client.metric("batch_clips_count")
    with ThreadPoolExecutor(len(sounds)) as threads:
        together = list(
            threads.map(lambda s: client.post("/v1/captions", s, beams=1).json["captions"], sounds)
        )
    assert [[row["caption"] for row in rows] for rows in together] == [
        [row["caption"] for row in rows] for rows in alone
    ]
    assert client.metric("batch_clips_count") - batches < len(sounds)


def test_health_and_documentation(client) -> None:
    health = client.get("/healthz").json
    assert health["status"] == "ok" and health["model"] == "tiny" and health["tags"]
    assert (health["max_upload_mb"], health["max_minutes"], health["max_window"]) == (2.0, 0.5, 10.0)
    api = client.get("/openapi.json").json
    jobs = {"/v1/jobs", "/v1/jobs/{name}", "/v1/jobs/{name}/events"}
    asked = {"/v1/captions", "/v1/tags", "/v1/audio/transcriptions"} | jobs
    assert set(api["paths"]) == asked | {"/healthz", "/livez", "/readyz", "/metrics"}
    form = api["paths"]["/v1/captions"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"file", "url", "window", "hop", "beams", "tags", "format"}
    assert form["anyOf"] == [{"required": ["file"]}, {"required": ["url"]}]
    responses = api["paths"]["/v1/captions"]["post"]["responses"]
    assert {"403", "413", "415", "422", "429", "500", "503"} <= set(responses)
    refusal = responses["413"]["content"]["application/json"]["schema"]
    assert refusal == {"$ref": "#/components/schemas/Refusal"}
    kinds = {"application/json", "application/x-ndjson", "application/x-subrip", "text/vtt"}
    assert set(responses["200"]["content"]) == kinds
    assert all(responses["200"]["content"][kind]["example"] for kind in kinds - {"application/json"})
    schemes = api["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    assert [set(way) for way in api["paths"]["/v1/captions"]["post"]["security"]] == [{k} for k in schemes]
    assert "audio/*" in api["paths"]["/v1/tags"]["post"]["requestBody"]["content"]
    assert client.get("/docs").status == 200


def test_the_page_comes_whole_and_asks_nobody_else(client) -> None:
    for name, (content, _) in PAGE.items():
        answer = client.get(f"/{name}")
        assert answer.body == content
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        addresses = re.findall(rb"(?:https?:)?//[\w.-]+\.[a-z]{2,}", content)
        assert set(addresses) <= {b"http://www.w3.org"}, name  # the name space of SVG
    assert client.get("/").body == PAGE["index.html"][0]
    assert client.get("/app.js").headers["content-type"].startswith("text/javascript")


def test_metrics_count_answers(client) -> None:
    answered = 'requests_total{route="/v1/captions",status="200"}'
    wait_until(lambda: client.metric("requests_in_progress") == 0)
    before = client.metric(answered), client.metric("sound_seconds_total")
    client.post("/v1/captions", wav(noise(1.0)), beams=1)
    wait_until(lambda: client.metric("requests_in_progress") == 0)  # an answer counts once it is sent
    assert client.metric(answered) == before[0] + 1
    assert client.metric("sound_seconds_total") == before[1] + 1.0


def test_an_api_key(captioner) -> None:
    with serving(captioner, api_key="sesam", decoders=1) as client:
        form = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        body = multipart(wav(noise(1.0)), beams=1)
        for headers in (
            {},
            {"authorization": "Bearer sesame"},
            {"authorization": "sesam"},
            {"x-api-key": ""},
        ):
            answer = client.request("POST", "/v1/captions", body, form | headers)
            assert answer.status == 401 and "API key" in answer.json["detail"]
        for headers in ({"authorization": "Bearer sesam"}, {"x-api-key": "sesam"}):
            assert client.request("POST", "/v1/captions", body, form | headers).status == 200
        assert client.get("/healthz").json["needs_key"] and client.get("/").status == 200


def test_it_stops_gracefully(captioner) -> None:
    """What was asked is answered, then the port is closed."""
    answers = []
    with serving(captioner, decoders=1) as client:
        asking = threading.Thread(
            target=lambda: answers.append(client.post("/v1/captions", wav(noise(20.0)), window=1))
        )
        asking.start()
        wait_until(lambda: client.metric("requests_in_progress") == 1)
    asking.join()
    assert answers[0].status == 200 and answers[0].json["duration"] == 20.0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", client.port), 1)


@pytest.mark.skipif(not (DEFAULT / WEIGHTS).is_file(), reason="assets/mini holds no model.safetensors yet")
def test_the_built_in_model_over_http() -> None:
    captioner = Captioner.from_pretrained(device="cpu")
    with serving(captioner, replace(LIMITS, minutes=5), decoders=1) as client:
        for name in ("woman_and_dog.opus", "street.mp4", "telephone.flac"):
            file = EXAMPLES / name
            (row,) = client.post("/v1/captions", file.read_bytes(), name).json["captions"]
            assert row["caption"] == captioner(str(file)).text
        begin = time.monotonic()
        told = client.post("/v1/captions", (EXAMPLES / "street.mp4").read_bytes(), window=5).json
        assert told["captions"][-1]["end"] == pytest.approx(20.03, abs=0.01) and time.monotonic() - begin < 20
