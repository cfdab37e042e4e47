"""The front ends equal torchaudio's, and a clip's frames do not depend on its batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earwitness import features
from earwitness.features import kaldi_fbank, log_mel

GOLDEN = Path(__file__).parent / "golden"
WAVEFORMS = np.load(GOLDEN / "waveforms.npz")


def clip(name: str) -> torch.Tensor:
    return torch.from_numpy(WAVEFORMS[name])[None]


def golden(file: str, name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(GOLDEN / file)[name])


def test_mel_filters_equal_torchaudio():
    assert torch.equal(features.mel_filterbank(), golden("log_mel.npz", "mel_fb"))
    kaldi = features.kaldi_filterbank()
    assert torch.allclose(kaldi[:256].T, golden("kaldi_fbank.npz", "mel_banks"), atol=2e-5)
    assert not kaldi[256].any()


def test_log_mel_equals_torchaudio():
    assert log_mel(clip("1s")).shape == (1, 64, 101)
    assert torch.allclose(log_mel(clip("1s"))[0], golden("log_mel.npz", "1s"), rtol=0, atol=1e-3)
    thinned = log_mel(clip("10.12s"))[0, :, ::8]
    assert torch.allclose(thinned, golden("log_mel.npz", "10.12s_every_8th_frame"), rtol=0, atol=1e-3)


def test_log_mel_equals_a_float64_twin():
    wave = clip("1s").double()
    window = torch.hann_window(512, dtype=torch.float64)
    spectrum = torch.stft(wave, 512, 160, window=window, center=True, pad_mode="reflect", return_complex=True)
    mel = features.mel_filterbank().double().T @ spectrum.abs() ** 2
    db = 10 * mel.clamp(min=1e-10).log10()
    twin = torch.maximum(db, db.max() - 120)
    assert torch.allclose(log_mel(clip("1s")).double(), twin, rtol=0, atol=1e-3)


def test_kaldi_fbank_equals_torchaudio():
    ours = kaldi_fbank(clip("1s"))
    assert ours.shape == (1, 64, 98)
    assert torch.allclose(ours[0].T, golden("kaldi_fbank.npz", "1s"), rtol=1e-5, atol=1e-4)
    thinned = kaldi_fbank(clip("10.12s"))[0].T[::8]
    assert torch.allclose(thinned, golden("kaldi_fbank.npz", "10.12s_every_8th_frame"), rtol=1e-5, atol=1e-4)


def test_padding_before_normalisation_is_louder_than_the_mean():
    fixed = features.pad_then_normalize_fbank(kaldi_fbank(clip("1s")))
    assert fixed.shape == (1, 64, 1024)
    expected = golden("kaldi_fbank.npz", "norm_padded_1s_every_8th_frame")
    assert torch.allclose(fixed[0].T[::8], expected, atol=1e-4)
    assert fixed[0, 0, -1].item() == pytest.approx(1.0032, abs=1e-4)
    long = torch.randn(1, 64, 1030)
    assert torch.equal(features.pad_then_normalize_fbank(long), features.normalize_fbank(long[..., :1024]))


@pytest.mark.parametrize(
    "front_end, count",
    [(log_mel, features.frame_counts), (kaldi_fbank, features.fbank_frame_counts)],
    ids=["log_mel", "kaldi_fbank"],
)
@settings(max_examples=25, deadline=None)
@given(samples=st.integers(1, 4000), padding=st.integers(0, 2000), seed=st.integers(0, 99))
def test_a_clip_is_the_same_alone_and_in_a_padded_batch(front_end, count, samples, padding, seed):
    noise = torch.Generator().manual_seed(seed)
    quiet = 1e-3 * torch.randn(1, samples, generator=noise)
    lengths = torch.tensor([samples, samples + padding])
    batch = torch.randn(2, samples + padding, generator=noise)  # what lies in the padding must not matter
    batch[0, :samples] = quiet
    frames = count(lengths)[0]
    alone = front_end(quiet)
    assert alone.shape[-1] >= frames
    together = front_end(batch, lengths)[:1, :, :frames]
    assert torch.allclose(together, alone[..., :frames], rtol=0, atol=1e-3)


def test_a_loud_neighbour_does_not_lift_a_quiet_clip():
    quiet = clip("1s") * 1e-4
    both = log_mel(torch.cat([quiet, torch.randn(1, 16000).clamp(-1, 1)]))
    assert torch.allclose(both[:1], log_mel(quiet), rtol=0, atol=1e-3)


@pytest.mark.parametrize("front_end", [log_mel, kaldi_fbank])
def test_fp32_under_autocast(front_end):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = front_end(clip("1s"))
    assert inside.dtype == torch.float32
    assert torch.equal(inside, front_end(clip("1s")))


@pytest.mark.parametrize("front_end", [log_mel, kaldi_fbank])
@pytest.mark.parametrize("samples", [0, 1, 5, 256, 257, 399, 400])
def test_tiny_clips_give_finite_frames(front_end, samples):
    frames = front_end(torch.zeros(2, samples))
    assert frames.shape[-1] >= 1
    assert torch.isfinite(frames).all()


def test_efficient_at_log_mel_equals_its_authors():
    clicks = features.efficient_at_log_mel(golden("efficient_at.npz", "clicks_wave")[None], None, 32_000)[0]
    assert clicks.shape == (128, 300)
    thinned = golden("efficient_at.npz", "clicks_mel_every_4th_frame")
    assert torch.allclose(clicks[:, ::4], thinned, rtol=0, atol=1e-4)
    chirp = features.efficient_at_log_mel(golden("efficient_at.npz", "chirp_wave")[None], None, 32_000)[0]
    expected = golden("efficient_at.npz", "chirp_mel")  # without the frames that see the end
    assert torch.allclose(chirp[:, : expected.shape[1]], expected, rtol=0, atol=1e-4)


def test_efficient_at_log_mel_of_16_khz_is_that_of_32_khz():
    """Noise of 600 sines below 7.5 kHz, which can be computed at both rates."""
    draw = torch.Generator().manual_seed(0)
    hertz, phase = (torch.rand(600, 1, generator=draw, dtype=torch.float64) for _ in range(2))
    moments = torch.arange(16_000, dtype=torch.float64) / 32_000
    wave = (2 * torch.pi * (phase + (50 + 7_450 * hertz) * moments)).sin().sum(0).float()[None] / 60
    fine = features.efficient_at_log_mel(wave, None, 32_000)
    coarse = features.efficient_at_log_mel(wave[:, ::2], None, 16_000)
    assert fine.shape == coarse.shape
    loud = fine > fine.max() - 1.0  # within 22 dB of the loudest: elsewhere leakage decides
    assert loud.float().mean() > 0.3
    assert (coarse - fine)[loud].abs().mean() < 0.01  # 0.2 dB
    assert (coarse - fine)[loud].mean().abs() < 0.002


@pytest.mark.parametrize("sample_rate", [16_000, 32_000])
@pytest.mark.parametrize("length", [1, 300, 600, 8_000, 8_160, 15_999])
def test_efficient_at_frames_do_not_depend_on_the_batch(sample_rate, length):
    torch.manual_seed(length)
    waves = torch.randn(2, 16_000) * 0.1
    lengths = torch.tensor([length, 16_000])
    both = features.efficient_at_log_mel(waves, lengths, sample_rate)
    alone = features.efficient_at_log_mel(waves[:1, :length], lengths[:1], sample_rate)
    frames = int(features.efficient_at_frame_counts(lengths, sample_rate)[0])
    assert alone.shape[-1] == frames == -(-length * 100 // sample_rate)
    assert torch.allclose(both[:1, :, :frames], alone, rtol=0, atol=1e-5)


def test_efficient_at_log_mel_is_fp32_under_autocast_and_names_a_wrong_rate():
    with torch.autocast("cpu", torch.bfloat16):
        low = features.efficient_at_log_mel(clip("1s"))
    assert low.dtype == torch.float32 and torch.equal(low, features.efficient_at_log_mel(clip("1s")))
    with pytest.raises(ValueError, match="not 44100"):
        features.efficient_at_log_mel(clip("1s"), None, 44_100)
