"""The search: what it asks of the language model, and which beam it takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from earwitness.decoding import RepetitionPenalty, Search, TokenGuideParameters
from earwitness.decoding.guides import Encoded
from earwitness.embeds import Embeds

TABLE = torch.eye(4)


class Beams:
    """A language model that returns fixed beams and records how it was asked."""

    token_table = TABLE
    texts = ("rain", "a dog", "wind", "a cat")  # two beams of each of two clips

    def generate(self, prefix: Embeds, **options: Any) -> tuple[list[str], Tensor]:
        self.asked = options
        return list(self.texts), torch.tensor([-0.1, -0.2, -0.3, -0.4])

    def encode_captions(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        ids = torch.tensor([[self.texts.index(text)] for text in texts])
        return ids, torch.ones_like(ids, dtype=torch.bool)

    def caption_embeddings(self, ids: Tensor, mask: Tensor, like: Embeds) -> Embeds:
        return Embeds(TABLE[ids], mask)


def embeds(*rows: list[float]) -> Embeds:
    values = torch.tensor(rows)[:, None]
    return Embeds(values, torch.ones(values.shape[:2], dtype=torch.bool))


# the first clip is like "a dog", the second like "wind"
AUDIO = embeds([0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0])
ENCODED = Encoded(AUDIO, AUDIO)


def run(search: Search, **options: Any) -> tuple[list[str], Tensor, dict[str, Any]]:
    language_model: Any = Beams()
    texts, scores = search.caption(language_model, AUDIO, ENCODED, **options)
    return texts, scores, language_model.asked


def test_the_beam_nearest_to_the_audio_is_chosen_with_its_own_score() -> None:
    texts, scores, asked = run(Search(alignment=1.0, beams=2))
    assert texts == ["a dog", "wind"] and scores.tolist() == pytest.approx([-0.2, -0.3])
    assert asked["num_return_sequences"] == asked["beams"] == 2


def test_a_small_weight_leaves_the_likelier_beam() -> None:
    assert run(Search(alignment=0.05, beams=2))[0] == ["rain", "wind"]


@pytest.mark.parametrize("options", [{"do_sample": True}, {"num_return_sequences": 2}])
def test_sampling_and_several_captions_choose_nothing(options: dict[str, Any]) -> None:
    texts, _, asked = run(Search(alignment=1.0), **options)
    assert texts == list(Beams.texts) and options.items() <= asked.items()


def test_defaults_give_way_to_options() -> None:
    search = Search(beams=5, no_repeat_ngram=3, max_new_tokens=30, length_penalty=0.5)
    asked = {key: value for key, value in run(search)[2].items() if key != "logits_processors"}
    wanted = {"beams": 5, "no_repeat_ngram_size": 3, "max_new_tokens": 30, "length_penalty": 0.5}
    assert asked == wanted and run(search, max_new_tokens=8)[2]["max_new_tokens"] == 8
    asked = run(search, beams=1, no_repeat_ngram_size=2)[2]
    assert asked["beams"] == 1 and asked["no_repeat_ngram_size"] == 2 and "length_penalty" not in asked


def test_guides_can_be_switched_off_and_the_penalty_stays() -> None:
    guide, repetition = TokenGuideParameters(beta=1.0), RepetitionPenalty(Vocabulary(), 4, 2.0)  # type: ignore[arg-type]
    search = Search(guides=[guide], repetition=repetition)
    assert search.token_guide is guide and Search().token_guide is None
    assert len(run(search)[2]["logits_processors"]) == 2
    assert run(search, use_guide=False)[2]["logits_processors"] == [repetition]


class Vocabulary:
    """What a repetition penalty asks of a tokenizer."""

    def get_vocab(self) -> dict[str, int]:
        return {"Ġrain": 0}
