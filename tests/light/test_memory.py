"""Memory does not grow with the length of a recording."""

from __future__ import annotations

import subprocess
import sys

import pytest

MOST_GROWTH = 5.0  # MB
MINUTES = 60
# Prints the megabytes that the process has, after every caption. A group of captions covers some six minutes,
# and each has clips of other lengths, so the memory that work takes is known after some of them.
SCRIPT = f"""
import resource
import numpy as np
from earwitness.captioner import Captioner
from earwitness.devices import keep_freed_memory

keep_freed_memory()
rng, seconds = np.random.default_rng(0), np.arange(16_000 * 10) / 16_000

def pieces():
    for _ in range(6 * {MINUTES}):
        pitch, beat = rng.uniform(100, 4000), rng.uniform(0.1, 3)
        tone = np.sin(2 * np.pi * pitch * seconds) * (rng.uniform(size=len(seconds)) < 0.9)
        tone *= rng.uniform(0.05, 0.5) * (np.sin(beat * seconds) > rng.uniform(-1, 0.5))
        yield tone.astype(np.float32)

for caption in Captioner.from_pretrained(runtime="onnx").timeline((pieces(), 16_000)):
    with open("/proc/self/statm") as file:
        print(caption.end, int(file.read().split()[1]) * resource.getpagesize() / 1e6)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_level_over_a_long_recording() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    taken = [(float(end), float(megabytes)) for end, megabytes in map(str.split, done.stdout.splitlines())]
    assert taken[-1][0] == pytest.approx(60 * MINUTES, abs=0.01)
    settled = next(megabytes for end, megabytes in taken if end >= 30 * MINUTES)
    assert taken[-1][1] - settled <= MOST_GROWTH
