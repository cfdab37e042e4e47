"""What Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from earwitness.serving.gate import route_of
from earwitness.serving.metrics import Metrics

from .conftest import noise, wait_until, wav


def test_the_exposition_is_read_by_prometheus_own_parser() -> None:
    metrics = Metrics()
    metrics.requests.labels(route="/v1/captions", status="200").inc()
    metrics.batch_clips.observe(3)
    families = {
        family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())
    }
    assert families["earwitness_batch_clips"].type == "histogram"
    (sample,) = [s for s in families["earwitness_requests"].samples if s.name.endswith("_total")]
    assert sample.labels == {"route": "/v1/captions", "status": "200"} and sample.value == 1
    assert all(family.documentation for family in families.values())
    assert families["process_resident_memory_bytes"].samples[0].value > 1 << 20


def test_two_servers_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.upload_bytes.inc(123_456_789)
    assert one.registry.get_sample_value("earwitness_upload_bytes_total") == 123_456_789
    assert other.registry.get_sample_value("earwitness_upload_bytes_total") == 0


def test_routes_are_labels_that_clients_cannot_make_up() -> None:
    assert route_of("/v1/jobs/abc") == route_of("/v1/jobs/abc/events") == "/v1/jobs/{id}"
    assert route_of("/v1/captions") == "/v1/captions" and route_of("/anything") == "page"


def test_times_are_told_apart_by_route_and_recordings_by_state(client) -> None:
    wait_until(lambda: client.metric("requests_in_progress") == 0)
    before = client.metric('request_seconds_count{route="/v1/tags"}')
    client.post("/v1/tags", wav(noise(1.0)))
    wait_until(lambda: client.metric("requests_in_progress") == 0)
    assert client.metric('request_seconds_count{route="/v1/tags"}') == before + 1
    assert client.metric("recordings_waiting") == client.metric("recordings_running") == 0
