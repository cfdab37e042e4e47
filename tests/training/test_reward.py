"""Captions that the model draws, judged by a sentence encoder: a tiny random one in the published layout."""

import json

import numpy as np
import pytest
import torch

from earwitness.build import build_model
from earwitness.config.errors import ConfigError
from earwitness.config.preset import Preset
from earwitness.config.stages import RewardConfig
from earwitness.embeds import Embeds
from earwitness.losses import caption_cross_entropy
from earwitness.metrics.sentence_encoder import SentenceEncoder
from earwitness.training.beginning import train_tokenizer
from earwitness.training.reward import RetrievalReward
from earwitness.training.run import train
from earwitness.training.self_critical import self_critical

REFERENCES = ["a dog barks", "rain falls on a roof", "a man speaks", "a bell rings"]


@pytest.fixture(scope="module")
def reward(sentence_encoder) -> RetrievalReward:
    return RetrievalReward.of(RewardConfig(sentence_encoder=sentence_encoder, samples=3))


def bag_of_words(texts):
    """Texts with the same words have the same vector."""
    words = sorted({word for text in REFERENCES for word in text.split()})
    counts = np.array([[text.split().count(w) for w in words] for text in texts]) + 1e-3
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


@pytest.fixture
def plain_reward() -> RetrievalReward:
    return RetrievalReward(bag_of_words, samples=8, temperature=0.07)


def test_reward_by_hand(reward, sentence_encoder):
    said = ["a dog barks", "rain falls", "a man speaks", "a bell"]
    embed = SentenceEncoder(sentence_encoder)
    got = reward(said, REFERENCES[:2])
    for i in range(4):
        closeness = np.exp(embed([said[i]]) @ embed(REFERENCES[:2]).T / 0.07)[0]
        assert got[i // 2, i % 2].item() == pytest.approx(
            np.log(closeness[i // 2] / closeness.sum()), abs=1e-4
        )


def test_the_clips_own_caption_earns_most_and_one_that_fits_all_alike_little(plain_reward):
    rewards = plain_reward([said for own in REFERENCES for said in (own, "then while")], REFERENCES)
    assert bool((rewards[:, 0] > rewards[:, 1]).all()) and bool((rewards <= 0).all())
    same = plain_reward(["a bell rings"] * 2, ["a bell rings", "a bell rings"])
    torch.testing.assert_close(same, torch.full((2, 1), -np.log(2.0), dtype=torch.float32))


@pytest.mark.slow
def test_drawn_captions_come_to_earn_more(plain_reward):
    """The reward alone, no caption to copy."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    llama = {"config": {"model_type": "llama", "bos_token_id": 0, "eos_token_id": 1} | sizes}
    encoder = {"kind": "conv", "widths": [4, 4, 6, 8], "dim": 16, "tags": ["dog"]}
    config = {"encoder": encoder, "adapter": [{"kind": "linear"}], "language_model": llama}
    preset = Preset.model_validate({"description": "tiny", "model": config})
    model = build_model(preset.model, train_tokenizer(REFERENCES * 4, 300))
    language_model = model.language_model
    ids, mask = language_model.encode_captions(REFERENCES)
    prefix = Embeds.full(torch.randn(4, 2, 16))
    optimizer = torch.optim.Adam(language_model.parameters(), 1e-2)

    def step(loss: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def earned() -> float:
        drawing = {"do_sample": True, "num_return_sequences": 32}
        return plain_reward(language_model.generate(prefix, beams=1, **drawing)[0], REFERENCES).mean().item()

    for i in range(80):  # any clip may be any of them
        own, real = ids.roll(i, 0), mask.roll(i, 0)
        step(caption_cross_entropy(language_model.logits(prefix, own, real), own, real))
    guessed = earned()
    for _ in range(40):
        step(self_critical(language_model, plain_reward, prefix, ids, training=True))
    assert earned() > guessed + 3.0  # to say what fits all clips alike is better than to guess


@pytest.mark.slow
def test_a_stage_draws_and_is_judged_by_what_it_says(sentence_encoder, clip_recipe, tmp_path):
    judge = {"sentence_encoder": sentence_encoder, "samples": 2}
    data = clip_recipe(losses={"caption": 0.1, "self_critical": 1.0}, reward=judge)
    train(Preset.model_validate(data), tmp_path / "out")
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "0-train" / "metrics.jsonl").read_text().splitlines()
    ]
    drawn = [row["loss/self_critical"] for row in rows if "loss/self_critical" in row]
    judged = [row["eval_self_critical"] for row in rows if "eval_self_critical" in row]
    assert drawn and np.isfinite(drawn).all() and judged and all(x >= 0 for x in judged)


def test_a_judge_that_cannot_be_had_is_named_before_training(clip_recipe, tmp_path):
    data = clip_recipe(losses={"self_critical": 1.0}, reward={"sentence_encoder": str(tmp_path / "none")})
    with pytest.raises(ConfigError, match=r"stages\.0\.reward\.sentence_encoder: .*none"):
        train(Preset.model_validate(data), tmp_path / "out")


@pytest.mark.parametrize(
    "stage",
    [{"losses": {"self_critical": 1.0}}, {"reward": {"sentence_encoder": "x"}}],
    ids=["weight", "reward"],
)
def test_a_reward_and_its_weight_go_together(stage, clip_recipe):
    with pytest.raises(ValueError, match="self_critical and reward go together"):
        Preset.model_validate(clip_recipe(**stage))
