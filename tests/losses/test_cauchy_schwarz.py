from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.embeds import length_mask
from earwitness.losses import cauchy_schwarz_divergence, token_cauchy_schwarz

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "lamb.npz")


def golden(name: str) -> torch.Tensor:
    return torch.from_numpy(GOLDEN[name])


def padded(name: str, padding: float) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [golden(f"{name}/{i}") for i in range(5)]
    values = torch.full((5, 9, 8), padding, dtype=torch.float64)
    for value, row in zip(values, rows):
        value[: len(row)] = row
    return values, length_mask(torch.tensor([len(row) for row in rows]), 9)


@pytest.mark.parametrize("i", range(3))
def test_equals_the_integral_over_kernel_density_estimates(i: int) -> None:
    x, y = golden("kde1d/X")[:, None], golden("kde1d/Y")[:, None]  # 6 and 9 points
    divergence = cauchy_schwarz_divergence(x, y, float(GOLDEN["kde1d/sigma"][i]))
    assert divergence.item() == pytest.approx(GOLDEN["kde1d/divergence"][i], abs=1e-12)


@pytest.mark.parametrize("i", range(4))
def test_global_value_and_gradient_equal_golden(i: int) -> None:
    sigma = float(GOLDEN["cs/sigma"][i])
    audio = golden("pooled_a").clone().requires_grad_()
    divergence = cauchy_schwarz_divergence(audio, golden("pooled_t"), sigma)
    assert divergence.item() == pytest.approx(GOLDEN["cs/global"][i], abs=1e-10)
    divergence.backward()
    torch.testing.assert_close(audio.grad, golden(f"grad_global_a/sigma{sigma}"), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("i", range(4))
@pytest.mark.parametrize("padding", [0.0, 1e3])
def test_token_value_equals_golden_whatever_the_padding(i: int, padding: float) -> None:
    (x, x_mask), (y, y_mask) = padded("za", padding), padded("zt", padding)
    divergence = token_cauchy_schwarz(x, y, float(GOLDEN["cs/sigma"][i]), x_mask=x_mask, y_mask=y_mask)
    assert divergence.item() == pytest.approx(GOLDEN["cs/token"][i], abs=1e-9)


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_rows_at_a_time_equal_all_pairs_at_once(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earwitness.losses.cauchy_schwarz.ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    x = (30 * torch.randn(2, 7, 3, generator=generator, dtype=torch.float64)).requires_grad_()
    y = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64).requires_grad_()
    x_mask, y_mask = torch.ones(2, 7, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    x_mask[0, :3] = y_mask[1, 4:] = False  # the first rows of a clip may all be padding

    def log_sum(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        distances = (a[:, None] - b[None]).square().sum(-1)
        return (-distances / 8).flatten().logsumexp(0)

    pairs = [(x[i, x_mask[i]], y[i, y_mask[i]]) for i in range(2)]
    wanted = torch.stack([(log_sum(a, a) + log_sum(b, b)) / 2 - log_sum(a, b) for a, b in pairs]).mean()
    found = token_cauchy_schwarz(x, y, 2.0, x_mask=x_mask, y_mask=y_mask)
    torch.testing.assert_close(found, wanted)
    gradients = zip(torch.autograd.grad(found, (x, y)), torch.autograd.grad(wanted, (x, y)))
    for gradient, reference in gradients:
        torch.testing.assert_close(gradient, reference)


@pytest.mark.parametrize("i", range(4))
def test_wide_embeddings_stay_finite_in_fp32(i: int) -> None:
    audio = golden("hd/a").requires_grad_()
    divergence = cauchy_schwarz_divergence(audio, golden("hd/t"), float(GOLDEN["hd/sigma"][i]))
    assert divergence.item() == pytest.approx(GOLDEN["hd/divergence"][i], rel=1e-5)
    divergence.backward()
    assert audio.grad is not None and audio.grad.isfinite().all()


def test_bf16_input_and_autocast_are_computed_in_fp32() -> None:
    a, t = golden("pooled_a").bfloat16(), golden("pooled_t").bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        divergence = cauchy_schwarz_divergence(a, t, 1.0)
    assert divergence.dtype == torch.float32
    torch.testing.assert_close(divergence, cauchy_schwarz_divergence(a.float(), t.float(), 1.0))


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 7),
    m=st.integers(1, 7),
    sigma=st.one_of(st.just("median"), st.floats(0.3, 5.0)),
    seed=st.integers(0, 999),
)
def test_invariants(n: int, m: int, sigma: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(m, 4, generator=generator, dtype=torch.float64) + 0.5
    divergence = cauchy_schwarz_divergence(x, y, sigma)
    assert divergence >= -1e-12
    torch.testing.assert_close(cauchy_schwarz_divergence(y, x, sigma), divergence)
    torch.testing.assert_close(cauchy_schwarz_divergence(x + 100.0, y + 100.0, sigma), divergence)
    assert cauchy_schwarz_divergence(x, x, sigma).abs() < 1e-12
    shuffled = x[torch.randperm(n, generator=generator)]
    torch.testing.assert_close(cauchy_schwarz_divergence(shuffled, y, sigma), divergence)


def test_single_points_have_their_closed_form() -> None:
    a, t = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert cauchy_schwarz_divergence(a, t, 2.0).item() == pytest.approx(25.0 / 8.0)
    assert cauchy_schwarz_divergence(a, t, "median").item() == pytest.approx(0.5)  # sigma is the one distance


def test_median_is_the_median_distance_of_different_points_and_carries_no_gradient() -> None:
    x = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[4.0]], dtype=torch.float64)  # distances 1, 4, 3
    divergence = cauchy_schwarz_divergence(x, y, "median")
    (gradient,) = torch.autograd.grad(divergence, x)
    fixed = cauchy_schwarz_divergence(x, y, 3.0)
    torch.testing.assert_close(divergence, fixed)
    torch.testing.assert_close(gradient, torch.autograd.grad(fixed, x)[0])


def test_median_is_scale_free_and_of_each_clip_alone() -> None:
    x, y = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    scale = torch.tensor([1.0, 50.0])[:, None, None]
    torch.testing.assert_close(token_cauchy_schwarz(x * scale, y * scale), token_cauchy_schwarz(x, y))


def test_token_form_is_the_mean_over_clips_that_have_tokens() -> None:
    x, y = torch.randn(3, 4, 6, requires_grad=True), torch.randn(3, 5, 6)
    x_mask, y_mask = torch.ones(3, 4, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    y_mask[1] = False
    divergence = token_cauchy_schwarz(x, y, 1.5, x_mask=x_mask, y_mask=y_mask)
    alone = [cauchy_schwarz_divergence(x[i], y[i], 1.5) for i in (0, 2)]
    torch.testing.assert_close(divergence, torch.stack(alone).mean())
    divergence.backward()
    assert x.grad is not None and x.grad.isfinite().all() and not x.grad[1].any()
    assert token_cauchy_schwarz(x, y, x_mask=x_mask & False) == 0


def test_masked_points_of_a_sample_count_nothing() -> None:
    x, y = torch.randn(5, 3), torch.randn(4, 3)
    keep = torch.tensor([True, False, True, True, False])
    for sigma in (1.0, "median"):
        torch.testing.assert_close(
            cauchy_schwarz_divergence(x, y, sigma, x_mask=keep), cauchy_schwarz_divergence(x[keep], y, sigma)
        )


def test_points_far_from_the_origin_lose_no_digits() -> None:
    """Whatever the padding: the squares of coordinates of 1000 leave fp32 no digit for distances of 1."""
    x, y = 1000 + torch.randn(2, 7, 3), 1000 + torch.randn(2, 5, 3)
    x_mask, y_mask = length_mask(torch.tensor([2, 7]), 7), length_mask(torch.tensor([5, 1]), 5)
    found = token_cauchy_schwarz(x, y, 1.0, x_mask=x_mask, y_mask=y_mask)
    wanted = token_cauchy_schwarz(x.double(), y.double(), 1.0, x_mask=x_mask, y_mask=y_mask)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match=r"\[N, D\] and \[M, D\]"):
        cauchy_schwarz_divergence(torch.randn(2, 3, 4), torch.randn(2, 4))
    with pytest.raises(ValueError, match=r"\[B, N, D\] and \[B, M, D\]"):
        token_cauchy_schwarz(torch.randn(2, 3, 4), torch.randn(3, 3, 4))
