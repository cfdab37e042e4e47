"""An archive captioned by the command, killed three times: files a second, and each file exactly once.

    python -m benchmarks archive [--files 10000] [--kills 3]

Ten-second files: excerpts of the examples, a few hundred distinct ones under many names.
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.mini import RATE, SECONDS, sounds
from benchmarks.record import Row, report

DISTINCT = 400


def write_archive(folder: Path, files: int) -> None:
    import soundfile

    rng, sound = np.random.default_rng(0), np.concatenate(sounds())
    for number in range(files):
        path = folder / f"{number // 1000:03}" / f"{number:06}.flac"
        path.parent.mkdir(exist_ok=True)
        if number < DISTINCT:
            excerpt = np.roll(sound, rng.integers(len(sound)))[: round(SECONDS * RATE)]
            soundfile.write(path, (excerpt * rng.uniform(0.2, 1.0)).astype(np.float32), RATE)
        else:
            os.link(folder / "000" / f"{number % DISTINCT:06}.flac", path)


def run_killed(command: list[str], moments: list[float]) -> tuple[float, int]:
    """(seconds of all processes, files that were captioned before when the last began)."""
    begin = time.perf_counter()
    for seconds in moments:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    before = next((line for line in done.stderr.splitlines() if "captioned before" in line), "0")
    return time.perf_counter() - begin, int(before.split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="checkpoint folder or hub name; none: the embedded default")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--within", type=float, default=60.0, help="s after its start a process is killed")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    from earwitness.tables import read_rows

    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "archive", Path(name) / "captions.jsonl"
        folder.mkdir()
        write_archive(folder, options.files)
        command = [str(Path(sys.executable).with_name("earwitness")), "caption", str(folder), "--recursive"]
        command += ["--out", str(out), "--resume", "--workers", str(options.workers), "--batch-size", "32"]
        command += ["--model", options.model] if options.model else []
        moments = np.random.default_rng().uniform(0.0, options.within, options.kills).tolist()
        seconds, before = run_killed(command, moments)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        times = Counter(row["path"] for row in read_rows(out))
        missing = options.files - len(times)
        twice = sum(count - 1 for count in times.values())
    rows = [
        Row(f"{options.files} files, killed {options.kills} times, end to end", "s", seconds),
        Row("  files a second", "files/s", options.files / seconds, limit=15.0, rate=True),
        Row("  processor time", "s", used.ru_utime + used.ru_stime),
        Row("  done before the last process began", "files", before),
        Row("  missing", "files", missing, limit=0),
        Row("  twice", "files", twice, limit=0),
    ]
    report("archive", rows, model=options.model or "mini", killed=[round(moment, 1) for moment in moments])


if __name__ == "__main__":
    main()
