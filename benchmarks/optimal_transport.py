"""Time of the batched Sinkhorn against one call per clip of the plain log-space iteration.

    python -m benchmarks optimal_transport --batch 32 --rows 64 --columns 20 --iterations 50

The plain iteration (two logsumexp a step) is what the loop runs, for it is what one writes per sample; the
batched function called once per clip is timed as well, so that the gain of batching can be told apart.
"""

from __future__ import annotations

import argparse
import math

import torch
from torch import Tensor

from benchmarks.record import Row, report, side_by_side
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
    times = side_by_side(
        options.repeats,
        batched=lambda: sinkhorn(similarity, epsilon, iterations),
        singly=lambda: [sinkhorn(s[None], epsilon, iterations) for s in similarity],
        plain=lambda: [plain_sinkhorn(s, epsilon, iterations) for s in similarity],
    )
    twin = torch.stack([plain_sinkhorn(s.double(), epsilon, iterations) for s in similarity])
    error = (sinkhorn(similarity, epsilon, iterations) - twin).abs().max().item()
    ours, singly, plain = (1000 * times[name] for name in ("batched", "singly", "plain"))
    rows = [
        Row("batched, against the plain loop", "ms", ours, plain, wanted=">= 10 x"),
        Row("batched, against the same function clip by clip", "ms", ours, singly),
        Row("largest error in log Q against fp64", "", error),
    ]
    names = ("batch", "rows", "columns", "epsilon", "iterations", "device")
    report("optimal_transport", rows, **{name: getattr(options, name) for name in names})


if __name__ == "__main__":
    main()
