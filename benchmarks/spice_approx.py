"""spice_approx against true SPICE: python -m benchmarks.spice_approx SCORED.json.

The file is a list of rows with cand, refs and scores.spice, as aac-metrics computes them. Nothing is fitted:
the spread over five parts and the bootstrap intervals say how far a figure hangs on the clips.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def pearson(one: Floats, two: Floats) -> float:
    return float(np.corrcoef(one, two)[0, 1])


def spearman(one: Floats, two: Floats) -> float:
    return pearson(ranks(one), ranks(two))


def ranks(values: Floats) -> Floats:
    """Equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


MEASURES: dict[str, Callable[[Floats, Floats], float]] = {
    "Pearson": pearson,
    "Spearman": spearman,
    "mean absolute error": lambda one, two: float(np.abs(one - two).mean()),
    "ratio of means": lambda one, two: float(one.mean() / two.mean()),
}


def main() -> None:
    from earwitness import score

    with open(sys.argv[1], encoding="utf-8") as file:
        rows = json.load(file)
    true = np.array([row["scores"]["spice"] for row in rows])
    report = score([row["cand"] for row in rows], [row["refs"] for row in rows], "spice_approx")
    found = np.array(report.clips["spice_approx"])
    generator = np.random.default_rng(0)
    parts = np.array_split(generator.permutation(len(rows)), 5)
    drawn = generator.integers(len(rows), size=(2000, len(rows)))
    print(f"{len(rows)} clips{'':16}value   95 % interval    of five parts")
    for name, measure in MEASURES.items():
        low, high = np.quantile([measure(found[d], true[d]) for d in drawn], [0.025, 0.975])
        each = " ".join(f"{measure(found[part], true[part]):.3f}" for part in parts)
        print(f"{name:<24} {measure(found, true):6.3f}   [{low:.3f}, {high:.3f}]  {each}")


if __name__ == "__main__":
    main()
