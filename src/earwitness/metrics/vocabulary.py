"""Number of distinct words that a system uses."""

from __future__ import annotations

from earwitness.metrics.corpus import Corpus


def vocabulary(corpus: Corpus) -> float:
    """Distinct tokens in all candidates."""
    return float(len({token for tokens in corpus.candidate_tokens for token in tokens}))
