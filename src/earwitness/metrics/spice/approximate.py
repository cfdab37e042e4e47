"""SPICE from a parser of our own: no Java, no download. An approximation, and named so wherever it is
reported."""

from __future__ import annotations

from earwitness.metrics.corpus import Corpus, Score, mean_score
from earwitness.metrics.meteor.data import load
from earwitness.metrics.spice.graph import SynonymJudge, f1, graph
from earwitness.metrics.spice.parser import parse

VERSION = "rules-2"
LONGEST = 500  # tokens of a caption that are parsed; no sentence is longer


def spice_approx(corpus: Corpus) -> Score:
    """F1 of scene-graph tuples per clip; the references of a clip make one graph.

    Raises:
        MissingData: the synonym data are not installed.
    """
    judge = SynonymJudge(load())
    parsed = {tuple(tokens): parse(tokens[:LONGEST]) for tokens in corpus.rows}
    values = []
    for candidate, references in zip(corpus.candidate_tokens, corpus.reference_tokens, strict=True):
        own = graph(parsed[tuple(candidate)], judge)
        other = graph([t for tokens in references for t in parsed[tuple(tokens)]], judge)
        values.append(f1(own, other))
    return mean_score(values)
