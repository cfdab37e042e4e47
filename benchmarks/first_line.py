"""How soon the server answers a one-hour upload.

    python -m benchmarks first_line [--minutes 60] [--rounds 3]

A FLAC file of the examples, one after the other at random levels, is sent to a server that `earwitness serve`
started, as the body itself, for ndjson. Measured from the last byte sent: the first line, whatever it says,
the first caption, and the processor's time of the server and its decoders until then.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from http.client import HTTPConnection
from statistics import median

import numpy as np

from benchmarks.mini import RATE, sounds
from benchmarks.record import Row, report
from benchmarks.server import processor_seconds, serving

PATH = "/v1/captions?format=ndjson&window=10"


def hour(minutes: int) -> bytes:
    import soundfile

    rng, clips, file = np.random.default_rng(0), sounds(), io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, format="FLAC", subtype="PCM_16") as out:
        for clip in rng.integers(len(clips), size=6 * minutes):
            out.write(clips[clip] * rng.uniform(0.2, 1.0))
    return file.getvalue()


def answered(port: int, process: int, body: bytes) -> dict[str, float]:
    """Seconds from the last byte sent to the first line and the first caption; `_work`: of the processor."""
    connection = HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", PATH, body, {"content-type": "audio/flac"})
    begin, worked = time.monotonic(), processor_seconds(process)
    response = connection.getresponse()
    found: dict[str, float] = {}
    for line in response:
        took = {"": time.monotonic() - begin, "_work": processor_seconds(process) - worked}
        kind = json.loads(line)["type"]
        for name in ("line", "caption") if kind == "caption" else ("line",):
            for suffix, value in took.items():
                found.setdefault(name + suffix, value)
        if kind in ("caption", "error"):
            break
    connection.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="checkpoint folder or hub name; none: the embedded default")
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    body = hour(options.minutes)
    with serving(options.model) as (port, process):
        rounds = [answered(port, process, body) for _ in range(options.rounds)]
    found = {name: median(one[name] for one in rounds) for name in rounds[0]}
    rows = [
        Row("from the upload's end to the first line", "s", found["line"], wanted="<= 2"),
        Row("processor's time until then", "s", found["line_work"]),
        Row("from the upload's end to the first caption", "s", found["caption"]),
        Row("processor's time until then", "s", found["caption_work"]),
    ]
    report("first_line", rows, minutes=options.minutes, rounds=options.rounds, megabytes=len(body) / 1e6)


if __name__ == "__main__":
    main()
