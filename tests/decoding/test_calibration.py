"""Scores that mean something: evidence read from captions, weights fitted to it, errors measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from earwitness.captions import sureness
from earwitness.decoding.calibration import (
    RIDGE,
    Calibration,
    Evidence,
    EvidenceReader,
    Weights,
    _logistic,
    expected_calibration_error,
    fit_calibration,
    plain_score,
)

TAGS = ["dog barking", "dog", "rain falling", "engine noise"]


def test_evidence_is_the_probability_of_the_tags_that_a_caption_names():
    read = EvidenceReader(TAGS)
    evidence = read("a dog barks while rain falls", -0.5, [0.6, 0.9, 0.2, 0.4])
    # dog .9 (its likeliest tag), bark .6, rain .2; "fall" fits many sounds
    assert evidence == Evidence(-0.5, 0.2, pytest.approx((0.9 + 0.6 + 0.2) / 3), 0.9, 3.0, 6.0)
    assert read("someone sneezes", -1.0, [0.6, 0.9, 0.2, 0.4]) == Evidence(-1.0, 0.0, 0.0, 0.9, 0.0, 2.0)
    assert read("noise", -1.0, [0.1] * 4).named == 0  # fits any sound
    assert read("a dog barks", -0.5) == Evidence(-0.5, 0.0, 0.0, 0.0, 0.0, 3.0)  # an encoder without tags


def drawn(count: int, seed: int = 0) -> tuple[list[Evidence], np.ndarray, np.ndarray]:
    """Evidence, whether the caption is right, and the true probability of that."""
    rng = np.random.default_rng(seed)
    logprob, weakest = rng.normal(-0.8, 0.4, count), rng.uniform(0, 1, count)
    p = 1 / (1 + np.exp(-(1.0 + 2.0 * logprob + 3.0 * weakest)))
    evidence = [Evidence(a, b, 0.0, 0.0, 2.0, 7.0) for a, b in zip(logprob, weakest)]
    return evidence, rng.random(count) < p, p


def test_fitted_weights_are_those_that_the_truth_was_drawn_by():
    evidence, right, _ = drawn(20_000)
    config = fit_calibration(evidence, right)
    assert (config.bias, config.logprob, config.weakest) == pytest.approx((1.0, 2.0, 3.0), abs=0.15)
    assert config.mean == config.strongest == config.named == config.words == 0  # these never differ
    fresh, right, _ = drawn(20_000, seed=1)
    scores = np.array([config.probability(evidence) for evidence in fresh])
    assert expected_calibration_error(scores, right) < 0.01
    assert expected_calibration_error(np.clip(scores + 0.2, 0, 1), right) > 0.1


def test_more_probable_tokens_and_tags_never_lower_a_score():
    rng = np.random.default_rng(0)
    mean = rng.uniform(0, 1, 5000)
    weakest = np.clip(mean + rng.normal(0, 0.1, 5000), 0, 1)
    right = rng.random(5000) < np.clip(
        0.5 + 2.0 * mean - 1.5 * weakest, 0, 1
    )  # alone, `weakest` would count against
    config = fit_calibration([Evidence(-0.5, w, m, 0.5, 1.0, 5.0) for w, m in zip(weakest, mean)], right)
    assert config.weakest == 0 and config.mean > 1.0


def test_the_fit_is_the_minimum_of_the_penalised_likelihood():
    """Its gradient vanishes: residuals are balanced by RIDGE times the weights, the constant's by nothing."""
    rng = np.random.default_rng(0)
    z = np.concatenate([np.ones((40, 1)), rng.standard_normal((40, 3))], 1)
    y = (rng.random(40) < 0.4).astype(float)
    weights = _logistic(z, y)
    residuals = 1 / (1 + np.exp(-z @ weights)) - y
    assert np.allclose(z.T @ residuals, -RIDGE * weights * [0, 1, 1, 1], atol=1e-9)
    assert np.abs(weights).min() > 1e-3


def test_calibration_needs_both_kinds_of_captions():
    evidence, _, _ = drawn(10)
    for right in ([True] * 10, [False] * 10, [True]):
        with pytest.raises(ValueError, match="correct and incorrect captions"):
            fit_calibration(evidence, right)


def test_expected_calibration_error_of_known_cases():
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([0.75] * 4, [True, True, True, False]) == 0
    assert expected_calibration_error([0.9] * 4, [True, True, False, False]) == pytest.approx(0.4)
    assert expected_calibration_error([0.1, 0.9], [True, True]) == pytest.approx((0.9 + 0.1) / 2)


def test_a_score_rises_with_its_evidence_and_stays_between_0_and_1():
    score = Calibration(Weights(bias=0.0, logprob=2.0, weakest=4.0), TAGS)
    row = [0.5, 0.5, 0.1, 0.1]
    assert score("a dog barks", -0.2, row) > score("a dog barks", -0.9, row) > 0
    assert score("a dog barks", -0.2, row) > score("rain falls", -0.2, row)
    assert score("a dog barks", -0.2, row) == pytest.approx(1 / (1 + math.exp(0.4 - 2.0)))
    assert 0 <= score("a dog barks", -1e6, row) < 1e-6
    assert plain_score(0.1) == 1.0 and plain_score(-1.0) == pytest.approx(math.exp(-1))


@pytest.mark.parametrize(
    "score, word",
    [(1.0, "sure"), (0.8, "sure"), (0.79, "likely"), (0.5, "likely"), (0.49, "unsure"), (0.0, "unsure")],
)
def test_words_for_scores(score, word):
    assert sureness(score) == word
