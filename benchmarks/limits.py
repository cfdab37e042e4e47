"""What the machine can do at most, measured: products of matrices a second, and bytes a second."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.record import fair_clock, finish

SIZES = {"cpu": 1536, "cuda": 8192}
BYTES = {"cpu": 2**28, "cuda": 2**32}


def best(function: Callable[[], object], repeats: int = 7) -> float:
    """Shortest of several runs in seconds: a limit is what the machine does when nothing disturbs it."""
    clock, times = fair_clock(), []
    for _ in range(repeats):
        begin = clock()
        function()
        finish()
        times.append(clock() - begin)
    return min(times)


def matmul_rate(device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Floating-point operations a second of a large square matrix product."""
    n = SIZES[device]
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return 2 * n**3 / best(lambda: a @ b)


def bandwidth(device: str = "cpu") -> float:
    """Bytes a second that are read where a large tensor is summed."""
    x = torch.ones(BYTES[device] // 4, device=device)
    return BYTES[device] / best(lambda: x.sum())
