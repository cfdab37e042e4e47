from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness.adapters import TwoStreamAdapter
from earwitness.adapters.two_stream import MultiScaleConv, QueryAttention, TemporalEncoder
from earwitness.embeds import Embeds, length_mask

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "lamb.npz")


@pytest.fixture(scope="module")
def adapter() -> TwoStreamAdapter:
    torch.manual_seed(0)
    return TwoStreamAdapter(dim=16, dim_llm=12, global_queries=5, heads=4).double().eval()


def test_attention_equals_golden() -> None:
    attention = QueryAttention(dim=12, queries=5, heads=3).double()
    with torch.no_grad():
        attention.queries.copy_(torch.from_numpy(GOLDEN["mha/Q"]))
        for name, layer in (("WQ", attention.to_q), ("WK", attention.to_k), ("WV", attention.to_v)):
            layer.weight.copy_(torch.from_numpy(GOLDEN[f"mha/{name}"]).T)
        read = attention(Embeds.full(torch.from_numpy(GOLDEN["mha/h"])[None]))
    torch.testing.assert_close(read[0], torch.from_numpy(GOLDEN["mha/ln"]), atol=1e-9, rtol=0)


def test_more_heads_against_a_slow_twin() -> None:
    torch.manual_seed(0)
    attention = QueryAttention(dim=12, queries=5, heads=3).double()
    x = torch.randn(9, 12, dtype=torch.float64)
    q, k, v = attention.to_q(attention.queries), attention.to_k(x), attention.to_v(x)
    heads = []
    for h in range(3):
        part = slice(4 * h, 4 * h + 4)
        heads.append((q[:, part] @ k[:, part].T / 4**0.5).softmax(-1) @ v[:, part])
    expected = attention.norm(torch.cat(heads, -1) + attention.queries)
    torch.testing.assert_close(attention(Embeds.full(x[None]))[0], expected)


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 11), min_size=1, max_size=4),
    padding=st.integers(0, 5),
    garbage=st.sampled_from([0.0, 1e4]),
)
def test_a_clip_reads_the_same_alone_in_a_batch_and_with_more_padding(
    adapter: TwoStreamAdapter, lengths: list[int], padding: int, garbage: float
) -> None:
    size = max(lengths) + padding
    values = torch.randn(len(lengths), size, 16, dtype=torch.float64)
    mask = length_mask(torch.tensor(lengths), size)
    values[~mask] = garbage
    with torch.no_grad():
        together = adapter(Embeds(values, mask))
        alone = [adapter(Embeds.full(row[None, :n])).values[0] for row, n in zip(values, lengths)]
    assert together.values.shape == (len(lengths), 5, 12) and together.mask.all()
    torch.testing.assert_close(together.values, torch.stack(alone), atol=1e-10, rtol=0)


def test_holes_in_the_mask_are_closed(adapter: TwoStreamAdapter) -> None:
    values = torch.randn(1, 6, 16, dtype=torch.float64)
    mask = torch.tensor([[True, False, True, True, False, True]])
    closed = adapter(Embeds.full(values[:, mask[0]]))
    torch.testing.assert_close(adapter(Embeds(values, mask)).values, closed.values, atol=1e-10, rtol=0)


def test_a_clip_without_tokens_is_finite_in_value_and_gradient(adapter: TwoStreamAdapter) -> None:
    values = torch.full((2, 4, 16), float("nan"), dtype=torch.float64)
    values[0] = 1.0
    mask = torch.tensor([[True] * 4, [False] * 4])
    z = adapter(Embeds(values, mask)).values
    assert z.isfinite().all()
    gradients = torch.autograd.grad(z.square().sum(), list(adapter.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_the_temporal_stream_hears_order_and_the_semantic_stream_does_not(adapter: TwoStreamAdapter) -> None:
    x = Embeds.full(torch.randn(1, 10, 16, dtype=torch.float64))
    reverse = Embeds.full(x.values.flip(1))
    torch.testing.assert_close(adapter.semantic(x), adapter.semantic(reverse))
    forwards, backwards = (adapter.temporal(adapter.temporal_encoder(e)) for e in (x, reverse))
    assert (forwards - backwards).abs().max() > 1e-3


def test_both_directions_of_the_gru_reach_every_frame() -> None:
    torch.manual_seed(0)
    encoder = TemporalEncoder(dim=8, kernels=(3,), layers=2).double()
    values = torch.randn(1, 9, 8, dtype=torch.float64, requires_grad=True)
    for frame in (0, 8):
        (gradient,) = torch.autograd.grad(encoder(Embeds.full(values)).values[0, frame].sum(), values)
        assert (gradient.abs().sum(-1) > 0).all()


def test_convolution_against_a_slow_twin() -> None:
    torch.manual_seed(0)
    front = MultiScaleConv(dim=4, kernels=(3, 5)).double()
    x = torch.randn(7, 4, dtype=torch.float64)
    scales = torch.zeros(7, 8, dtype=torch.float64)
    for s, (kernel, convolution) in enumerate(zip((3, 5), front.convolutions)):
        for t in range(7):
            scales[t, 4 * s : 4 * s + 4] = convolution.bias
            for k in range(kernel):
                if 0 <= t + k - kernel // 2 < 7:
                    scales[t, 4 * s : 4 * s + 4] += convolution.weight[:, :, k] @ x[t + k - kernel // 2]
    expected = torch.nn.functional.gelu(front.norm(front.projection(scales)))
    torch.testing.assert_close(front(x[None])[0], expected)


def test_every_parameter_gets_a_gradient(adapter: TwoStreamAdapter) -> None:
    z = adapter(Embeds.full(torch.randn(2, 10, 16, dtype=torch.float64))).values
    gradients = torch.autograd.grad((z * torch.randn_like(z)).sum(), list(adapter.parameters()))
    still = [name for (name, _), g in zip(adapter.named_parameters(), gradients) if not g.abs().sum() > 0]
    assert still == []


def test_faults_are_named() -> None:
    with pytest.raises(ValueError, match="dim 10 is not a multiple of heads 4"):
        TwoStreamAdapter(dim=10, dim_llm=4, heads=4)
    with pytest.raises(ValueError, match="kernels must be odd"):
        TwoStreamAdapter(dim=8, dim_llm=4, kernels=(4,))
    with pytest.raises(ValueError, match="dim must be even"):
        TemporalEncoder(dim=7, kernels=(3,), layers=1)


@pytest.mark.parametrize("bands", [1, 4])
@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_every_kernel_crosses_time_within_its_band(kernel: int, bands: int) -> None:
    """With several tokens a moment, a kernel reads its own band k // 2 steps before and after."""
    convolution = MultiScaleConv(dim=4, kernels=[kernel], bands=bands).double().convolutions[0]
    torch.nn.init.ones_(convolution.weight)
    frames, at = 9, 4
    x = torch.zeros(1, 4, frames * bands, dtype=torch.float64)
    x[0, :, at * bands] = 1.0  # band 0 of the frame in the middle
    reached = (convolution(x) - convolution(torch.zeros_like(x))).abs().sum(1)[0].nonzero().flatten()
    reach = kernel // 2
    assert reached.tolist() == [t * bands for t in range(at - reach, at + reach + 1)]


@pytest.mark.parametrize("streams", [["semantic"], ["temporal"]])
def test_one_stream_can_be_off(streams: list[str]) -> None:
    torch.manual_seed(0)
    one = TwoStreamAdapter(dim=16, dim_llm=12, global_queries=5, heads=4, streams=streams).double().eval()
    names = {name.partition(".")[0] for name, _ in one.named_parameters()}
    assert {"semantic", "temporal", "temporal_encoder"} & names == (
        {"semantic"} if streams == ["semantic"] else {"temporal", "temporal_encoder"}
    )
    x = torch.randn(2, 7, 16, dtype=torch.float64)
    assert one(Embeds.full(x)).values.shape == (2, 5, 12)
    same = torch.equal(one(Embeds.full(x)).values, one(Embeds.full(x.flip(1))).values)
    assert (
        not same
        if streams == ["temporal"]
        else torch.allclose(one(Embeds.full(x)).values, one(Embeds.full(x.flip(1))).values)
    )  # the semantic stream alone knows no order
