import pytest
import torch

from earwitness.embeds import Embeds
from earwitness.encoders.conv import ConvEncoder, normalise_level


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    model = ConvEncoder(tags=["a", "b", "c"], widths=(6, 8, 12, 16), depths=(0, 1, 1, 2), dim=24)
    with torch.no_grad():  # batch-norm statistics and shifts that padding would show through
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.3)
        for name, p in model.named_parameters():
            if name.endswith("norm.bias"):
                p.normal_(0, 0.5)
    return model.eval()


@torch.no_grad()
def test_one_token_per_160_ms(encoder):
    h_a = encoder(torch.randn(2, 160_000) * 0.1, torch.tensor([160_000, 160_000]))
    assert h_a.values.shape == (2, 63, 24) and h_a.mask.all()


@torch.no_grad()
@pytest.mark.parametrize("length", [3_000, 16_001, 40_000, 79_999])
def test_a_clip_alone_equals_a_clip_in_a_batch(encoder, length):
    waveforms = torch.randn(2, 80_000) * 0.1
    waveforms[0, length:] = 0
    batch = encoder(waveforms, torch.tensor([length, 80_000]))
    alone = encoder(waveforms[:1, :length], torch.tensor([length]))
    n = alone.values.shape[1]
    assert int(batch.mask[0].sum()) == n
    assert torch.allclose(batch.values[0, :n], alone.values[0], atol=1e-5)
    assert torch.allclose(encoder.tag_probabilities(batch)[:1], encoder.tag_probabilities(alone), atol=1e-5)


@torch.no_grad()
def test_what_padding_holds_changes_nothing(encoder):
    waveforms = torch.randn(1, 48_000) * 0.1
    padded = torch.cat([waveforms, torch.randn(1, 16_000)], 1)
    a = encoder(torch.cat([waveforms, waveforms]), torch.tensor([48_000, 32_000]))
    b = encoder(torch.cat([padded, padded]), torch.tensor([48_000, 32_000]))
    n = a.values.shape[1]
    assert torch.allclose(a.values[a.mask], b.values[:, :n][b.mask[:, :n]], atol=1e-5)


@torch.no_grad()
def test_the_level_of_a_recording_says_nothing(encoder):
    waveforms = torch.randn(1, 32_000) * 0.1
    loud, quiet = (encoder(waveforms * g, torch.tensor([32_000])).values for g in (1.0, 0.05))
    assert torch.allclose(loud, quiet, atol=1e-3)


def test_normalised_level_of_steady_sound_is_the_same_at_every_length():
    mel = torch.full((2, 64, 50), -30.0)
    mask = torch.ones(2, 50, dtype=torch.bool)
    mask[1, 20:] = False
    x = normalise_level(mel, mask)
    assert torch.allclose(x[0, :, :20], x[1, :, :20]) and (x[1, :, 20:] == 0).all()


@torch.no_grad()
def test_tags_of_a_clip_come_from_its_real_tokens_together_and_from_the_surest_one(encoder):
    h_a = Embeds(torch.randn(2, 9, 24), torch.ones(2, 9, dtype=torch.bool))
    h_a.mask[1, 4:] = False
    real = h_a.values[1, :4]
    together = encoder.clip_tag_head(torch.cat([real.mean(0), real.amax(0)]))
    expected = (together + encoder.tag_head(real).amax(0)) / 2
    assert torch.allclose(encoder.clip_tag_logits(h_a)[1], expected, atol=1e-6)
    assert torch.allclose(encoder.tag_probabilities(h_a), encoder.clip_tag_logits(h_a).sigmoid())
