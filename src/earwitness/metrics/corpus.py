"""The captions of one evaluation, tokenized once and counted once for all n-gram metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from earwitness.metrics.tokenizer import LINE_BREAKS, ptb_tokens, split_tokens

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Pooled(NamedTuple):
    """How a corpus value that is no mean over clips comes about: from sums of the clips' statistics."""

    statistics: Floats  # [C, K]
    value: Callable[[Floats], Floats]  # sums [S, K] -> corpus values [S]


class Score(NamedTuple):
    """A metric's value for the corpus and, where it has one, for every clip; pooled where it is no mean."""

    corpus: float
    clips: list[float]
    pooled: Pooled | None = None


def mean_score(clips: Floats | Sequence[float]) -> Score:
    """The score of a metric whose corpus value is the mean over clips (0 without clips)."""
    values = np.asarray(clips, dtype=np.float64)
    return Score(float(values.mean()) if len(values) else 0.0, values.tolist())


class NgramCounts(NamedTuple):
    """How often n-gram `ids` occurs in caption `rows`; sorted by row, then id."""

    rows: Ints
    ids: Ints
    counts: Ints


class Corpus:
    """Candidates and their references, as texts and as tokens.

    Args:
        candidates: one caption a clip.
        references: one or more captions a clip, in the same order.
        tokenize: apply the Penn Treebank tokenizer; False splits texts that were tokenized before at blanks.

    Raises:
        ValueError: the lists differ in length, are empty, hold something that is no text, or a clip has no
            reference.
    """

    def __init__(
        self, candidates: Sequence[str], references: Sequence[Sequence[str]], *, tokenize: bool = True
    ) -> None:
        own = entries("candidates", candidates)
        others = [
            entries(f"references of clip {number}", texts)
            for number, texts in enumerate(entries("references", references))
        ]
        _check_captions(own, others)
        self.candidates = [LINE_BREAKS.sub(" ", text) for text in own]
        self.references = [[LINE_BREAKS.sub(" ", text) for text in texts] for texts in others]
        self.tokenize = tokenize
        self._places: list[tuple[Ints, Ints]] = []

    def __len__(self) -> int:
        return len(self.candidates)

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        return ptb_tokens(texts) if self.tokenize else split_tokens(texts)

    @cached_property
    def candidate_tokens(self) -> list[list[str]]:
        return self._tokens(self.candidates)

    @cached_property
    def reference_tokens(self) -> list[list[list[str]]]:
        flat = iter(self._tokens([text for texts in self.references for text in texts]))
        return [[next(flat) for _ in texts] for texts in self.references]

    @cached_property
    def owners(self) -> Ints:
        """The clip of every reference, references taken in order: [R]."""
        return np.repeat(np.arange(len(self)), [len(texts) for texts in self.references])

    @cached_property
    def rows(self) -> list[list[str]]:
        """Token lists of all captions: the candidates, then all references."""
        return [*self.candidate_tokens, *(tokens for texts in self.reference_tokens for tokens in texts)]

    @cached_property
    def lengths(self) -> Ints:
        """Number of tokens of every row: [C + R]."""
        return np.array([len(tokens) for tokens in self.rows], dtype=np.int64)

    @cached_property
    def ngrams(self) -> list[NgramCounts]:
        """Counts of all n-grams, n = 1..4; equal n-grams of one order have equal ids."""
        numbers: dict[str, int] = {}
        words = np.array(
            [numbers.setdefault(token, len(numbers)) for tokens in self.rows for token in tokens],
            dtype=np.int64,
        )
        row = np.repeat(np.arange(len(self.rows)), self.lengths)
        left = np.repeat(np.cumsum(self.lengths), self.lengths) - np.arange(
            len(words)
        )  # tokens up to the row's end
        tables, self._places = [], []
        gram, place = words, np.arange(len(words))
        for n in range(1, 5):
            if n > 1:
                keep = left[place] >= n
                place = place[keep]
                _, gram = np.unique(
                    gram[keep] * (len(numbers) + 1) + words[place + n - 1], return_inverse=True
                )
            tables.append(_count(row[place], gram))
            self._places.append((place, gram))
        return tables

    def ngram_names(self, order: int) -> dict[int, tuple[str, ...]]:
        """The tokens of every n-gram id of `ngrams[order]`."""
        size = len(self.ngrams[order].ids) and order + 1
        words = [token for tokens in self.rows for token in tokens]
        places, grams = self._places[order]
        ids, first = np.unique(grams, return_index=True)
        return {int(i): tuple(words[p : p + size]) for i, p in zip(ids, places[first], strict=True)}


def _count(rows: Ints, ids: Ints) -> NgramCounts:
    size = int(ids.max(initial=0)) + 1
    keys, counts = np.unique(rows * size + ids, return_counts=True)
    return NgramCounts(keys // size, keys % size, counts)


def entries(what: str, value: object) -> list[Any]:
    """The entries of a list, or of anything else that has an order; ValueError names what has none."""
    if isinstance(value, (str, bytes)):
        raise ValueError(f"{what}: a list is wanted, not a single text; put it in a list")
    if isinstance(value, (Mapping, Set)) or not isinstance(value, Iterable):
        raise ValueError(f"{what}: a list is wanted, not {type(value).__name__}")
    return list(value)


def _check_captions(candidates: Sequence[object], references: Sequence[Sequence[object]]) -> None:
    """Raise ValueError, saying where, unless there is one text and some reference texts for every clip."""
    if len(candidates) != len(references):
        raise ValueError(
            f"{len(candidates)} candidates but {len(references)} clips with references: "
            "give one entry a clip in each"
        )
    if not candidates:
        raise ValueError("there is nothing to score: the list of candidates is empty")
    for number, (candidate, texts) in enumerate(zip(candidates, references, strict=True)):
        if not isinstance(candidate, str):
            raise ValueError(f"candidate {number} is {type(candidate).__name__}, not a text")
        if not texts:
            raise ValueError(f"clip {number} has no reference")
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"a reference of clip {number} is {type(text).__name__}, not a text")
