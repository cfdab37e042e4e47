"""Beam search in numpy against that of transformers, on language models of random weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from earwitness.embeds import Embeds
from earwitness.runtime.beam_search import Ids, beam_search
from earwitness.runtime.guides import without_repeated_ngrams

CLIPS = 4


class Whole:
    """A language model that computes everything again at every step, from the tokens and parents it gets."""

    def __init__(self, language_model: Any, prefix: torch.Tensor) -> None:
        self.language_model, self.prefix = language_model, prefix
        self.said: np.ndarray | None = None

    def first(self) -> np.ndarray:
        return self._logits(self.prefix)

    def next(self, tokens: Ids, parents: Ids) -> np.ndarray:
        clips, beams = tokens.shape
        before = np.zeros((clips, beams, 0), np.int64) if self.said is None else self.said
        self.said = np.concatenate([np.take_along_axis(before, parents[..., None], 1), tokens[..., None]], 2)
        said = self.language_model.embed(torch.from_numpy(self.said.reshape(clips * beams, -1)))
        logits = self._logits(torch.cat([self.prefix.repeat_interleave(beams, 0), said], 1))
        return logits.reshape(clips, beams, -1)

    def _logits(self, embeddings: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return self.language_model.model(inputs_embeds=embeddings).logits[:, -1].numpy()


@pytest.fixture(scope="module", params=range(2))
def language_model(request, tiny_models) -> Any:
    made = tiny_models(request.param + 5).language_model
    made.model.lm_head.weight.data *= 30  # else all tokens are about as probable, and rounding chooses
    return made


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 2.0])
@pytest.mark.parametrize(
    ("most", "least", "ngram"), [(12, 2, 0), (12, 0, 2), (4, 3, 3), (1, 0, 0), (9, 0, 1)]
)
def test_captions_and_scores_are_those_of_transformers(
    language_model, beams, length_penalty, most, least, ngram
):
    torch.manual_seed(beams)
    prefix = torch.randn(CLIPS, 5, language_model.dim)
    texts, scores = language_model.generate(
        Embeds.full(prefix),
        beams=beams,
        num_return_sequences=beams,
        max_new_tokens=most,
        min_new_tokens=least,
        no_repeat_ngram_size=ngram,
        **({"length_penalty": length_penalty} if beams > 1 else {}),
    )
    found = beam_search(
        Whole(language_model, prefix),
        [without_repeated_ngrams(ngram)] if ngram else [],
        end=language_model.eos_id,
        beams=beams,
        max_new_tokens=most,
        min_new_tokens=least,
        length_penalty=length_penalty,
    )
    assert found.ids.shape[:2] == (CLIPS, beams) and found.ids.shape[2] <= most
    assert [language_model.decode(row) for clip in found.ids.tolist() for row in clip] == texts
    means = (found.log_probabilities / found.lengths).reshape(-1)
    assert np.allclose(means, scores.numpy(), atol=1e-4)


def test_the_end_comes_no_sooner_than_asked(language_model):
    def end(said: Ids, logits: np.ndarray) -> np.ndarray:
        """The end is all but certain at every step."""
        logits = logits.copy()
        logits[..., language_model.eos_id] = logits.max() + 99.0
        return logits

    prefix = torch.randn(2, 3, language_model.dim)
    options = {"end": language_model.eos_id, "beams": 2, "max_new_tokens": 8, "length_penalty": 0.0}
    found = beam_search(Whole(language_model, prefix), [end], min_new_tokens=3, **options)
    assert found.lengths[:, 0].tolist() == [4, 4]
