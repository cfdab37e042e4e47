"""Dasheng equals its authors' package, masked batches included."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from earwitness.encoders.dasheng import SIZES, DashengEncoder, load_dasheng
from earwitness.features import power_mel, power_to_db

GOLDEN = Path(__file__).parents[1] / "golden"
WEIGHTS = GOLDEN / "dasheng_small.safetensors"
WAVEFORMS = np.load(GOLDEN / "waveforms.npz")
OUTPUTS = {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / "dasheng_outputs.npz").items()}


@pytest.fixture(scope="module")
def encoder() -> DashengEncoder:
    return load_dasheng(WEIGHTS, heads=4)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def clip(name: str) -> torch.Tensor:
    return torch.from_numpy(WAVEFORMS[name])[None]


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-4) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ["1s", "10.12s"])
def test_tokens_equal_the_released_code(encoder, name):
    embeds = encoder(clip(name))
    assert embeds.mask.all()
    assert close(embeds.values[0], OUTPUTS[f"tokens/{name}"])


def test_masked_batch_equals_the_released_code(encoder):
    padded = torch.nn.functional.pad(clip("1s"), (0, 144_000))
    log_mel = power_to_db(power_mel(padded), top_db=None).clamp(min=float(OUTPUTS["masked/floor_db"]))
    embeds = encoder.encode_log_mel(log_mel, torch.tensor([100]))
    assert close(embeds.values[embeds.mask], OUTPUTS["masked/1s_in_batch"])


def test_a_clip_alone_equals_a_clip_in_a_batch(encoder):
    torch.manual_seed(0)
    lengths = torch.tensor([1, 16_000, 100_000, 200_000])
    batch = torch.randn(4, 210_000)
    together = encoder(batch, lengths)
    assert together.mask.sum(1).tolist() == [1, 25, 156, 252 + (1251 - 1008) // 4]
    for row, length in enumerate(lengths):
        alone = encoder(batch[row : row + 1, :length])
        assert close(alone.values[alone.mask], together.values[row][together.mask[row]], 1e-5)


def test_both_published_layouts_load_the_same_encoder(tmp_path, encoder):
    original = load_file(WEIGHTS)
    save_file(
        {f"encoder.{k}": v for k, v in original.items() if "front_end" not in k},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text('{"num_heads": 4}')
    loaded = load_dasheng(tmp_path)
    assert torch.equal(loaded(clip("1s")).values, encoder(clip("1s")).values)


def test_the_weights_of_a_tagger_are_refused():
    with pytest.raises(ValueError, match=r"unexpected head\.0\.weight"):
        load_dasheng(GOLDEN / "ced_small.safetensors")


PARAMETERS = {"base": 85_447_808, "0.6B": 630_333_568}


@pytest.mark.parametrize("size", PARAMETERS)
def test_published_sizes_have_as_many_parameters_as_published(size):
    with torch.device("meta"):
        encoder = DashengEncoder(**SIZES[size])
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[size]


def test_25_tokens_a_second(encoder):
    assert encoder.tokens_per_second == 25.0
    assert encoder(clip("1s")).values.shape == (1, 25, encoder.dim)
