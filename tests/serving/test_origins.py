"""Pages of other sites, names that lead to this machine, and ids of requests."""

from __future__ import annotations

import logging
import time

import pytest

from earwitness.serving.origins import Origins

from .conftest import BOUNDARY, Client, multipart, noise, serving, wav

FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
BODY = multipart(wav(noise(0.5)), beams=1)


def posted(client: Client, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request("POST", "/v1/captions", BODY, FORM | named).status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # no browser
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),  # another port, or another name of the same owner
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"sec_fetch_site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8000"}, 421),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"host": "[::1"}, 421),
    ],
)
def test_other_sites_are_refused(client, headers, status) -> None:
    assert posted(client, **headers) == status


def test_its_own_page_is_not_refused_whatever_the_browser_says(client) -> None:
    assert posted(client, origin=f"http://127.0.0.1:{client.port}") == 200


def test_a_foreign_name_reads_nothing(client) -> None:
    for path in ("/", "/healthz", "/metrics", "/v1/jobs/x"):
        answer = client.request("GET", path, headers={"host": "evil.example"})
        assert answer.status == 421 and "--allow-origin" in answer.json["detail"]


def test_origins_that_are_allowed(captioner) -> None:
    friend = "https://captions.example"
    with serving(captioner, allow_origins=[friend], decoders=1) as client:
        assert posted(client, origin=friend, sec_fetch_site="cross-site") == 200
        assert posted(client, origin="https://evil.example") == 403
        assert posted(client, origin=friend, host="captions.example") == 200  # a proxy passed the name on
        asked = {"origin": friend, "access-control-request-method": "POST"}
        asked["access-control-request-headers"] = "authorization,content-type"
        answer = client.request("OPTIONS", "/v1/captions", headers=asked)
        assert answer.status == 200 and answer.headers["access-control-allow-origin"] == friend
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        refused = client.request(
            "OPTIONS", "/v1/captions", headers=asked | {"origin": "https://evil.example"}
        )
        assert refused.status == 400 and "access-control-allow-origin" not in refused.headers
        answer = client.request("POST", "/v1/captions", b"x", {"content-type": "text/x", "origin": friend})
        assert answer.status == 415  # refusals are for its pages to read, too
        assert answer.headers["access-control-allow-origin"] == friend


@pytest.mark.parametrize("origin", ["captions.example", "https://captions.example/page", "*", "file://x"])
def test_what_is_no_origin(origin) -> None:
    with pytest.raises(ValueError, match="--allow-origin: .* is no origin"):
        Origins([origin])


def test_ids_of_requests_come_in_and_out_and_into_the_log(client, caplog) -> None:
    from earwitness.serving import request_log

    caplog.set_level(logging.INFO, "earwitness.requests")
    caplog.handler.addFilter(request_log._add_id)
    assert (
        client.request("GET", "/livez", headers={"x-request-id": "abc-1.2_3"}).headers["x-request-id"]
        == "abc-1.2_3"
    )
    answer = client.request("GET", "/nothing", headers={"x-request-id": "a b\tc"})
    assert len(answer.headers["x-request-id"]) == 32
    for _ in range(100):  # a line is written once its answer has been sent
        lines = {record.request_id: record.getMessage() for record in caplog.records}
        if answer.headers["x-request-id"] in lines:
            break
        time.sleep(0.05)
    assert "GET /livez 200" in lines["abc-1.2_3"]
    assert "GET /nothing 404" in lines[answer.headers["x-request-id"]]


def test_no_request_writes_lines_of_its_own_into_the_log(client, caplog) -> None:
    caplog.set_level(logging.INFO, "earwitness.requests")
    client.get("/x%0a2026-01-01%20INFO%20forged")
    assert [
        r.getMessage() for r in caplog.records if "forged" in r.getMessage() and "\n" in r.getMessage()
    ] == []
