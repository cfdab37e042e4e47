"""What benchmarks compare with computes the same thing, and the GPU's scripts run dry at tiny width."""

from __future__ import annotations

import argparse

import pytest
import torch
from benchmarks.cs_divergence import plain_divergence
from benchmarks.decoding7b import system_rows
from benchmarks.optimal_transport import plain_sinkhorn
from benchmarks.training7b import operations, system_row

from benchmarks import front_end
from earwitness import features
from earwitness.encoders import CedEncoder
from earwitness.losses import cauchy_schwarz_divergence
from earwitness.optimal_transport import sinkhorn

LIMITS = {"flops": 1e9, "encoder_flops": 1e9, "bandwidth": 1e9}


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_plain_front_end():
    encoder = CedEncoder(dim=16, depth=2, heads=2).eval()
    encoder.init_bn.running_mean.fill_(-20.0)
    encoder.init_bn.running_var.fill_(300.0)
    waveform = 0.1 * torch.randn(1, 32_000)
    mel = front_end.plain_log_mel(waveform[0])[None]
    torch.testing.assert_close(mel, features.log_mel(waveform), rtol=0, atol=1e-3)
    with torch.no_grad():
        torch.testing.assert_close(
            front_end.plain_ced(encoder, mel), encoder(waveform).values, rtol=0, atol=1e-4
        )


def test_plain_transport_and_divergence():
    similarity = 2 * torch.rand(7, 5) - 1
    torch.testing.assert_close(
        sinkhorn(similarity[None])[0], plain_sinkhorn(similarity, 0.1, 50), rtol=0, atol=1e-4
    )
    x, y = torch.randn(6, 8), torch.randn(5, 8)
    torch.testing.assert_close(
        cauchy_schwarz_divergence(x, y, 2.0), plain_divergence(x, y, 2.0), rtol=1e-4, atol=1e-5
    )


def dry(**changes) -> argparse.Namespace:
    options = {
        "shape": "tiny",
        "device": "cpu",
        "dtype": torch.float32,
        "repeats": 1,
        "threads": 1,
        "batch": 1,
        "batches": [1],
    }
    return argparse.Namespace(**options | {"beams": 2, "tokens": 2, "checkpointing": False} | changes)


def test_training_runs_dry():
    rows = {row.what.strip(): row for row in system_row("distillcaps", dry(), rate=1e12)}
    assert rows["distillcaps"].ours > 0 and rows["distillcaps"].baseline > 0 and rows["distillcaps"].limit > 0
    assert rows["two branches / the one with retrieval"].ours > 0


def test_decoding_runs_dry_with_and_without_retrieval():
    names = [row.what for row in system_rows("distillcaps", dry(), LIMITS)]
    assert names == ["distillcaps, batch 1", "distillcaps with retrieval, batch 1"]


def test_operations_grow_with_the_clips():
    from benchmarks.shapes import batch, shaped

    model = shaped("lamb", "tiny", "cpu", torch.float32)
    one, two = (operations(model, batch(model, clips, "cpu")) for clips in (1, 2))
    assert two == pytest.approx(2 * one)
