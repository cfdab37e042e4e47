"""Number of distinct words that a system uses, by itself and against the references."""

from __future__ import annotations

from earwitness.metrics.corpus import Corpus


def vocabulary(corpus: Corpus) -> float:
    """Distinct tokens in all candidates."""
    return float(len({token for tokens in corpus.candidate_tokens for token in tokens}))


def vocabulary_ratio(corpus: Corpus) -> float:
    """Distinct tokens in all candidates divided by those in all references; 0 without any."""
    words = {token for texts in corpus.reference_tokens for tokens in texts for token in tokens}
    return vocabulary(corpus) / len(words) if words else 0.0
