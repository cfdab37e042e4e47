"""METEOR 1.5 for English with its default weights and -norm (Denkowski and Lavie 2014), equal to the
original to the bit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from earwitness.metrics.corpus import Corpus, Floats, Pooled, Score
from earwitness.metrics.meteor.alignment import Match, align
from earwitness.metrics.meteor.data import load
from earwitness.metrics.meteor.matches import Matcher
from earwitness.metrics.meteor.text import normalize

ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
WEIGHTS = (1.0, 0.6, 0.8, 0.6)  # exact, stem, synonym, paraphrase

LONGEST = 500  # tokens of a caption that are aligned; the search grows with the square of the length

Statistics = list[float]  # 23 numbers, see _statistics


def meteor(corpus: Corpus) -> Score:
    """Per clip the best reference's score; for the corpus one score from the summed statistics of those
    references.

    Raises:
        MissingData: METEOR's word data or the stemmer are not installed.
    """
    data = load()
    candidates = [
        normalize(" ".join(tokens[:LONGEST]).replace("|||", "").replace("  ", " "), data)
        for tokens in corpus.candidate_tokens
    ]
    references = [
        [normalize(" ".join(tokens[:LONGEST]), data) for tokens in texts] for texts in corpus.reference_tokens
    ]
    matcher = Matcher(data, [*candidates, *(words for texts in references for words in texts)])
    clips: list[float] = []
    chosen: list[Statistics] = []
    function = {word: word in data.function_words for word in matcher.stems}
    for candidate, texts in zip(candidates, references, strict=True):
        score, best = -1.0, [0.0] * 23
        matcher.begin(candidate, texts)
        own = [function[word] for word in candidate]
        for words in texts:
            matches, chunks = align(matcher.options(candidate, words), len(candidate))
            statistics = _statistics(matches, chunks, own, [function[word] for word in words])
            value = formula(statistics)
            if value > score:
                score, best = value, statistics
        clips.append(score)
        if _perfect(best):
            best[20] = 0.0  # the original adds up no chunks of clips that match in one
        chosen.append(best)
    table = np.array(chosen)
    return Score(formula(table.sum(0).tolist()), clips, Pooled(table, _formulas))


def _formulas(sums: Floats) -> Floats:
    return np.array([formula(row) for row in sums.tolist()])


def _statistics(
    matches: Sequence[Match], chunks: int, candidate: Sequence[bool], reference: Sequence[bool]
) -> Statistics:
    """Lengths; function words; per module content and function words matched (candidate, reference);
    chunks; matched words. Sentences are given as what of their words are function words."""
    numbers = [0.0] * 23
    numbers[0], numbers[1] = len(candidate), len(reference)
    numbers[2], numbers[3] = sum(candidate), sum(reference)
    for start, length, i, width, module in matches:
        place = 4 + 4 * module
        function = sum(candidate[i : i + width])
        numbers[place] += width - function
        numbers[place + 2] += function
        function = sum(reference[start : start + length])
        numbers[place + 1] += length - function
        numbers[place + 3] += function
        numbers[21] += width
        numbers[22] += length
    numbers[20] = chunks
    return numbers


def _perfect(numbers: Sequence[float]) -> bool:
    """All words of both sides are matched in one chunk."""
    return numbers[20] <= 1 and numbers[21] == numbers[0] and numbers[22] == numbers[1]


def formula(numbers: Sequence[float]) -> float:
    """The score that 23 statistics give."""
    # The order of products and of sums (content words of all modules first) decides the last bit.
    candidate = reference = 0.0
    for first, share in ((4, DELTA), (6, 1 - DELTA)):
        for module, weight in enumerate(WEIGHTS):
            candidate += numbers[first + 4 * module] * weight * share
            reference += numbers[first + 4 * module + 1] * weight * share
    length = (numbers[0] - numbers[2]) * DELTA + numbers[2] * (1 - DELTA)
    reference_length = (numbers[1] - numbers[3]) * DELTA + numbers[3] * (1 - DELTA)
    if not candidate or not reference or not length or not reference_length:
        return 0.0
    precision, recall = candidate / length, reference / reference_length
    mean = 1.0 / ((1.0 - ALPHA) / precision + ALPHA / recall)
    fragmentation = 0.0 if _perfect(numbers) else numbers[20] / ((numbers[21] + numbers[22]) / 2)
    return mean * (1.0 - GAMMA * fragmentation**BETA)
