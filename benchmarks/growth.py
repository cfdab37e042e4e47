"""Whether cost grows linearly: 1, 10 and 100 times the clips; 10, 60 and 600 s of sound.

    python -m benchmarks growth [--clips 8] [--threads 2]

The baseline of every row is the first of its kind, so that a ratio of 1 is linear growth.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch

from benchmarks.mini import RATE, resident_memory, sounds
from benchmarks.record import Row, fair_clock, report
from earwitness import Captioner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--times", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--seconds", type=int, nargs="+", default=[10, 60, 600])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = fair_clock()
    captioner = Captioner.from_pretrained()
    examples = sounds()
    captioner(examples)  # warms up
    rows: list[Row] = []
    first = None
    for times in options.times:
        count = options.clips * times
        clips = (examples[i % len(examples)] for i in range(count))
        begin = clock()
        captions = sum(1 for _ in captioner.stream(clips, batch_size=options.clips))
        each = 1000 * (clock() - begin) / captions
        first = first or each
        rows.append(Row(f"{count} clips", "ms/clip", each, first))
        rows.append(Row("  memory at the end", "MB", resident_memory()))
    first = None
    for seconds in options.seconds:
        sound = (np.resize(np.concatenate(examples), seconds * RATE), RATE)
        begin = clock()
        windows = sum(1 for _ in captioner.timeline(sound, batch_size=options.clips))
        each = 1000 * (clock() - begin) / windows
        first = first or each
        rows.append(Row(f"{seconds} s of sound", "ms/window", each, first))
    report("growth", rows, clips=options.clips, clock=clock.__name__)


if __name__ == "__main__":
    main()
