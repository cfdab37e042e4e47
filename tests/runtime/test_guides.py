"""Guides and penalties in numpy against those of torch, row by row."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import NoRepeatNGramLogitsProcessor

from earwitness.decoding import RepetitionPenalty as TorchPenalty
from earwitness.decoding import TagGuide as TorchGuide
from earwitness.decoding.guides import Encoded
from earwitness.decoding.order_guide import OrderGuide as TorchOrderGuide
from earwitness.embeds import Embeds
from earwitness.encoders.tag_families import source
from earwitness.runtime.guides import OrderGuide, RepetitionPenalty, TagGuide, without_repeated_ngrams

WORDS = "Ġdog Ġbark Ġbarking Ġbarks ark Ġbell Ġrings Ġrunning Ġa ▁bells Ġringing Ġand Ġwhile Ġspeech".split()
TAGS = ["dog barking", "bell ringing", "running sound", "speech"]
CLIPS, BEAMS = 3, 2


class Vocabulary:
    """What is asked of a tokenizer."""

    def get_vocab(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(WORDS)} | {"<outside>": len(WORDS)}


@pytest.fixture(params=[0, 1, 4])
def said(request) -> np.ndarray:
    """Tokens of every beam: none, one, four."""
    return np.random.default_rng(0).integers(0, len(WORDS), (CLIPS, BEAMS, request.param))


@pytest.fixture
def logits() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(CLIPS, BEAMS, len(WORDS))).astype(np.float32)


def rows(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x.reshape(CLIPS * BEAMS, -1).copy())


def test_tag_guide(said, logits) -> None:
    probabilities = np.array([[0.9, 0.05, 0.3, 0], [0.2, 0.6, 0, 0.081], [0, 0, 0, 0.079]], np.float32)
    nothing = Embeds.full(torch.zeros(CLIPS, 1, 1))
    encoded = Encoded(nothing, nothing, torch.from_numpy(probabilities))
    guide = TorchGuide(TAGS, Vocabulary(), len(WORDS), 1.5)  # type: ignore[arg-type]
    wanted = guide.processor(encoded)(rows(said), rows(logits))
    before = logits.copy()
    found = TagGuide(TAGS, Vocabulary().get_vocab(), len(WORDS), 1.5).processor(probabilities)(said, logits)
    assert np.allclose(rows(found), wanted, atol=1e-6) and not np.allclose(rows(found), rows(logits))
    assert np.array_equal(logits, before)  # what it is given is left alone


@pytest.mark.parametrize("seed", range(4))
def test_order_guide(seed, logits) -> None:
    tags, rng = ["Dog", "Bark", "Rain", "Inside, small room"], np.random.default_rng(seed)
    words = ["Ġthen", "Ġfollowed", "Ġdog", "Ġafter", "Ġrain"] + ["x"] * (len(WORDS) - 5)
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = type("Tokenizer", (), {"get_vocab": lambda self: vocabulary})()
    clips, over_time = rng.random((CLIPS, 4), np.float32), rng.random((CLIPS, 6, 4), np.float32) ** 4
    tokens = Embeds.full(torch.zeros(CLIPS, 6, 1))
    encoded = Encoded(tokens, tokens, torch.from_numpy(clips), torch.from_numpy(over_time))
    guide = TorchOrderGuide([source(tag) for tag in tags], tokenizer, len(words))
    said = np.zeros((CLIPS, BEAMS, 0), np.int64)
    wanted = guide.processor(encoded, torch.zeros(1))(rows(said), rows(logits))
    token_logits = list(np.log(over_time) - np.log1p(-over_time))
    found = OrderGuide(tags, vocabulary, len(words)).processor(clips, token_logits)(said, logits)
    assert np.array_equal(rows(found), wanted.numpy())


def test_repetition_penalty(said, logits) -> None:
    wanted = TorchPenalty(Vocabulary(), len(WORDS), 2.0)(rows(said), rows(logits))  # type: ignore[arg-type]
    found = RepetitionPenalty(Vocabulary().get_vocab(), len(WORDS), 2.0)(said, logits)
    assert np.allclose(rows(found), wanted, atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_repeated_ngrams(size, logits) -> None:
    for length in range(7):
        said = np.random.default_rng(length).integers(0, 3, (CLIPS, BEAMS, length))  # of three words: repeats
        wanted = NoRepeatNGramLogitsProcessor(size)(rows(said), rows(logits)) if length else rows(logits)
        assert np.array_equal(rows(without_repeated_ngrams(size)(said, logits)), wanted.numpy())
