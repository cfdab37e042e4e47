"""BLEU-1 to BLEU-4 (Papineni et al. 2002) with the closest reference length, as caption papers report it."""

from __future__ import annotations

from functools import partial

import numpy as np

from earwitness.metrics.corpus import Corpus, Floats, Ints, Pooled, Score

# The standard tool keeps 0/0 finite with these; they move a value by 1e-9 at most and are part of it.
_TINY, _SMALL = 1e-15, 1e-9


def bleu(corpus: Corpus) -> list[Score]:
    """BLEU-1..4. A clip's value comes from its own counts, the corpus value from those of all clips together.

    The reference length is that of the reference closest in length to the candidate, of two equally close
    the shorter. An n-gram counts as often as in the reference that has it most.
    """
    clips = len(corpus)
    length = corpus.lengths[:clips]
    closest = _closest_reference_length(corpus)
    guesses = np.stack([np.maximum(0, length - n) for n in range(4)], axis=1)  # [C, 4]
    correct = np.stack([_clipped_matches(corpus, n) for n in range(4)], axis=1)  # [C, 4]
    statistics = np.column_stack([correct, guesses, length, closest]).astype(np.float64)  # [C, 10]
    per_clip, total = _formula(statistics), _formula(statistics.sum(0, keepdims=True))
    values = (partial(_column, n) for n in range(4))
    return [
        Score(float(total[0, n]), per_clip[:, n].tolist(), Pooled(statistics, value))
        for n, value in enumerate(values)
    ]


def _column(n: int, statistics: Floats) -> Floats:
    return _formula(statistics)[:, n]


def _formula(statistics: Floats) -> Floats:
    """BLEU-1..4 [S, 4] of counts [S, 10]."""
    correct, guesses = statistics[:, :4], statistics[:, 4:8]
    length, closest = statistics[:, 8], statistics[:, 9]
    precision = np.cumprod((correct + _TINY) / (guesses + _SMALL), axis=1) ** (1 / np.arange(1, 5))
    ratio = (length + _TINY) / (closest + _SMALL)
    penalty = np.where(ratio < 1, np.exp(1 - 1 / np.where(ratio > 0, ratio, 1)), 1.0)
    return precision * penalty[:, None]


def _closest_reference_length(corpus: Corpus) -> Ints:
    clips = len(corpus)
    lengths = corpus.lengths[clips:]
    gap = np.abs(lengths - corpus.lengths[:clips][corpus.owners])
    order = np.lexsort((lengths, gap, corpus.owners))
    first = np.searchsorted(
        corpus.owners, np.arange(clips)
    )  # owners are sorted, and lexsort keeps clips together
    return lengths[order[first]]


def _clipped_matches(corpus: Corpus, order: int) -> Ints:
    """Candidate n-grams that a reference has, each counted at most as often as in one reference: [C]."""
    clips = len(corpus)
    table = corpus.ngrams[order]
    split = int(np.searchsorted(table.rows, clips))
    if not split or split == len(table.rows):
        return np.zeros(clips, dtype=np.int64)
    size = int(table.ids.max()) + 1
    keys = corpus.owners[table.rows[split:] - clips] * size + table.ids[split:]
    by_key = np.argsort(keys, kind="stable")
    unique, starts = np.unique(keys[by_key], return_index=True)
    most = np.maximum.reduceat(table.counts[split:][by_key], starts)
    wanted = table.rows[:split] * size + table.ids[:split]
    place = np.minimum(np.searchsorted(unique, wanted), len(unique) - 1)
    matched = np.where(unique[place] == wanted, np.minimum(table.counts[:split], most[place]), 0)
    return np.bincount(table.rows[:split], matched, minlength=clips).astype(np.int64)
