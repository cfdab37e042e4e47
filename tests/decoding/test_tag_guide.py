"""The tag guide against the sum written out, word by word."""

from __future__ import annotations

import pytest
import torch

from earwitness.decoding import TagGuide
from earwitness.decoding.guides import Encoded
from earwitness.embeds import Embeds

WORDS = ["Ġdog", "Ġbark", "Ġbarking", "Ġbarks", "ark", "Ġbell", "Ġrings", "Ġrunning", "Ġa", "▁bells"]
TAGS = ["dog barking", "bell ringing", "running sound"]


class Vocabulary:
    """What the guide asks of a tokenizer."""

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(WORDS)} | {"<outside>": len(WORDS)}


@pytest.fixture
def guide() -> TagGuide:
    return TagGuide(TAGS, Vocabulary(), len(WORDS), weight=2.0)  # type: ignore[arg-type]


def change(guide: TagGuide, probabilities: list[list[float]], said: list[list[int]]) -> torch.Tensor:
    ids = torch.tensor(said, dtype=torch.long)
    tokens = Embeds(
        torch.zeros(len(probabilities), 1, 4), torch.ones(len(probabilities), 1, dtype=torch.bool)
    )
    encoded = Encoded(tokens, tokens, torch.tensor(probabilities))
    return guide.processor(encoded)(ids, torch.zeros(len(said), len(WORDS)))


def test_words_of_a_tag_rise_by_its_probability_in_every_form(guide) -> None:
    raised = change(guide, [[0.5, 0.25, 1.0]], [[]])[0]
    expected = {"Ġdog": 1.0, "Ġbark": 1.0, "Ġbarking": 1.0, "Ġbarks": 1.0}
    expected |= {"Ġbell": 0.5, "▁bells": 0.5, "Ġrings": 0.5}  # parts of words and vague words stay
    assert raised.tolist() == [expected.get(word, 0.0) for word in WORDS]


def test_what_is_said_in_any_form_is_raised_no_more(guide) -> None:
    raised = change(guide, [[0.5, 0.0, 0.0]], [[8, 3]])[0]  # "a barks"
    assert raised.tolist() == [1.0] + [0.0] * 9


def test_unlikely_tags_raise_nothing(guide) -> None:
    assert not change(guide, [[0.079, 0.0, 0.0]], [[]]).any()


def test_beams_of_a_clip_share_its_tags_but_not_what_they_said(guide) -> None:
    raised = change(guide, [[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]], [[0], [8], [5], [8]])
    assert raised[:, [0, 5]].tolist() == [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]


def test_an_encoder_without_names_of_tags_is_refused() -> None:
    with pytest.raises(ValueError, match="tags have names"):
        TagGuide([], Vocabulary(), 4, 1.0)  # type: ignore[arg-type]
