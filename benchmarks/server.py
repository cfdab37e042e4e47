"""The HTTP server, as `earwitness serve` starts it, against the batch engine; and against hostile clients.

    python -m benchmarks server [--seconds 120] [--clients 64]
    python -m benchmarks server --hostile [--seconds 600] [--clients 16]

Uploads are WAV files of ten seconds, the examples. The batch engine captions the same files, once before the
server's turn and once after, so that what else the machine does meets both alike. With --hostile the clients
that behave share the server with one of each of benchmarks/hostility.py, and memory is read all the while.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles
from typing import Any, NamedTuple

import numpy as np
import soundfile

from benchmarks.hostility import ATTACKS, form, posted
from benchmarks.mini import RATE, sounds
from benchmarks.record import Row, append, report

BATCH = 16  # windows; that of `earwitness serve`
WARM = 8  # clips
READINGS = 20  # of memory, in a run
GRACE = 10.0  # s
TICKS = os.sysconf("SC_CLK_TCK")  # of the processor's clock, a second


class Answered(NamedTuple):
    who: str
    status: int
    seconds: float


def recordings() -> list[bytes]:
    """The examples as WAV files."""
    files = []
    for sound in sounds():
        file = io.BytesIO()
        soundfile.write(file, sound, RATE, format="WAV", subtype="PCM_16")
        files.append(file.getvalue())
    return files


@contextlib.contextmanager
def serving(model: str | None, *options: str) -> Iterator[tuple[int, int]]:
    """(port, process id) of a server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("earwitness")), "serve", "--port", str(port), *options]
    command += [] if model is None else ["--model", model]
    with tempfile.TemporaryFile() as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            while True:
                with contextlib.suppress(OSError):
                    status(port, "GET", "/healthz")
                    break
                if process.poll() is not None:
                    log.seek(0)
                    raise SystemExit(log.read().decode())
                time.sleep(0.2)
            yield port, process.pid
        finally:
            process.terminate()


def status(port: int, method: str, path: str, *request: Any) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request(method, path, *request)
        response = connection.getresponse()
        response.read()
        return response.status


def besiege(clients: Sequence[tuple[str, Callable[[int], int]]], seconds: float) -> list[Answered]:
    """Each client asks again and again; its function takes a number and returns a status (0: none came)."""
    end, answers = time.monotonic() + seconds, []

    def ask(who: str, client: Callable[[int], int], first: int) -> None:
        turn = first
        while (begin := time.monotonic()) < end:
            try:
                found = client(turn)
            except OSError:
                found = 0
            answers.append(Answered(who, found, time.monotonic() - begin))
            turn += 1

    threads = [threading.Thread(target=ask, args=(*client, i)) for i, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def guests(port: int, count: int) -> list[tuple[str, Callable[[int], int]]]:
    """Clients that behave."""
    head, bodies = form(), [posted(file) for file in recordings()]
    return [("guest", lambda i: status(port, "POST", "/v1/captions", bodies[i % len(bodies)], head))] * count


def processor_seconds(process: int) -> float:
    """Of a server and its decoders so far."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    fields = [Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split() for p in [process, *children]]
    return sum(int(own) + int(kernel) for *_, own, kernel in (f[:13] for f in fields)) / TICKS


def batch_engine(model: str | None, clips: int) -> np.ndarray:
    """[clips a second, processor seconds a clip] of the captioner alone, from files' bytes, in a process."""
    command = [sys.executable, "-m", "benchmarks.server", "--engine", str(clips)]
    command += [] if model is None else ["--model", model]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return np.array(printed.split()[-2:], float)


def engine(model: str | None, clips: int) -> tuple[float, float]:
    from earwitness import Captioner

    captioner, files = Captioner.from_pretrained(model), recordings()
    captioner(files[:WARM], batch_size=BATCH)
    begin, worked = time.perf_counter(), time.process_time()
    for _ in captioner.stream((files[i % len(files)] for i in range(clips)), batch_size=BATCH):
        pass
    return clips / (time.perf_counter() - begin), (time.process_time() - worked) / clips


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """(50th, 95th)"""
    cuts = quantiles(seconds, n=20)
    return cuts[9], cuts[18]


def load(options: argparse.Namespace) -> None:
    before = batch_engine(options.model, options.clips)
    with serving(options.model) as (port, process):
        besiege(guests(port, 2), 3)  # warms up
        begin, worked = time.monotonic(), processor_seconds(process)
        answers = besiege(guests(port, options.clients), options.seconds)
        took, worked = time.monotonic() - begin, processor_seconds(process) - worked
    rate, work = (before + batch_engine(options.model, options.clips)) / 2
    middle, late = percentiles([answer.seconds for answer in answers])
    errors = sum(answer.status != 200 for answer in answers)
    rows = [
        Row("clips answered", "clips/s", len(answers) / took, rate, None, "ratio >= 0.8", rate=True),
        Row("processor's time a clip", "ms", 1000 * worked / len(answers), 1000 * work),
        Row("median time of an answer", "s", middle),
        Row("95th percentile", "s", late, wanted="<= 4"),
        Row("errors", f"of {len(answers)}", errors, wanted="0"),
    ]
    report("server", rows, clients=options.clients, seconds=options.seconds)


def siege(options: argparse.Namespace) -> None:
    readings: list[float] = []
    with serving(options.model, "--max-upload-mb", "20") as (port, process):
        besiege(guests(port, options.clients), 20)  # memory grows to what work takes
        finished = threading.Event()

        def watch() -> None:
            while not finished.wait(options.seconds / READINGS):
                readings.append(resident(process))

        watching = threading.Thread(target=watch)
        watching.start()
        attackers = [(name, lambda _, attack=attack: attack.launch(port)) for name, attack in ATTACKS.items()]
        answers = besiege(guests(port, options.clients) + attackers, options.seconds)
        finished.set()
        watching.join()
        after, left = status(port, "GET", "/healthz"), temporary_files(process)
    found = {name: Counter(a.status for a in answers if a.who == name) for name in ["guest", *ATTACKS]}
    right = {"guest": {200}} | {name: attack.right for name, attack in ATTACKS.items()}
    for name, statuses in found.items():
        wrong = "" if set(statuses) <= right[name] else f"  WRONG: wanted {sorted(right[name])}"
        print(f"{name:28}{dict(statuses)}{wrong}")
    middle, late = percentiles([answer.seconds for answer in answers if answer.who == "guest"])
    attacked = sum(sum(statuses.values()) for name, statuses in found.items() if name != "guest")
    print(f"guests: {sum(found['guest'].values())}, median {middle:.2f} s, 95th percentile {late:.2f} s")
    print(f"attacks: {attacked}; memory in MB: {' '.join(f'{reading:.0f}' for reading in readings)}")
    print(f"afterwards: /healthz {after}, temporary files {left}")
    append(
        "server",
        {
            "hostile": {name: dict(statuses) for name, statuses in found.items()},
            "wrong": [name for name, statuses in found.items() if not set(statuses) <= right[name]],
            "seconds": options.seconds,
            "clients": options.clients,
            "guest_seconds": [middle, late],
            "memory_mb": readings,
            "temporary_files": left,
        },
    )


def resident(process: int) -> float:
    """MB of a process now, its own: what the decoders take, their limits bound."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1000


def temporary_files(process: int) -> int:
    """That a server holds, its two logs left out, once it had time to notice who left."""
    time.sleep(GRACE)
    names = [os.readlink(file) for file in Path(f"/proc/{process}/fd").iterdir()]
    mapped = Path(f"/proc/{process}/maps").read_text().splitlines()
    return (
        sum(name.startswith(tempfile.gettempdir()) for name in names)
        - 2
        + sum(tempfile.gettempdir() in line for line in mapped)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="checkpoint folder or hub name; none: the embedded default")
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--clients", type=int)
    parser.add_argument("--clips", type=int, default=640, help="that the batch engine captions, each time")
    parser.add_argument("--engine", type=int, help=argparse.SUPPRESS)  # it, in a process of its own
    options = parser.parse_args()
    if options.engine:
        print(*engine(options.model, options.engine))
        return
    options.seconds = options.seconds or (600.0 if options.hostile else 120.0)
    options.clients = options.clients or (16 if options.hostile else 64)
    (siege if options.hostile else load)(options)


if __name__ == "__main__":
    main()
