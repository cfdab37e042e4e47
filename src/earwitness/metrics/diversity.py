"""How varied a system's captions are: distinct n-grams, likeness to each other, length."""

from __future__ import annotations

import numpy as np

from earwitness.metrics.corpus import Corpus, Score, mean_score


def distinct(corpus: Corpus, n: int) -> float:
    """Distinct n-grams of all candidates divided by their n-grams (div-n; Li et al. 2016); 0 without any."""
    table = corpus.ngrams[n - 1]
    own = table.rows < len(corpus)
    total = int(table.counts[own].sum())
    return len(np.unique(table.ids[own])) / total if total else 0.0


def self_similarity(corpus: Corpus) -> Score:
    """Mean cosine of a candidate's word counts with those of all other candidates; 1 when all are the same
    words.

    Needs no pairs: with unit vectors u, the mean of u_i . u_j over j is u_i . (sum of u - u_i) / (clips - 1).
    """
    clips = len(corpus)
    table = corpus.ngrams[0]
    own = table.rows < clips
    rows, ids, counts = table.rows[own], table.ids[own], table.counts[own].astype(np.float64)
    norms = np.sqrt(np.bincount(rows, counts**2, minlength=clips))
    unit = counts / norms[rows]
    total = np.bincount(ids, unit, minlength=1)
    dots = np.bincount(rows, unit * total[ids], minlength=clips) - 1.0 * (norms > 0)
    return mean_score(dots / max(1, clips - 1))


def lengths(corpus: Corpus) -> Score:
    """Tokens of every candidate."""
    return mean_score(corpus.lengths[: len(corpus)].astype(np.float64))
