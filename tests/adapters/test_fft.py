"""The FFT adapter against DistillCaps' own code and Eq. 2-5; the learnt filter against a convolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from earwitness.adapters.fft import FftAdapter, SpectralAdapter, fft_state_from_released
from earwitness.embeds import Embeds, length_mask

GOLDEN = {
    k: torch.from_numpy(v)
    for k, v in np.load(Path(__file__).parents[1] / "golden" / "fft_adapter.npz").items()
}


def golden_adapter(fidelity: str) -> FftAdapter:
    adapter = FftAdapter(dim=16, fidelity=fidelity).double()
    checkpoint = {"fft_mlp.freq_transform.weight": GOLDEN["W"], "fft_mlp.freq_transform.bias": GOLDEN["b"]}
    adapter.load_state_dict(fft_state_from_released(checkpoint | {"speech_query_tokens": torch.zeros(1)}))
    return adapter


def equations_2_to_5(x: Tensor, adapter: FftAdapter) -> Tensor:
    spectrum = torch.fft.fft(x, dim=1)
    return torch.fft.ifft(
        torch.complex(adapter.linear(spectrum.real), adapter.linear(spectrum.imag)), dim=1
    ).real


@pytest.mark.parametrize("size", [1, 17, 62])
@pytest.mark.parametrize(("fidelity", "key"), [("paper", "paper"), ("released", "code")])
@torch.no_grad()
def test_equals_the_golden_values(fidelity, key, size):
    y = golden_adapter(fidelity)(Embeds.full(GOLDEN[f"x/{size}"])).values
    torch.testing.assert_close(y, GOLDEN[f"{key}/{size}"], rtol=0, atol=1e-13)


@torch.no_grad()
def test_paper_form_is_the_equations():
    adapter = FftAdapter(dim=6).double()
    x = torch.randn(3, 40, 6, dtype=torch.float64)
    torch.testing.assert_close(
        adapter(Embeds.full(x)).values, equations_2_to_5(x, adapter), rtol=0, atol=1e-12
    )


def random_masks(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(4, 24, generator=generator) < 0.7
    mask[1] = False  # a clip without tokens
    return torch.randn(4, 24, 6, generator=generator, dtype=torch.float64), mask


@pytest.mark.parametrize(
    "adapter",
    [FftAdapter(dim=6), FftAdapter(dim=6, fidelity="released"), SpectralAdapter(dim=6, bins=5)],
    ids=["paper", "released", "spectral"],
)
@given(seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
@torch.no_grad()
def test_a_clip_alone_equals_a_clip_in_a_batch_wherever_its_padding_is(adapter, seed):
    adapter = adapter.double()
    if isinstance(adapter, SpectralAdapter):
        torch.nn.init.normal_(adapter.gain)
    x, mask = random_masks(seed)
    y = adapter(Embeds(x, mask))
    assert torch.equal(y.mask, mask)
    for b in range(len(x)):
        if mask[b].any():
            alone = adapter(Embeds.full(x[b : b + 1, mask[b]])).values[0]
            torch.testing.assert_close(y.values[b, mask[b]], alone, rtol=0, atol=1e-12)


@torch.no_grad()
def test_filter_starts_as_the_linear_map_alone():
    adapter = SpectralAdapter(dim=6).double()
    x = torch.randn(2, 31, 6, dtype=torch.float64)
    torch.testing.assert_close(adapter(Embeds.full(x)).values, adapter.linear(x), rtol=0, atol=1e-12)


@torch.no_grad()
def test_filter_is_circular_convolution_of_each_band_with_the_response_of_its_gains():
    adapter = SpectralAdapter(dim=3, bins=4, bands=2).double()
    torch.nn.init.normal_(adapter.gain)
    adapter.linear.weight.copy_(torch.eye(3))
    adapter.linear.bias.zero_()
    x = torch.randn(1, 2 * 9, 3, dtype=torch.float64)
    response = torch.fft.irfft(adapter.gains(9), n=9, dim=0)  # [9, 3]
    y = adapter(Embeds.full(x)).values.view(9, 2, 3)
    frames = x.view(9, 2, 3)
    for t in range(9):
        expected = sum(response[s] * frames[(t - s) % 9] for s in range(9))
        torch.testing.assert_close(y[t], expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_gains_are_interpolated_over_clip_lengths():
    adapter = SpectralAdapter(dim=2, bins=5)
    torch.nn.init.normal_(adapter.gain)
    gain = torch.view_as_complex(adapter.gain)
    torch.testing.assert_close(adapter.gains(8), gain)  # 8 frames have exactly these 5 frequencies
    torch.testing.assert_close(adapter.gains(16)[::2], gain)
    torch.testing.assert_close(adapter.gains(16)[1::2], (gain[1:] + gain[:-1]) / 2)
    torch.testing.assert_close(adapter.gains(4), gain[::2])
    # A tone at an eighth of a cycle a frame is scaled alike in a short and in a long clip.
    adapter.linear.weight.copy_(torch.eye(2))
    adapter.linear.bias.zero_()
    long = torch.cos(torch.arange(64) * torch.pi / 4)[None, :, None].expand(1, 64, 2)
    outputs = [adapter(Embeds.full(long[:, :n])).values[0, :16] for n in (16, 64)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)


def test_gradients_reach_gains_and_weights_and_autocast_keeps_fp32_inside():
    adapter = SpectralAdapter(dim=4, bins=6)
    x = torch.randn(2, 20, 4)
    mask = length_mask(torch.tensor([20, 11]), 20)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = adapter(Embeds(x.bfloat16(), mask))
    assert y.values.dtype == torch.bfloat16
    full = adapter(Embeds(x, mask)).values
    torch.testing.assert_close(y.values[mask].float(), full[mask], rtol=0, atol=0.1)
    full[mask].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in adapter.parameters())
    assert adapter.gain.grad[..., 1].any()  # phases learn too


def test_refuses_what_is_no_whole_number_of_frames():
    with pytest.raises(ValueError, match="7 tokens are not a whole number of frames of 4 bands"):
        SpectralAdapter(dim=3, bands=4)(Embeds.full(torch.randn(1, 7, 3)))
    with pytest.raises(ValueError, match="bins must be at least 2"):
        SpectralAdapter(dim=3, bins=1)
