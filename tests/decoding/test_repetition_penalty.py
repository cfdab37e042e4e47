"""The penalty on words that were said, word by word."""

from __future__ import annotations

import pytest
import torch

from earwitness.decoding import RepetitionPenalty
from earwitness.decoding.words import word_forms

WORDS = ["Ġbell", "Ġrings", "Ġringing", "Ġring", "ing", "Ġand", "▁bells", "Ġa", "Ġwhile", "Ġdogs", "Ġare"]


class Vocabulary:
    """What is asked of a tokenizer."""

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(WORDS)} | {"Ġoutside": len(WORDS)}


@pytest.fixture
def said_words() -> RepetitionPenalty:
    return RepetitionPenalty(Vocabulary(), len(WORDS), penalty=2.0)  # type: ignore[arg-type]


def test_forms_share_a_stem_and_parts_of_words_have_none() -> None:
    forms = word_forms(Vocabulary().get_vocab(), len(WORDS))
    assert forms == {"bell": [0, 6], "ring": [1, 2, 3], "and": [5], "whil": [8], "dog": [9], "are": [10]}


def test_words_that_were_said_come_less_easily_in_any_form_each_caption_its_own(said_words) -> None:
    scores = torch.randn(2, len(WORDS))
    ids = torch.tensor([[7, 0, 1, 8], [9, 9, 5, 10]])  # "a bell rings while", "dogs dogs and are"
    penalised = [{"Ġbell", "▁bells", "Ġrings", "Ġringing", "Ġring"}, {"Ġdogs"}]  # once, however often said
    expected = scores - 2.0 * torch.tensor([[word in row for word in WORDS] for row in penalised])
    assert torch.equal(said_words(ids, scores), expected)


def test_at_the_beginning_nothing_is_said(said_words) -> None:
    scores = torch.randn(3, len(WORDS))
    assert torch.equal(said_words(torch.empty(3, 0, dtype=torch.long), scores), scores)
