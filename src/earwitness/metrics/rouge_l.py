"""ROUGE-L (Lin 2004): longest common subsequence, beta 1.2."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.corpus import Corpus, Score, mean_score

BETA = 1.2


def rouge_l(corpus: Corpus) -> Score:
    """F-measure of the highest precision and the highest recall over the references, each taken by itself.

    An empty candidate scores 0.
    """
    return mean_score(
        [
            _clip_score(candidate, references)
            for candidate, references in zip(corpus.candidate_tokens, corpus.reference_tokens, strict=True)
        ]
    )


def _clip_score(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    if not candidate:
        return 0.0
    places: dict[str, int] = {}
    for number, token in enumerate(candidate):
        places[token] = places.get(token, 0) | 1 << number
    precision = recall = 0.0
    for reference in references:
        if reference:
            common = _common_subsequence(places, len(candidate), reference)
            precision = max(precision, common / len(candidate))
            recall = max(recall, common / len(reference))
    if not precision or not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def _common_subsequence(places: dict[str, int], length: int, reference: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the usual table kept as the bits of one integer.

    Source: Hyyro 2004, "Bit-parallel LCS-length computation revisited".
    """
    full = (1 << length) - 1
    row = full
    for token in reference:
        match = row & places.get(token, 0)
        row = ((row + match) | (row - match)) & full
    return length - row.bit_count()
