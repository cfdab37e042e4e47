"""Cauchy-Schwarz divergence of a large batch: time and memory, against all pairs at once.

    python -m benchmarks cs_divergence [--batch 4096] [--dim 4096]

The baseline holds the three kernel matrices whole; each run is a process of its own, so that the memory it
took can be told.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from statistics import median

import torch
from torch import Tensor

from benchmarks.limits import matmul_rate
from benchmarks.record import Row, fair_clock, report
from earwitness.losses import cauchy_schwarz_divergence


def plain_divergence(x: Tensor, y: Tensor, sigma: float) -> Tensor:
    """LAMB Eq. 6, matrix by matrix."""

    def log_sum(a: Tensor, b: Tensor) -> Tensor:
        return (-torch.cdist(a, b).square() / (2 * sigma**2)).flatten().logsumexp(0)

    return -log_sum(x, y) + 0.5 * (log_sum(x, x) + log_sum(y, y))


FORMS = {"ours": cauchy_schwarz_divergence, "plain": plain_divergence}


def measure(form: str, batch: int, dim: int, repeats: int) -> dict[str, float]:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(batch, dim, generator=generator, requires_grad=True) for _ in range(2))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    clock, times = fair_clock(), []
    for _ in range(repeats):
        begin = clock()
        value = FORMS[form](x, y, dim**0.5)
        value.backward()
        times.append(clock() - begin)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    return {"seconds": median(times), "megabytes": peak, "value": value.item()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--part", choices=FORMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(measure(options.part, options.batch, options.dim, options.repeats)))
        return
    found = {}
    for form in FORMS:
        sizes = [f"--{name}={getattr(options, name)}" for name in ("batch", "dim", "repeats")]
        command = [sys.executable, "-m", "benchmarks.cs_divergence", "--part", form, *sizes]
        found[form] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    ours, plain = found["ours"], found["plain"]
    assert abs(ours["value"] - plain["value"]) < 1e-3, "the two forms differ"
    limit = (
        3 * 3 * 2 * options.batch**2 * options.dim / matmul_rate()
    )  # three products, forward and twice back
    rows = [
        Row("forward and backward", "s", ours["seconds"], plain["seconds"], limit),
        Row("memory on top of the inputs", "MB", ours["megabytes"], plain["megabytes"]),
    ]
    report("cs_divergence", rows, batch=options.batch, dim=options.dim)


if __name__ == "__main__":
    main()
