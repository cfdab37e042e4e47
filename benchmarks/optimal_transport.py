"""Time of the batched Sinkhorn against one call per clip of the plain log-space iteration.

    python benchmarks/optimal_transport.py --batch 32 --rows 64 --columns 20 --iterations 50

The plain iteration (two logsumexp a step) is what the loop runs, for it is what one writes per sample; the
batched function called once per clip is timed as well, so that the gain of batching can be told apart.
"""

from __future__ import annotations

import argparse
import math
import platform
import time
from collections.abc import Callable

import torch
from torch import Tensor

from earwitness.optimal_transport import sinkhorn


def plain_sinkhorn(similarity: Tensor, epsilon: float, iterations: int) -> Tensor:
    """One clip, [N, M] -> log Q [N, M]: Sinkhorn's iteration as in the textbook, in log space."""
    scores = similarity / epsilon
    rows, columns = -math.log(len(scores)), -math.log(scores.shape[1])
    v = scores.new_zeros(1, scores.shape[1])
    for _ in range(iterations):
        u = rows - (scores + v).logsumexp(1, keepdim=True)
        v = columns - (scores + u).logsumexp(0, keepdim=True)
    return scores + u + v


def best_time(function: Callable[[], object], repeats: int) -> float:
    """Shortest of several runs, in milliseconds."""
    times = []
    for _ in range(repeats + 1):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:]) * 1e3


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--epsilon", type=float, default=0.1)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()

    generator = torch.Generator().manual_seed(0)
    similarity = 2 * torch.rand(options.batch, options.rows, options.columns, generator=generator) - 1
    similarity = similarity.to(options.device)
    epsilon, iterations = options.epsilon, options.iterations
    batched = best_time(lambda: sinkhorn(similarity, epsilon, iterations), options.repeats)
    singly = best_time(lambda: [sinkhorn(s[None], epsilon, iterations) for s in similarity], options.repeats)
    plain = best_time(lambda: [plain_sinkhorn(s, epsilon, iterations) for s in similarity], options.repeats)
    twin = torch.stack([plain_sinkhorn(s.double(), epsilon, iterations) for s in similarity])
    error = (sinkhorn(similarity, epsilon, iterations) - twin).abs().max().item()

    print(
        f"{options.batch} x ({options.rows} x {options.columns}), epsilon {epsilon}, "
        f"{iterations} iterations, {options.device}, {torch.get_num_threads()} thread(s), "
        f"{platform.machine()}, torch {torch.__version__}"
    )
    print(f"batched                     {batched:9.2f} ms   largest error in log Q against fp64: {error:.1e}")
    print(f"same function, clip by clip {singly:9.2f} ms   {singly / batched:6.1f} x")
    print(f"plain loop, clip by clip    {plain:9.2f} ms   {plain / batched:6.1f} x")


if __name__ == "__main__":
    main()
