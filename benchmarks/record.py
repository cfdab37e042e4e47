"""What a benchmark leaves behind: a table, and a JSON line with machine, versions, commit and date."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

RESULTS = Path(__file__).with_name("results")
PACKAGES = ("earwitness", "onnxruntime", "torch", "transformers", "av", "numpy")


class Row(NamedTuple):
    """One line of a table. ours, baseline, limit: in `unit`. rate: more is better, else less."""

    what: str
    unit: str
    ours: float
    baseline: float | None = None
    limit: float | None = None
    wanted: str = ""
    rate: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the baseline."""
        if self.baseline is None:
            return None
        return self.ours / self.baseline if self.rate else self.baseline / self.ours


def machine() -> dict[str, Any]:
    """Processor, cores and GPU, and how many others were waiting for the cores."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": processor or platform.processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "gpu": gpu,
        "system": platform.system(),
    }


def circumstances() -> dict[str, Any]:
    """Machine, versions, commit and date."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=RESULTS.parent, capture_output=True, text=True
    )
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip() or None,
        "python": platform.python_version(),
        "versions": found,
        "machine": machine(),
    }


def append(name: str, figures: dict[str, Any]) -> None:
    """One JSON line to benchmarks/results/NAME.jsonl."""
    RESULTS.mkdir(exist_ok=True)
    line = json.dumps({"benchmark": name, **circumstances(), **figures})
    with (RESULTS / f"{name}.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def report(name: str, rows: Sequence[Row], /, **settings: Any) -> None:
    """Prints the table and appends the line."""
    width = max(len(row.what) for row in rows)
    print(f"{'':{width}} {'ours':>11} {'baseline':>11} {'ratio':>7} {'limit':>11}")
    for row in rows:
        cells = [
            _number(row.ours, 11),
            _number(row.baseline, 11),
            _number(row.ratio, 7),
            _number(row.limit, 11),
        ]
        print(f"{row.what:{width}} {' '.join(cells)}  {row.unit}{row.wanted and f'; wanted {row.wanted}'}")
    append(name, settings | {"rows": [row._asdict() | {"ratio": row.ratio} for row in rows]})


def _number(value: float | None, width: int) -> str:
    return " " * width if value is None else f"{value:{width}.4g}"


def side_by_side(repeats: int, /, **functions: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each function, taken in turns, so that what else the machine does meets all alike."""
    clock = fair_clock()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            begin = clock()
            function()
            finish()
            if repeat:  # the first round warms up
                times[name].append(clock() - begin)
    return {name: median(taken) for name, taken in times.items()}


def finish() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def fair_clock() -> Callable[[], float]:
    """The seconds of this process alone where it computes in one thread of a CPU, else those of the wall.

    So the figures of one thread hold on a busy machine too.
    """
    import torch

    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    return time.process_time if alone else time.perf_counter


class Stopwatch:
    """Adds up the seconds spent in the functions it was put around, and counts their calls."""

    def __init__(self) -> None:
        self.clock = fair_clock()
        self.reset()

    def reset(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def around(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            finish()
            begin = self.clock()
            try:
                return function(*arguments, **named)
            finally:
                finish()
                self.seconds += self.clock() - begin
                self.calls += 1

        return timed
