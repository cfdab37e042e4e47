"""What the server tells Prometheus: counters, gauges and histograms in the text format 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import resource
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

Labels = tuple[tuple[str, str], ...]


class Counter:
    """A sum that only grows, one for each set of labels."""

    kind = "counter"

    def __init__(self) -> None:
        self.values: dict[Labels, float] = defaultdict(float)

    def add(self, amount: float = 1.0, **labels: str) -> None:
        self.values[tuple(labels.items())] += amount

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        for labels, value in list(self.values.items()) or [((), 0.0)]:  # other threads add labels meanwhile
            yield "", labels, value


class Gauge:
    """A value read when it is asked for."""

    kind = "gauge"

    def __init__(self, read: Callable[[], float]) -> None:
        self.read = read

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        yield "", (), self.read()


class Histogram:
    """How many observations lay at or below each bound."""

    kind = "histogram"

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def samples(self) -> Iterator[tuple[str, Labels, float]]:
        for bound, count in zip([*map(str, self.bounds), "+Inf"], accumulate(self.counts)):
            yield "_bucket", (("le", bound),), count
        yield "_sum", (), self.sum
        yield "_count", (), sum(self.counts)


class Metrics:
    """All of the server's."""

    def __init__(self) -> None:
        self.requests = Counter()
        self.request_seconds = Histogram(SECONDS)
        self.in_progress = 0
        self.upload_bytes = Counter()
        self.clips = Counter()
        self.sound_seconds = Counter()
        self.batch_clips = Histogram(SIZES)
        self.batch_seconds = Histogram(SECONDS)
        self.decoders_replaced = Counter()
        self.told: dict[str, tuple[str, Counter | Gauge | Histogram]] = {
            "requests_total": ("Answers, by route and status.", self.requests),
            "request_seconds": ("From a request's head to the end of its answer.", self.request_seconds),
            "requests_in_progress": ("Recordings admitted, not answered.", Gauge(lambda: self.in_progress)),
            "upload_bytes_total": ("Bytes of request bodies.", self.upload_bytes),
            "sound_seconds_total": ("Seconds of sound decoded.", self.sound_seconds),
            "clips_total": ("Clips that went through the model, by what for.", self.clips),
            "batch_clips": ("How many went together.", self.batch_clips),
            "batch_seconds": ("Time of a batch in the model.", self.batch_seconds),
            "decoders_replaced_total": ("Decoder processes that died or were ended.", self.decoders_replaced),
            "resident_memory_bytes": ("Of the server's own process.", Gauge(resident_memory)),
        }

    def exposition(self) -> str:
        lines = []
        for name, (what, metric) in self.told.items():
            name = f"earwitness_{name}"
            lines += [f"# HELP {name} {what}", f"# TYPE {name} {metric.kind}"]
            lines += [f"{name}{part}{_written(labels)} {value}" for part, labels, value in metric.samples()]
        return "\n".join(lines) + "\n"


def resident_memory() -> float:
    """Bytes of this process now, where the system tells; else the most there ever were."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _written(labels: Labels) -> str:
    """Values are names of ours (routes, numbers), never a client's: nothing needs escaping."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
