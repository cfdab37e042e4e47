"""The process that decodes uploads from untrusted clients: python -m earwitness.serving.decoder

It takes one order after another from the socket that is its standard input: a line of JSON, and with it two
open files, the media to read and the one to write samples to. It answers on standard output with lines of
JSON: {"samples": n} whenever more are written, and at the end {"status": ...}. It knows no path and no
secret and opens nothing else, and the kernel enforces its limits of memory and processor time.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from earwitness.media import reading as media

ORDER_BYTES = 4096
OPEN_FILES = 32


def confine(memory: int) -> None:
    """Limit this process. memory: bytes that it may allocate in addition to its present size."""
    if sys.platform == "linux":  # elsewhere a process cannot query its memory
        has = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (has + memory, has + memory))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_seconds(seconds: float) -> None:
    """Limit the processor time from now on; the kernel ends the process after it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))


def decode(
    source: str, samples: BinaryIO, sample_rate: int, resampler: str, minutes: float
) -> dict[str, Any]:
    """Write the decoded audio of `source`, float32, to `samples`; return the last answer."""
    written = 0

    def write(chunk: np.ndarray) -> None:
        nonlocal written
        samples.write(chunk.astype(np.float32, copy=False).data)
        samples.flush()
        written += len(chunk)
        print(json.dumps({"samples": written}), flush=True)

    try:
        audio = media.load_audio(
            source,
            sample_rate,
            end=60 * minutes + 1,
            resampler=resampler,
            max_seconds=None,
            on_chunk=write,
        )
    except media.MediaError as error:
        return {"status": 422 if _is_media(source) else 415, "detail": f"the file {error.reason}"}
    if audio.duration > 60 * minutes:
        return {"status": 413, "detail": f"the recording is longer than {minutes:g} minutes"}
    return {"status": 200, "faults": audio.faults, "covered": audio.covered}


def _is_media(source: str) -> bool:
    try:
        media.probe(source)
    except media.MediaError:
        return False
    return True


def main() -> None:
    orders = socket.socket(fileno=sys.stdin.fileno())
    confine(int(sys.argv[1]))
    print(json.dumps({"status": 200}), flush=True)  # ready
    while True:
        line, files, _, _ = socket.recv_fds(orders, ORDER_BYTES, 2)
        if not line:  # the server is gone
            return
        order = json.loads(line)
        allow_seconds(order.pop("seconds"))
        source, target = files
        with open(target, "wb") as samples:
            answer = decode(f"/dev/fd/{source}", samples, **order)
        os.close(source)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
