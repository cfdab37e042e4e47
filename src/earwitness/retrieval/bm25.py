"""Okapi BM25: how well texts answer a query by the words they share (Robertson and Zaragoza 2009)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from earwitness.stemming import stems

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, B = 1.2, 0.75  # saturation of repeated words; how far long texts are held back


def bm25_scores(query: str, texts: Iterable[str]) -> NDArray[np.float64]:
    """One score per text, 0 where it has no word of the query. The texts are read once and not kept.

    score = sum over words w of the query: idf(w) tf (K1 + 1) / (tf + K1 (1 - B + B length / mean length)),
    idf(w) = ln(1 + (N - n + 1/2) / (n + 1/2)), with n of N texts that hold w. Words are compared as stems.
    """
    words = list(dict.fromkeys(stems(query)))
    lengths: list[int] = []
    rows: list[int] = []  # texts that hold a word of the query, and how often each word
    counts: list[list[int]] = []
    for row, text in enumerate(texts):
        found = Counter(stems(text))
        lengths.append(found.total())
        if any(word in found for word in words):
            rows.append(row)
            counts.append([found[word] for word in words])
    scores = np.zeros(len(lengths))
    if rows:
        tf = np.array(counts, np.float64)  # [texts that hold one, words]
        n = (tf > 0).sum(0)
        idf = np.log1p((len(lengths) - n + 0.5) / (n + 0.5))
        relative = np.array(lengths)[rows, None] / np.mean(lengths)
        scores[rows] = (idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * relative))).sum(1)
    return scores


def best(scores: NDArray[np.float64], count: int) -> list[int]:
    """The rows of the greatest scores above 0, best first; of equals, the earlier first."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [int(row) for row in order if scores[row] > 0]
