"""Frames: CLIP's preprocessing without torchvision, and one token a real frame."""

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    CLIPVisionModelWithProjection,
)

from earwitness.encoders.frames import CLIP_STD, FrameEncoder, prepare_frames

VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 16,
    "projection_dim": 12,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A whole tiny CLIP with random weights, as published checkpoints come."""
    torch.manual_seed(0)
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    path = tmp_path_factory.mktemp("clip")
    text["vocab_size"] = 20
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=12)).save_pretrained(path)
    return path


@pytest.fixture
def encoder(folder) -> FrameEncoder:
    return FrameEncoder.from_pretrained(folder)


@pytest.mark.parametrize("height, width", [(240, 426), (426, 240), (100, 100), (224, 224), (224, 301)])
def test_preprocessing_equals_clips(height, width):
    pytest.importorskip("PIL")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    picture = coarse.repeat(4, 0).repeat(4, 1)[:height, :width]
    ours = prepare_frames(picture)
    expected = CLIPImageProcessor()(picture, return_tensors="pt")["pixel_values"][0]
    assert ours.shape == expected.shape == (3, 224, 224)
    levels = (ours - expected).abs() * 255 * torch.tensor(CLIP_STD)[:, None, None]
    assert levels.max() < 2.1  # grey levels of 255: each axis may round a half the other way
    assert (levels > 0.5).float().mean() < 2e-3


def test_preprocessing_keeps_leading_dimensions():
    pictures = torch.randint(0, 256, (2, 3, 40, 50, 3), dtype=torch.uint8)
    batch = prepare_frames(pictures, 32)
    assert batch.shape == (2, 3, 3, 32, 32)
    assert torch.equal(batch[1, 2], prepare_frames(pictures[1, 2].numpy(), 32))
    with pytest.raises(ValueError, match=r"uint8 \[\.\.\., H, W, 3\]"):
        prepare_frames(torch.zeros(3, 40, 40))


def test_equals_clips_image_features(folder, encoder):
    frames = torch.randn(2, 3, 3, 32, 32)
    embeds = encoder(frames)
    assert embeds.mask.all() and encoder.dim == 12
    clip = CLIPModel.from_pretrained(folder).eval()
    with torch.no_grad():
        pooled = clip.vision_model(frames.flatten(0, 1)).pooler_output
        expected = clip.visual_projection(pooled).unflatten(0, (2, 3))
    assert torch.allclose(embeds.values, expected, atol=1e-6)
    plain = FrameEncoder.from_pretrained(folder, projected=False)
    assert plain.dim == 16
    assert torch.allclose(plain(frames).values, pooled.unflatten(0, (2, 3)), atol=1e-6)


def test_padded_frames_change_nothing_and_come_out_as_zeros(encoder):
    frames, counts = torch.randn(3, 5, 3, 32, 32), torch.tensor([5, 2, 0])
    embeds = encoder(frames, counts)
    assert embeds.mask.sum(1).tolist() == [5, 2, 0]
    assert not embeds.values[~embeds.mask].any()
    assert torch.allclose(encoder(frames[1:2, :2]).values[0], embeds.values[1, :2], atol=1e-6)
    assert not encoder(frames[2:], counts[2:]).mask.any()


def test_memory_bound_does_not_change_the_result(encoder):
    frames = torch.randn(2, 5, 3, 32, 32)
    whole = encoder(frames).values
    encoder.frames_at_once = 3
    assert torch.allclose(encoder(frames).values, whole, atol=1e-6)


def test_cached_features_pass_through(encoder):
    frames, counts = torch.randn(2, 3, 3, 32, 32), torch.tensor([3, 1])
    direct = encoder(frames, counts)
    cached = encoder(encoder(frames).values, counts)
    assert torch.equal(cached.mask, direct.mask)
    assert torch.allclose(cached.values, direct.values, atol=1e-6)
    with pytest.raises(ValueError, match="cached features are 7 wide, this encoder's 12"):
        encoder(torch.zeros(1, 2, 7))
    with pytest.raises(ValueError, match=r"\[B, N, 3, H, W\] or \[B, N, D\]"):
        encoder(torch.zeros(1, 2, 3, 32))


def test_frozen_stays_frozen_and_unfrozen_learns(folder, encoder):
    assert not encoder.train().training
    assert not any(p.requires_grad for p in encoder.parameters())
    open_tower = FrameEncoder.from_pretrained(folder, frozen=False).train()
    open_tower(torch.randn(1, 2, 3, 32, 32)).values.sum().backward()
    assert open_tower.training and open_tower.vision.visual_projection.weight.grad.any()


def test_a_checkpoint_without_the_projection_is_refused(tmp_path):
    CLIPVisionModel(CLIPVisionConfig(**VISION)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"lacks tensors .*visual_projection\.weight"):
        FrameEncoder.from_pretrained(tmp_path)
    assert FrameEncoder.from_pretrained(tmp_path, projected=False).dim == 16


def test_built_from_parts():
    encoder = FrameEncoder(CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)))
    assert encoder(torch.zeros(1, 1, 3, 32, 32)).values.shape == (1, 1, encoder.dim)
