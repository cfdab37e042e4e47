"""CED equals the released code on its weights, and in paper fidelity a clip does not depend on its batch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from earwitness.encoders.ced import SIZES, CedEncoder, load_ced
from earwitness.features import log_mel

GOLDEN = Path(__file__).parents[1] / "golden"
WEIGHTS = GOLDEN / "ced_small.safetensors"
WAVEFORMS = np.load(GOLDEN / "waveforms.npz")
OUTPUTS = {key: torch.from_numpy(value) for key, value in np.load(GOLDEN / "ced_outputs.npz").items()}


def clip(name: str) -> torch.Tensor:
    return torch.from_numpy(WAVEFORMS[name])[None]


@pytest.fixture(scope="module")
def paper() -> CedEncoder:
    return load_ced(WEIGHTS)


@pytest.fixture(scope="module")
def released() -> CedEncoder:
    return load_ced(WEIGHTS, fidelity="released", front_end="batch_log_mel")


@pytest.fixture
def tiny() -> CedEncoder:
    torch.manual_seed(0)
    encoder = CedEncoder(dim=16, depth=2, heads=2)
    encoder.init_bn.running_mean.fill_(-20.0)
    encoder.init_bn.running_var.fill_(300.0)
    return encoder.eval()


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def close(a: torch.Tensor, b: torch.Tensor, atol: float = 1e-4) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=atol)


def test_tokens_equal_the_released_code(paper, released):
    assert close(released(clip("1s")).values[0], OUTPUTS["tokens/1s"])
    assert close(paper(clip("1s")).values[0], OUTPUTS["tokens/1s"])
    assert close(released(clip("10.12s")).values[0, ::7], OUTPUTS["tokens/10.12s_every_7th"])


def test_released_attends_to_zero_padding_and_paper_does_not(paper, released):
    padded = torch.nn.functional.pad(clip("1s"), (0, 144_000))
    lengths = torch.tensor([16_000])
    seen = released(padded, lengths)
    assert seen.mask.all()
    assert close(seen.values[0, ::7], OUTPUTS["tokens/1s_zero_padded_to_10s_every_7th"])
    masked = paper(padded, lengths)
    assert close(masked.values[masked.mask], OUTPUTS["tokens/1s"])


@pytest.mark.parametrize("name", ["1s", "10.12s"])
def test_tags_equal_both_released_forms(released, name):
    embeds = released(clip(name))
    assert close(released.tags(embeds)[0], OUTPUTS[f"prob527_original/{name}"], 1e-5)
    assert close(released.tags(embeds, per_chunk=False)[0], OUTPUTS[f"prob527_hugging_face/{name}"], 1e-5)


def test_released_loses_a_full_last_chunk_and_paper_keeps_it(paper, released):
    two = torch.cat([log_mel(clip("10.12s"))[..., :1012]] * 2, -1)
    first = released.encode_log_mel(two[..., :1012]).values
    assert close(released.encode_log_mel(two).values, first)
    assert close(paper.encode_log_mel(two).values, torch.cat([first, first], 1))


def test_released_mixes_the_chunks_of_long_clips(released):
    long = log_mel(torch.cat([clip("10.12s"), clip("10.12s").flip(1)]))
    whole = long[..., :1012]
    first, second = released.encode_log_mel(whole[:1]).values, released.encode_log_mel(whole[1:]).values
    mixed = released.encode_log_mel(long).values
    assert close(mixed[0], torch.cat([first, second], 1)[0])  # clip 0 is given the first chunk of clip 1


@pytest.mark.parametrize("order", ["frequency", "time", "band_average"])
def test_a_clip_alone_equals_a_clip_in_a_batch(tiny, order):
    encoder = CedEncoder(dim=16, depth=2, heads=2, chunk_frames=96, token_order=order).eval()
    encoder.load_state_dict({**tiny.state_dict(), "time_pos_embed": tiny.time_pos_embed[..., :6]})
    torch.manual_seed(1)
    lengths = torch.tensor([1, 4_000, 15_359, 16_000, 40_000])  # less than a patch, one to three chunks
    batch = torch.randn(5, 45_000)
    together = encoder(batch, lengths)
    tags = encoder.tags(together)
    for row, length in enumerate(lengths):
        alone = encoder(batch[row : row + 1, :length])
        assert close(alone.values[alone.mask], together.values[row][together.mask[row]], 1e-5)
        assert close(encoder.tags(alone)[0], tags[row], 1e-6)


def test_more_padding_changes_nothing(tiny):
    wave, lengths = 0.1 * torch.randn(2, 40_000), torch.tensor([20_000, 40_000])
    short = tiny(wave, lengths)
    long = tiny(torch.nn.functional.pad(wave, (0, 200_000), value=0.5), lengths)
    assert close(long.values[long.mask], short.values[short.mask], 1e-5)
    assert close(tiny.tags(long), tiny.tags(short), 1e-6)


def test_padding_comes_out_as_zeros(tiny):
    embeds = tiny(torch.randn(2, 32_000), torch.tensor([8_000, 32_000]))
    assert not embeds.mask.all()
    assert not embeds.values[~embeds.mask].any()


def test_token_orders_hold_the_same_tokens(tiny):
    wave = torch.randn(1, 20 * 16_000)
    encoders = {}
    for order in ("frequency", "time", "band_average"):
        encoders[order] = CedEncoder(dim=16, depth=2, heads=2, token_order=order).eval()
        encoders[order].load_state_dict(tiny.state_dict())
    published = encoders["frequency"](wave)
    grid = published.values.unflatten(1, (2, 4, 63)).transpose(2, 3)  # [1, C, T, bands, D]
    real = published.mask.unflatten(1, (2, 4, 63))[:, :, 0]
    steps = grid[real]  # [T, bands, D]
    assert len(steps) == 63 + (2001 - 1012) // 16
    assert torch.equal(encoders["time"](wave).values[0], steps.flatten(0, 1))
    assert close(encoders["band_average"](wave).values[0], steps.mean(1), 1e-6)
    assert encoders["time"].tokens_per_second == 25.0
    assert encoders["band_average"].tokens_per_second == 6.25


def test_chunk_averaged_tags_are_the_mean_over_chunks(paper):
    two = log_mel(clip("10.12s")[:, :-160])
    two = torch.cat([two, two.flip(2)], -1)
    halves = [paper.tags(paper.encode_log_mel(half)) for half in two.split(1012, -1)]
    assert close(paper.tags(paper.encode_log_mel(two)), (halves[0] + halves[1]) / 2, 1e-6)


def test_time_positions_stretch_to_longer_chunks():
    encoder = load_ced(WEIGHTS, chunk_frames=1024, front_end="padded_fbank", token_order="band_average")
    assert encoder.time_pos_embed.shape == (1, 192, 1, 64)
    assert close(encoder.time_pos_embed.mean((1, 3)), load_ced(WEIGHTS).time_pos_embed.mean((1, 3)), 2e-3)
    assert encoder(clip("1s")).values.shape == (1, 64, 192)


def test_a_frozen_encoder_does_not_drift(tiny):
    wave = torch.randn(2, 16_000)
    before, mean = tiny(wave).values, tiny.init_bn.running_mean.clone()
    tiny.freeze()
    tiny.train()
    assert not tiny.training and not tiny.blocks[0].training
    assert torch.equal(tiny(wave).values, before)
    tiny.frozen = False  # frozen by hand or by LoRA only: the BatchNorm still stays as it is
    tiny.train()
    assert tiny.training and torch.equal(tiny(wave).values, before)
    assert torch.equal(tiny.init_bn.running_mean, mean)


def test_a_frozen_released_encoder_drifts():
    encoder = CedEncoder(dim=16, depth=1, heads=2, fidelity="released").freeze()
    encoder.train()
    mean = encoder.init_bn.running_mean.clone()
    encoder(torch.randn(2, 16_000))
    assert not torch.equal(encoder.init_bn.running_mean, mean)


def test_training_statistics_come_from_real_frames_only(tiny):
    mel, frames = 30 * torch.randn(2, 64, 80), torch.tensor([80, 48])
    tiny.train()
    tiny.encode_log_mel(mel.where(torch.arange(80) < frames[:, None, None], 1e6), frames)
    real = torch.cat([mel[0], mel[1, :, :48]], 1)
    fresh = CedEncoder(dim=16, depth=1, heads=2).train()
    fresh.init_bn.load_state_dict({**tiny.init_bn.state_dict(), "running_mean": torch.full((64,), -20.0)})
    fresh.encode_log_mel(real[None])
    assert close(tiny.init_bn.running_mean, fresh.init_bn.running_mean)


def test_gradients_reach_every_weight(tiny):
    with torch.enable_grad():
        embeds = tiny.train()(torch.randn(2, 8_000), torch.tensor([8_000, 5_000]))
        (tiny.tags(embeds).sum() + embeds.values.square().sum()).backward()
    still = [name for name, p in tiny.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


PARAMETERS = {"tiny": 5_503_183, "mini": 9_696_655, "small": 21_622_543, "base": 85_711_759}


@pytest.mark.parametrize("size", PARAMETERS)
def test_published_sizes_have_as_many_parameters_as_published(size):
    with torch.device("meta"):
        encoder = CedEncoder(**SIZES[size])
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[size]


def test_runs_in_bfloat16_and_under_autocast(tiny):
    wave = torch.randn(1, 16_000)
    exact = tiny(wave).values
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert close(tiny(wave).values.float(), exact, 0.2)
    half = tiny.bfloat16()(wave).values
    assert half.dtype == torch.bfloat16
    assert close(half.float(), exact, 0.2)


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="fidelity must be"):
        CedEncoder(dim=16, depth=1, heads=2, fidelity="exact")
    with pytest.raises(ValueError, match="unknown token_order 'spiral'; choose one of 'frequency'"):
        CedEncoder(dim=16, depth=1, heads=2, token_order="spiral")
    with pytest.raises(ValueError, match="not a multiple of heads"):
        CedEncoder(dim=16, depth=1, heads=3)
    with pytest.raises(ValueError, match=r"waveforms must be \[B, S\]"):
        CedEncoder(dim=16, depth=1, heads=2)(torch.zeros(16_000))


def test_tags_are_named_as_in_audioset():
    names = CedEncoder(dim=16, depth=1, heads=2).tag_names
    assert len(names) == len(set(names)) == 527
    assert (names[0], names[74], names[137], names[526]) == ("Speech", "Dog", "Music", "Field recording")
    assert CedEncoder(dim=16, depth=1, heads=2, classes=10).tag_names == []
