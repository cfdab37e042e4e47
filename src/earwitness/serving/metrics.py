"""Prometheus metrics of the server."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Metrics"]

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The metrics of one server, in a registry of their own; their names begin with earwitness_."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory, processor time, open files of the server's process
        at: dict[str, Any] = {"namespace": "earwitness", "registry": self.registry}
        self.requests = Counter("requests", "Answers.", ["route", "status"], **at)
        self.request_seconds = Histogram(
            "request_seconds",
            "From a request's head to the end of its answer.",
            ["route"],
            buckets=SECONDS,
            **at,
        )
        self.in_progress = Gauge("requests_in_progress", "Uploads admitted and not answered.", **at)
        self.waiting = Gauge("recordings_waiting", "Recordings received that wait for a place.", **at)
        self.running = Gauge("recordings_running", "Recordings being decoded and captioned.", **at)
        self.jobs = Gauge("jobs", "Jobs that are kept.", ["state"], **at)
        self.upload_bytes = Counter("upload_bytes", "Bytes of request bodies.", **at)
        self.sound_seconds = Counter("sound_seconds", "Seconds of sound decoded.", **at)
        self.clips = Counter("clips", "Clips that went through the model.", ["work"], **at)
        self.batch_clips = Histogram("batch_clips", "Clips in a batch.", buckets=SIZES, **at)
        self.batch_seconds = Histogram("batch_seconds", "Time of a batch.", buckets=SECONDS, **at)
        self.batches_failed = Counter("batches_failed", "Batches in which the model raised an error.", **at)
        self.decoders_replaced = Counter(
            "decoders_replaced", "Decoder processes that ended or were ended.", **at
        )

    def exposition(self) -> bytes:
        """Return the metrics in text format 0.0.4."""
        return generate_latest(self.registry)
