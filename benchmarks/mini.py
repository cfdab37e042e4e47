"""Speed and memory of a captioner on this machine; without --model, of the one that comes with the package.

    python -m benchmarks mini [--model MODEL] [--runtime onnx] [--threads 2] [--only batch,clip,start,hour]

Each figure comes from a process of its own, so that one's memory does not count for another. Sounds are the
examples, decoded beforehand but for `start` and `hour`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.record import append

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE = 16_000  # Hz
BATCH, SECONDS = 32, 10.0
SETTLED = 1800  # s of a timeline: clips are captioned in groups of some six minutes, of lengths of their own
# Figure -> (what is measured, unit, wanted at two cores: at least or at most)
FIGURES = {
    "batch_clips_per_second": (f"{SECONDS:g} s clips, batches of {BATCH}", "clips/s", ">= 20"),
    "batch_times_real_time": ("the same, against the sound's duration", "x", ">= 200"),
    "batch_peak_memory": ("peak memory of it", "MB", "<= 1200"),
    "clip_latency": (f"one {SECONDS:g} s clip, warm, median of 20", "ms", "<= 150"),
    "start_to_caption": ("process start to first caption, median of 3", "s", "<= 1"),
    "start_peak_memory": ("peak memory of it", "MB", "<= 300"),
    "hour_seconds": ("timeline of a one-hour Ogg/Opus file", "s", "<= 30"),
    "hour_memory_growth": ("memory at its end less that after 30 minutes of sound", "MB", "<= 5"),
    "hour_peak_memory": ("peak memory of it", "MB", "<= 1200"),
}


def sounds() -> list[np.ndarray]:
    """The example sounds, each repeated or cut to SECONDS."""
    from earwitness.media.files import find_media
    from earwitness.media.reading import load_audio

    size = round(SECONDS * RATE)
    return [np.resize(load_audio(file, RATE).waveform, size) for file in find_media(EXAMPLES)]


def peak_memory() -> float:
    """MB of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000  # Linux counts in kB


def resident_memory() -> float:
    """MB of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure_batch(captioner: Any) -> dict[str, float]:
    rng = np.random.default_rng(0)
    clips = [sound * rng.uniform(0.3, 1.0) for sound in sounds() for _ in range(8)]  # 64: two batches
    clips = [clip.astype(np.float32) for clip in clips]
    captioner(clips[:BATCH], batch_size=BATCH)
    begin = time.perf_counter()
    rounds = 3
    for _ in range(rounds):
        captioner(clips, batch_size=BATCH)
    rate = rounds * len(clips) / (time.perf_counter() - begin)
    return {
        "batch_clips_per_second": rate,
        "batch_times_real_time": rate * SECONDS,
        "batch_peak_memory": peak_memory(),
    }


def measure_clip(captioner: Any) -> dict[str, float]:
    clips = sounds()
    times = []
    for k in range(25):
        begin = time.perf_counter()
        captioner(clips[k % len(clips)])
        times.append(time.perf_counter() - begin)
    return {"clip_latency": 1000 * median(times[5:])}  # the first few warm up


def measure_start(model: str | None, runtime: str) -> dict[str, float]:
    """The command as a user types it."""
    chosen = ["--runtime", runtime, *([] if model is None else ["--model", model])]
    command = [
        str(Path(sys.executable).with_name("earwitness")),
        "caption",
        str(EXAMPLES / "jet.opus"),
        *chosen,
    ]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - begin)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    return {"start_to_caption": median(times), "start_peak_memory": peak}


def measure_hour(captioner: Any) -> dict[str, float]:
    import soundfile

    minute = np.resize(np.concatenate(sounds()), 60 * RATE)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hour.opus"
        with soundfile.SoundFile(file, "w", RATE, 1, format="OGG", subtype="OPUS") as out:
            for _ in range(60):
                out.write(minute)
        captioner(minute[: 10 * RATE])
        begin, early = time.perf_counter(), 0.0
        for caption in captioner.timeline(str(file), batch_size=BATCH):
            if caption.end >= SETTLED and not early:
                early = resident_memory()
        seconds = time.perf_counter() - begin
    growth = resident_memory() - early
    return {"hour_seconds": seconds, "hour_memory_growth": growth, "hour_peak_memory": peak_memory()}


MEASURES = {"batch": measure_batch, "clip": measure_clip, "start": measure_start, "hour": measure_hour}


def measure(part: str, model: str | None, runtime: Any, threads: int) -> dict[str, float]:
    if part == "start":
        return measure_start(model, runtime)
    from earwitness import Captioner
    from earwitness.devices import keep_freed_memory

    if hasattr(os, "sched_setaffinity"):  # of either runtime
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    keep_freed_memory()  # as the commands do
    return MEASURES[part](Captioner.from_pretrained(model, runtime=runtime))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="checkpoint folder or hub name; none: the embedded default")
    parser.add_argument("--runtime", default="auto", help="auto, onnx or torch")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", default=",".join(MEASURES), help="parts, with commas")
    parser.add_argument("--part", help=argparse.SUPPRESS)  # one of them, in a process of its own
    arguments = parser.parse_args()
    if arguments.part:
        print(json.dumps(measure(arguments.part, arguments.model, arguments.runtime, arguments.threads)))
        return
    found: dict[str, float] = {}
    same = [
        "--runtime",
        arguments.runtime,
        "--threads",
        str(arguments.threads),
        *(["--model", arguments.model] if arguments.model else []),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    for part in arguments.only.split(","):
        command = [sys.executable, "-m", "benchmarks.mini", "--part", part, *same]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        found |= json.loads(done.stdout.splitlines()[-1])
    for name, value in found.items():
        what, unit, wanted = FIGURES[name]
        print(f"{what:55}{value:10.1f} {unit:8}{wanted and f'wanted {wanted}'}")
    settings = {"model": arguments.model or "mini", "runtime": arguments.runtime}
    settings["threads"] = arguments.threads
    append("mini", settings | {name: round(value, 2) for name, value in found.items()})


if __name__ == "__main__":
    main()
