"""The text that Prometheus reads."""

from __future__ import annotations

import re

from earwitness.serving.metrics import Histogram, Metrics

LINE = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+-]+')


def test_exposition_is_well_formed() -> None:
    metrics = Metrics()
    metrics.requests.add(route="/v1/captions", status="200")
    metrics.batch_clips.observe(3)
    lines = metrics.exposition().splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    assert samples and all(LINE.fullmatch(line) for line in samples)
    assert 'earwitness_requests_total{route="/v1/captions",status="200"} 1.0' in samples
    assert "# TYPE earwitness_batch_clips histogram" in lines
    for kind in ("HELP", "TYPE"):
        assert sum(line.startswith(f"# {kind}") for line in lines) == len(metrics.told)


def test_large_sums_keep_every_digit() -> None:
    metrics = Metrics()
    metrics.upload_bytes.add(123_456_789)
    metrics.upload_bytes.add(1)
    assert "earwitness_upload_bytes_total 123456790.0" in metrics.exposition()


def test_buckets_count_what_lies_at_or_below_them() -> None:
    histogram = Histogram((1, 2, 4))
    for value in (0.5, 1, 1.5, 2, 100):
        histogram.observe(value)
    told = {labels[0][1]: value for name, labels, value in histogram.samples() if name == "_bucket"}
    assert told == {"1": 2, "2": 4, "4": 4, "+Inf": 5}
    assert [v for name, _, v in histogram.samples() if name in ("_sum", "_count")] == [105.0, 5]


def test_labels_may_come_while_the_metrics_are_read() -> None:
    """The model's thread counts its first clips while the event loop tells the metrics."""
    metrics = Metrics()
    metrics.clips.add(work="listen")
    samples = metrics.clips.samples()
    next(samples)
    metrics.clips.add(work="caption")
    assert list(samples) == []
