"""Jobs, and the route for programs that know OpenAI's."""

from __future__ import annotations

import json
from dataclasses import replace
from http.client import HTTPConnection

import numpy as np
import pytest

from .conftest import BOUNDARY, LIMITS, Client, multipart, noise, serving, wait_until, wav

LONG = wav(np.concatenate([noise(1.0, seed) for seed in range(12)]))
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def finished(client: Client, name: str) -> dict:
    wait_until(lambda: client.get(f"/v1/jobs/{name}").json["state"] in ("done", "failed"))
    return client.get(f"/v1/jobs/{name}").json


def test_a_job_is_captioned_while_its_client_is_away(client) -> None:
    answer = client.post("/v1/jobs", LONG, window=4, beams=1, tags=True)
    assert answer.status == 202
    name = answer.json["id"]
    assert (
        answer.headers["location"] == f"jobs/{name}"
    )  # relative to /v1/jobs, whatever prefix a proxy puts before it
    job = finished(client, name)
    expected = client.post("/v1/captions", LONG, window=4, beams=1, tags=True).json
    assert job["captions"] == expected["captions"] and job["tags"] == expected["tags"]
    assert job["summary"] == {
        key: expected[key] for key in ("model", "duration", "damaged", "faults", "covered")
    }
    for format in ("srt", "vtt"):
        subtitles = client.post("/v1/captions", LONG, window=4, beams=1, format=format)
        assert client.get(f"/v1/jobs/{name}?format={format}").body == subtitles.body
    lines = client.get(f"/v1/jobs/{name}?format=ndjson").body.splitlines()
    assert json.loads(lines[-1])["type"] == "end"
    assert client.get(f"/v1/jobs/{name}?format=exe").status == 422


def test_events_follow_a_job_and_resume(client, slow_listening) -> None:
    name = client.post("/v1/jobs", LONG, window=1, beams=1).json["id"]
    answer = client.get(f"/v1/jobs/{name}/events")  # begun while it runs, read to its end
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [event.split("\n") for event in answer.body.decode().split("\n\n") if event]
    numbers = [int(event[0].removeprefix("id: ")) for event in events]
    kinds = [json.loads(event[1].removeprefix("data: "))["type"] for event in events]
    assert numbers == list(range(len(events))) and kinds[-1] == "end" and kinds.count("caption") > 1
    rest = client.request("GET", f"/v1/jobs/{name}/events", headers={"last-event-id": str(numbers[-3])})
    assert rest.body.decode().count("data: ") == 2


def test_a_job_that_fails_says_why_and_keeps_what_it_found(captioner) -> None:
    with serving(captioner, replace(LIMITS, minutes=0.1), decoders=1) as client:
        job = finished(client, client.post("/v1/jobs", LONG, window=1, beams=1).json["id"])
        assert job["state"] == "failed" and "longer than 0.1 minutes" in job["error"]
        assert job["captions"]
        job = finished(client, client.post("/v1/jobs", b"no sound" * 100).json["id"])
        assert job["state"] == "failed" and "not a media file" in job["error"]


def test_a_job_can_be_ended(client, slow_listening) -> None:
    name = client.post("/v1/jobs", LONG, window=0.5, beams=1).json["id"]
    assert client.request("DELETE", f"/v1/jobs/{name}").status == 204
    assert client.get(f"/v1/jobs/{name}").status == 404
    wait_until(lambda: client.metric("recordings_running") == 0)


def test_results_are_kept_for_a_while_and_jobs_are_so_many(captioner) -> None:
    with serving(captioner, replace(LIMITS, jobs=1, job_seconds=0.5), decoders=1) as client:
        name = client.post("/v1/jobs", wav(noise(1.0)), beams=1).json["id"]
        answer = client.post("/v1/jobs", wav(noise(1.0)), beams=1)
        assert answer.status == 503 and "1 jobs are kept" in answer.json["detail"]
        wait_until(lambda: client.get(f"/v1/jobs/{name}").status == 404, 10)
        assert client.post("/v1/jobs", wav(noise(1.0)), beams=1).status == 202


def test_jobs_want_the_key_too(captioner) -> None:
    with serving(captioner, api_key="sesame", decoders=1) as client:
        key = {"authorization": "Bearer sesame"}
        answer = client.request("POST", "/v1/jobs", multipart(wav(noise(1.0))), FORM | key)
        name = answer.json["id"]
        for path in (f"/v1/jobs/{name}", f"/v1/jobs/{name}/events"):
            assert client.get(path).status == 401
            assert client.request("GET", path, headers=key).status == 200
        assert client.request("DELETE", f"/v1/jobs/{name}").status == 401


def test_a_client_that_leaves_an_events_stream_leaves_the_job(client, slow_listening) -> None:
    name = client.post("/v1/jobs", LONG, window=1, beams=1).json["id"]
    connection = HTTPConnection("127.0.0.1", client.port, timeout=30)
    connection.request("GET", f"/v1/jobs/{name}/events")
    assert connection.getresponse().readline().startswith(b"id: 0")
    connection.close()
    assert finished(client, name)["state"] == "done"


@pytest.mark.parametrize("kind", ["json", "text", "srt", "vtt", "verbose_json"])
def test_transcriptions_as_openais_clients_want_them(client, kind) -> None:
    """The fields are those that its Python client sends."""
    sent = {"model": "whisper-1", "response_format": kind, "language": "en", "temperature": 0}
    sent["timestamp_granularities[]"] = "segment"
    answer = client.post("/v1/audio/transcriptions", LONG, **sent)
    assert answer.status == 200, answer.body
    rows = client.post("/v1/captions", LONG).json["captions"]
    text = "\n".join(row["caption"] for row in rows)
    if kind in ("srt", "vtt"):
        assert answer.body == client.post("/v1/captions", LONG, format=kind).body
    elif kind == "text":
        assert answer.body.decode() == text + "\n"
    else:
        assert answer.json["text"] == text
    if kind == "verbose_json":
        assert answer.json["duration"] == 12.0 and answer.json["language"] == "english"
        times = [(s["id"], s["start"], s["end"], s["text"]) for s in answer.json["segments"]]
        assert times == [(i, r["start"], r["end"], r["caption"]) for i, r in enumerate(rows)]
        assert all(segment["avg_logprob"] <= 0 for segment in answer.json["segments"])


def test_transcriptions_refuse_what_they_cannot_do(client) -> None:
    answer = client.post("/v1/audio/transcriptions", wav(noise(1.0)), model="whisper-1", stream="true")
    assert answer.status == 422 and "stream" in answer.json["detail"]
