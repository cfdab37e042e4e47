"""Re-ranking: order, ties, weights, and what is embedded."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from earwitness.decoding.rerank import Reranker, rerank

SPACE = {
    "a dog barks": [1.0, 0.0],
    "rain": [0.0, 2.0],
    "a dog in the rain": [3.0, 3.0],
    "rain again": [0.0, 1.0],
}


def embed(texts):
    assert texts == sorted({*texts})  # each once
    return np.array([SPACE[text] for text in texts])


def test_the_best_match_comes_first_whatever_the_vectors_length():
    beams = [["rain", "a dog in the rain", "a dog barks"], ["a dog barks", "rain"]]
    ranked = rerank(beams, np.array([[5.0, 0.1], [0.0, 0.01]]), embed)
    assert [entry.caption for entry in ranked[0]] == ["a dog barks", "a dog in the rain", "rain"]
    assert [entry.beam for entry in ranked[0]] == [2, 1, 0]
    assert [entry.caption for entry in ranked[1]] == ["rain", "a dog barks"]
    assert ranked[0][0].similarity == pytest.approx(5 / np.hypot(5, 0.1))
    assert ranked[1][0].similarity == pytest.approx(1.0)


def test_equals_keep_the_order_of_the_beam_search_and_empty_captions_come_last():
    ranked = rerank([["", "rain again", "rain", "  ", "a dog barks"]], np.array([[-1.0, 1.0]]), embed)
    assert [entry.beam for entry in ranked[0]] == [1, 2, 4, 0, 3]
    assert ranked[0][-1].similarity == -np.inf


def test_weight_lets_the_language_model_speak():
    beams, audio, log_probabilities = [["rain", "a dog in the rain"]], np.array([[1.0, 1.0]]), [[-0.1, -1.1]]
    assert rerank(beams, audio, embed, log_probabilities=log_probabilities)[0][0].beam == 1
    gain = 1 - 1 / np.sqrt(2)  # of beam 1 in cosine, against 1.0 in log-probability
    for weight, first in ((gain - 0.01, 1), (gain + 0.01, 0)):
        assert (
            rerank(beams, audio, embed, log_probabilities=log_probabilities, weight=weight)[0][0].beam
            == first
        )


def test_without_a_weight_log_probabilities_do_not_matter_though_one_be_infinite():
    found = rerank(
        [["rain", "a dog barks"]], np.array([[1.0, 0.0]]), embed, log_probabilities=[[-0.1, -np.inf]]
    )
    assert [entry.beam for entry in found[0]] == [1, 0]


def test_a_reranker_names_the_best_candidate_of_each_clip_among_all():
    """Candidates of clips stand side by side; nothing but their number tells where a clip begins."""
    reranker = Reranker(SimpleNamespace(embed_text=embed))
    candidates = ["rain", "a dog barks", "rain", "a dog barks", "a dog in the rain", "rain"]
    audio = np.array([[1.0, 0.1], [0.1, 1.0], [1.0, 1.0]])
    assert reranker(audio, candidates, [-1.0] * 6) == [1, 2, 4]
    loud = Reranker(SimpleNamespace(embed_text=embed), weight=100.0)
    assert loud(audio, candidates, [-1.0, -2.0, -2.0, -1.0, -2.0, -1.0]) == [0, 3, 5]
    assert reranker.searching({"beams": 4}) == {"beams": 4, "num_return_sequences": 4}
    with pytest.raises(ValueError, match="search with at least 2"):
        reranker.searching({"beams": 1})


def test_nothing_to_rank():
    assert rerank([], np.zeros((0, 4)), embed) == []
    assert rerank([[], [""]], np.ones((2, 4)), embed)[0] == []


@pytest.mark.parametrize(
    ("arguments", "keywords", "message"),
    [
        (([["rain"]], np.ones((2, 2)), embed), {}, r"audio must be \[1, D\].* not \(2, 2\)"),
        (([["rain"]], np.ones((1, 2)), embed), {"weight": 1.0}, "a weight needs log_probabilities"),
        (
            ([["rain"]], np.ones((1, 2)), embed),
            {"log_probabilities": [[1.0, 2.0]]},
            "one number for each beam",
        ),
    ],
)
def test_refuses(arguments, keywords, message):
    with pytest.raises(ValueError, match=message):
        rerank(*arguments, **keywords)
