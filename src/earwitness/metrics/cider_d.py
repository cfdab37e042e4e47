"""CIDEr-D (Vedantam et al. 2015): what caption papers call CIDEr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earwitness.metrics.corpus import Corpus, Floats, NgramCounts, Score, mean_score

SIGMA = 6.0


@dataclass(frozen=True)
class DocumentFrequency:
    """In how many clips' references an n-gram occurs: what weighs n-grams when one set of clips judges
    another."""

    clips: int
    counts: Mapping[tuple[str, ...], int]

    @classmethod
    def from_tokens(cls, references: Sequence[Sequence[Sequence[str]]]) -> DocumentFrequency:
        """Count from the tokenized references of every clip."""
        counts: dict[tuple[str, ...], int] = {}
        for texts in references:
            seen = {tuple(t[i : i + n]) for t in texts for n in range(1, 5) for i in range(len(t) - n + 1)}
            for gram in seen:
                counts[gram] = counts.get(gram, 0) + 1
        return cls(len(references), counts)


def cider_d(corpus: Corpus, document_frequency: DocumentFrequency | None = None) -> Score:
    """Mean over references and n = 1..4 of the clipped cosine of tf-idf vectors, with a length penalty,
    times 10.

    The weights come from the evaluated references unless `document_frequency` is given: values of
    different clip sets
    are comparable only with the same one.

    Raises:
        ValueError: fewer than two clips and no document frequency (every weight would be log 1 = 0).
    """
    if len(corpus) < 2 and document_frequency is None:
        raise ValueError(
            "CIDEr-D needs at least two clips, because its weights are document frequencies: "
            "score more clips, or pass document_frequency"
        )
    similarity = sum(_similarity(corpus, n, document_frequency) for n in range(4))
    clips = len(corpus)
    per_reference = similarity / 4 * _length_penalty(corpus)
    total = np.bincount(corpus.owners, per_reference, minlength=clips)
    return mean_score(10 * total / np.bincount(corpus.owners, minlength=clips))


def _length_penalty(corpus: Corpus) -> Floats:
    """Gaussian of the difference of bigram counts: [R]."""
    bigrams = np.maximum(0, corpus.lengths - 1)
    difference = bigrams[: len(corpus)][corpus.owners] - bigrams[len(corpus) :]
    return np.exp(-(difference**2) / (2 * SIGMA**2))


def _similarity(corpus: Corpus, order: int, given: DocumentFrequency | None) -> Floats:
    """Clipped cosine of every reference with its clip's candidate: [R]."""
    clips, captions = len(corpus), len(corpus.rows)
    table = corpus.ngrams[order]
    if not len(table.ids):
        return np.zeros(captions - clips)
    weights = _weights(corpus, table) if given is None else _given_weights(corpus, order, given)
    values = table.counts * weights[table.ids]
    norms = np.sqrt(np.bincount(table.rows, values**2, minlength=captions))
    split = int(np.searchsorted(table.rows, clips))
    size = len(weights)
    keys = table.rows[:split] * size + table.ids[:split]
    reference = table.rows[split:] - clips
    products = np.zeros(len(reference))
    if split:
        wanted = corpus.owners[reference] * size + table.ids[split:]
        place = np.minimum(np.searchsorted(keys, wanted), split - 1)
        other = values[split:]
        products = np.where(keys[place] == wanted, np.minimum(values[place], other) * other, 0.0)
    dots = np.bincount(reference, products, minlength=captions - clips)
    scale = norms[corpus.owners] * norms[clips:]
    return np.divide(dots, scale, out=np.zeros(len(dots)), where=scale > 0)


def _weights(corpus: Corpus, table: NgramCounts) -> Floats:
    """log(clips) - log(max(1, document frequency)) of every n-gram id."""
    clips = len(corpus)
    size = int(table.ids.max()) + 1
    split = int(np.searchsorted(table.rows, clips))
    documents = np.unique(corpus.owners[table.rows[split:] - clips] * size + table.ids[split:])
    frequency = np.bincount(documents % size, minlength=size)
    return np.log(clips) - np.log(np.maximum(1, frequency))


def _given_weights(corpus: Corpus, order: int, given: DocumentFrequency) -> Floats:
    table = corpus.ngrams[order]
    frequency = np.zeros(int(table.ids.max()) + 1)
    names = corpus.ngram_names(order)
    for number, gram in names.items():
        frequency[number] = given.counts.get(gram, 0)
    return np.log(max(1, given.clips)) - np.log(np.maximum(1, frequency))
