"""Sinkhorn against LAVCap's own code (tests/golden/ot.npz), POT, a slow twin, and its defining equations."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earwitness.optimal_transport import sinkhorn

GOLDEN = np.load(Path(__file__).parent / "golden" / "ot.npz")
CASES = [key for key in GOLDEN.files if key.startswith("logQ/")]


def slow_sinkhorn(similarity: Tensor, epsilon: float, iterations: int) -> Tensor:
    """[N, M] without padding, float64, as in the textbook."""
    scores = similarity.double() / epsilon
    rows, columns = -math.log(scores.shape[0]), -math.log(scores.shape[1])
    v = scores.new_zeros(1, scores.shape[1])
    for _ in range(iterations):
        u = rows - (scores + v).logsumexp(1, keepdim=True)
        v = columns - (scores + u).logsumexp(0, keepdim=True)
    return scores + u + v


@pytest.mark.parametrize("key", CASES)
def test_equals_the_released_code(key):
    _, shape, epsilon, iterations = key.split("/")
    similarity = torch.from_numpy(GOLDEN[f"S/{shape}"])[None]
    epsilon, iterations = float(epsilon.removeprefix("eps")), int(iterations.removeprefix("it"))
    expected = torch.from_numpy(GOLDEN[key])
    torch.testing.assert_close(sinkhorn(similarity, epsilon, iterations)[0], expected, rtol=0, atol=1e-9)
    single = sinkhorn(similarity.float(), epsilon, iterations)[0]
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.exp(), expected.exp().float(), rtol=0, atol=1e-6)
    torch.testing.assert_close(single, expected.float(), rtol=0, atol=1.5e-6 / min(epsilon, 0.1))


@given(
    lengths=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    epsilon=st.sampled_from([0.01, 0.1, 1.0]),
    iterations=st.integers(1, 30),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_padded_batch_equals_each_clip_alone(lengths, epsilon, iterations, seed):
    generator = torch.Generator().manual_seed(seed)
    n, m = (max(sizes) + 2 for sizes in zip(*lengths))
    similarity = 2 * torch.rand(len(lengths), n, m, generator=generator, dtype=torch.float64) - 1
    row_mask = torch.zeros(len(lengths), n, dtype=torch.bool)
    column_mask = torch.zeros(len(lengths), m, dtype=torch.bool)
    for i, (rows, columns) in enumerate(lengths):  # real tokens anywhere, not just in front
        row_mask[i, torch.randperm(n, generator=generator)[:rows]] = True
        column_mask[i, torch.randperm(m, generator=generator)[:columns]] = True
    log_plan = sinkhorn(similarity, epsilon, iterations, row_mask, column_mask)
    real = row_mask[:, :, None] & column_mask[:, None, :]
    assert (log_plan[~real] == -math.inf).all()
    for i in range(len(lengths)):
        alone = slow_sinkhorn(similarity[i][row_mask[i]][:, column_mask[i]], epsilon, iterations)
        torch.testing.assert_close(log_plan[i][row_mask[i]][:, column_mask[i]], alone, rtol=0, atol=1e-8)


def test_plan_has_its_marginals_and_solves_the_problem():
    similarity = 2 * torch.rand(2, 12, 5, generator=torch.Generator().manual_seed(1)).double() - 1
    column_mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    log_plan = sinkhorn(similarity, 0.1, 500, None, column_mask)
    plan = log_plan.exp()
    torch.testing.assert_close(
        plan.sum(2), torch.full((2, 12), 1 / 12, dtype=torch.float64), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        plan[0].sum(0), torch.full((5,), 1 / 5, dtype=torch.float64), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(plan[1].sum(0), torch.tensor([1, 1, 1, 0, 0]).double() / 3, rtol=0, atol=1e-12)
    # Optimality: log Q - S / epsilon is a function of the row plus a function of the column.
    potentials = (log_plan - similarity / 0.1)[:, :, :3]
    mixed = potentials - potentials[:, :1] - potentials[:, :, :1] + potentials[:, :1, :1]
    torch.testing.assert_close(mixed, torch.zeros_like(mixed), rtol=0, atol=1e-10)
    # Mass goes where the similarity is: the plan beats the independent one.
    assert (plan * similarity).sum() > (similarity.mean(1)[0].mean() + similarity[1, :, :3].mean())


def test_small_epsilon_in_single_precision():
    # exp(2 / 0.002) is far outside fp32: only logarithms survive.
    similarity = 2 * torch.rand(3, 20, 30, generator=torch.Generator().manual_seed(2)) - 1
    similarity[0, 0], similarity[0, :, 0] = -1.0, 1.0
    log_plan = sinkhorn(similarity, 0.002, 50)
    twin = torch.stack([slow_sinkhorn(s, 0.002, 50) for s in similarity])
    torch.testing.assert_close(log_plan.double(), twin, rtol=0, atol=5e-3)
    torch.testing.assert_close(log_plan.exp().sum(1), torch.full((3, 30), 1 / 30), rtol=1e-4, atol=0)


def test_full_precision_under_autocast_and_from_bf16():
    similarity = 2 * torch.rand(2, 64, 20, generator=torch.Generator().manual_seed(3)) - 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = sinkhorn(similarity)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, sinkhorn(similarity))
    half = sinkhorn(similarity.bfloat16())
    assert half.dtype == torch.float32
    torch.testing.assert_close(half.exp().sum(2), torch.full((2, 64), 1 / 64), rtol=1e-4, atol=0)


def test_carries_no_gradient():
    assert not sinkhorn(torch.rand(1, 3, 4, requires_grad=True)).requires_grad


def test_a_clip_without_tokens_disturbs_nobody():
    similarity = torch.rand(3, 4, 5)
    row_mask, column_mask = torch.ones(3, 4, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    row_mask[0], column_mask[1] = False, False
    log_plan = sinkhorn(similarity, 0.1, 50, row_mask, column_mask)
    assert (log_plan[:2] == -math.inf).all()
    torch.testing.assert_close(log_plan[2:], sinkhorn(similarity[2:]))


def test_equals_python_optimal_transport():
    ot = pytest.importorskip("ot")
    similarity = 2 * np.random.default_rng(4).random((12, 7)) - 1
    expected = ot.sinkhorn(
        np.full(12, 1 / 12), np.full(7, 1 / 7), -similarity, 0.1, numItermax=5000, stopThr=1e-14
    )
    plan = sinkhorn(torch.from_numpy(similarity)[None], 0.1, 500).exp()[0]
    np.testing.assert_allclose(plan.numpy(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.rand(3, 4),), r"must be \[B, N, M\], not \(3, 4\)"),
        ((torch.rand(1, 3, 4), 0.0), "epsilon must be positive"),
        ((torch.rand(1, 3, 4), float("nan")), "epsilon must be positive"),
        ((torch.rand(1, 3, 4), 0.1, 0), "iterations must be at least 1"),
        ((torch.rand(1, 3, 4), 0.1, 5, torch.ones(1, 4) > 0), r"row_mask must be \(1, 3\), not \(1, 4\)"),
        ((torch.rand(1, 3, 4), 0.1, 5, None, torch.ones(2, 4) > 0), r"column_mask must be \(1, 4\)"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        sinkhorn(*arguments)
