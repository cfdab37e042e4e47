"""Calibration: the probability that a caption is correct, from evidence of its decoding.

    p = sigmoid(bias + logprob_weight * logprob + weakest_weight * weakest + ...)

A caption is correct if every sound that it names is present in its clip. The weights are fitted by logistic
regression (Platt 1999; Niculescu-Mizil and Caruana 2005) on held-out recordings and scenes composed of them
(`python -m benchmarks.calibration`), and are kept in the model's config under decoding.calibration.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from earwitness.decoding.words import stem, vague_stems

MAX_NAMED = 4  # words that name tags; further ones do not count
RIDGE = 1.0  # penalty on the squared weights of standardised evidence
STEPS = 30  # of Newton's method, which converges in about six
RISING = ("logprob", "weakest", "mean", "strongest")  # evidence that never lowers a score
_WORD = re.compile(r"[a-z]{3,}")


class Evidence(NamedTuple):
    """Evidence on a caption. Probabilities are those of the encoder's tags, 0 without any."""

    logprob: float  # mean log-probability of the caption's tokens
    weakest: float  # least probable of the tags that its words name
    mean: float  # their mean
    strongest: float  # most probable tag of the clip, named or not
    named: float  # words that name a tag, at most MAX_NAMED
    words: float  # words of the caption


class Weights(NamedTuple):
    """Weights of the evidence, field by field, in the logit of the probability."""

    bias: float
    logprob: float
    weakest: float = 0.0
    mean: float = 0.0
    strongest: float = 0.0
    named: float = 0.0
    words: float = 0.0

    def probability(self, evidence: Evidence) -> float:
        """Evidence for a caption -> 0..1."""
        return float(_sigmoid(self.bias + np.dot(self[1:], evidence)))


class Calibration:
    """Maps captions to probabilities of being correct. tags: names of the encoder's tags, in order."""

    def __init__(self, weights: Weights, tags: Sequence[str]) -> None:
        self.weights, self._reader = weights, EvidenceReader(tags)

    def __call__(self, text: str, logprob: float, probabilities: Sequence[float] = ()) -> float:
        """Caption, its mean log-probability, tag probabilities of its clip -> 0..1."""
        return self.weights.probability(self._reader(text, logprob, probabilities))


class EvidenceReader:
    """Reads which tags a caption names. tags: names of the encoder's tags, in order."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._rows: dict[str, list[int]] = {}  # stem of a word -> the tags it names
        for row, tag in enumerate(tags):
            for word in {stem(word) for word in _WORD.findall(tag.lower())} - vague_stems():
                self._rows.setdefault(word, []).append(row)

    def __call__(self, text: str, logprob: float, probabilities: Sequence[float] = ()) -> Evidence:
        """As `Calibration`. A word's probability is that of the most probable tag that it names."""
        stems = dict.fromkeys(stem(word) for word in _WORD.findall(text.lower()))
        rows = [self._rows[word] for word in stems if word in self._rows] if len(probabilities) else []
        named = [max(probabilities[i] for i in own) for own in rows]
        return Evidence(
            logprob=logprob,
            weakest=min(named, default=0.0),
            mean=sum(named) / max(1, len(named)),
            strongest=max(probabilities, default=0.0),
            named=float(min(len(named), MAX_NAMED)),
            words=float(len(text.split())),
        )


def fit_calibration(evidence: Sequence[Evidence], right: Sequence[bool]) -> Weights:
    """Fit a ridge-penalised logistic regression of `right` on the standardised evidence.

    More probable tokens and tags never lower a score: evidence of RISING that would get a negative weight is
    removed, the most negative first. Raises ValueError unless there are captions of both kinds.
    """
    x, y = np.asarray(evidence, np.float64), np.asarray(right, np.float64)
    if len(x) != len(y) or not 0 < y.sum() < len(y):
        raise ValueError("a calibration needs correct and incorrect captions")
    center, scale = x.mean(0), x.std(0)
    scale[scale < 1e-9] = np.inf  # evidence that never differs gets no weight
    z = np.concatenate([np.ones((len(x), 1)), (x - center) / scale], 1)
    rising = 1 + np.array([Evidence._fields.index(name) for name in RISING])
    weights = _logistic(z, y)
    while weights[rising].min() < 0:
        scale[rising[weights[rising].argmin()] - 1] = np.inf
        z[:, 1:] = (x - center) / scale
        weights = _logistic(z, y)
    slopes = weights[1:] / scale
    bias = float(weights[0] - slopes @ center)
    rounded = {name: round(float(slope), 5) for name, slope in zip(Evidence._fields, slopes)}
    return Weights(bias=round(bias, 5), **rounded)


def _logistic(z: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [F] of columns [N, F], the first one constant and not penalised, by Newton's method."""
    penalty = np.diag([0.0] + [RIDGE] * (z.shape[1] - 1))
    weights = np.zeros(z.shape[1])
    for _ in range(STEPS):
        p = _sigmoid(z @ weights)
        gradient = z.T @ (p - y) + penalty @ weights
        weights -= np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + penalty, gradient)
    weights[np.abs(weights) < 1e-12] = 0.0  # of columns that never differ
    return weights


def expected_calibration_error(probabilities: ArrayLike, right: ArrayLike, bins: int = 10) -> float:
    """Mean over captions of |share right - mean probability| of their bin (Guo et al. 2017, Eq. 3)."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(right, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [abs(y[place == b].sum() - p[place == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(p))


def scoring(
    weights: Mapping[str, float] | None, tags: Sequence[str]
) -> Callable[[str, float, Sequence[float]], float]:
    """Return the scoring of a model's captions: a `Calibration` with its config's weights, or `plain_score`.

    weights: decoding.calibration of the config. tags: names of the encoder's tags.
    """
    if weights is None:
        return lambda text, logprob, probabilities: plain_score(logprob)
    return Calibration(Weights(**weights), tags)


def plain_score(logprob: float) -> float:
    """The score of a model without calibration: the geometric mean of its tokens' probabilities."""
    return min(1.0, math.exp(logprob))


def _sigmoid(x: ArrayLike) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
