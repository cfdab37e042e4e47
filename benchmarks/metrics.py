"""Time and memory of the default metrics: python -m benchmarks.metrics [--clips 1000] [--references 5].

Captions are drawn from a small grammar with a fixed seed, so that the numbers can be had again anywhere.
The METEOR index is
built before the clock starts.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time

THINGS = (
    "dog cat man woman child bird car truck train engine wind rain water bell door crowd machine horn "
    "insect boat"
).split()
DOINGS = (
    "barks meows speaks laughs sings chirps passes idles blows falls splashes rings creaks cheers hums honks"
).split()
PLACES = [
    "in the background",
    "in the distance",
    "nearby",
    "loudly",
    "on a wooden floor",
    "while people talk",
    "and then stops",
]


def caption(chosen: random.Random) -> str:
    """Some ten words, as people write of sounds."""
    one, two = chosen.sample(THINGS, 2)
    tail = chosen.choice(PLACES)
    number = chosen.choice(["", " again", f" {chosen.randrange(2, 9)} times", " for a while"])
    return f"a {one} {chosen.choice(DOINGS)}{number} and a {two} {chosen.choice(DOINGS)} {tail}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--references", type=int, default=5)
    parser.add_argument("--metrics", default="default")
    options = parser.parse_args()
    begin = time.perf_counter()
    from earwitness.metrics import score

    imported = time.perf_counter() - begin
    chosen = random.Random(0)
    references = [[caption(chosen) for _ in range(options.references)] for _ in range(options.clips)]
    candidates = [caption(chosen) for _ in range(options.clips)]
    score(candidates[:2], references[:2], options.metrics)
    begin, cpu = time.perf_counter(), time.process_time()
    report = score(candidates, references, options.metrics)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    print(report)
    print(f"import {imported:.2f} s")
    print(f"{options.clips} clips: {wall:.2f} s wall, {cpu:.2f} s CPU, {memory:.0f} MB at most")


if __name__ == "__main__":
    main()
