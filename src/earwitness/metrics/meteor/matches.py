"""Possible matches between the words of a candidate and a reference: equal, same stem, synonyms,
paraphrases."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from earwitness.metrics.meteor.alignment import Match
from earwitness.metrics.meteor.data import LONGEST_PHRASE, MeteorData, MissingData

_SUFFIXES = (
    *(
        ("s", ""),
        ("ses", "s"),
        ("xes", "x"),
        ("zes", "z"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("men", "man"),
        ("ies", "y"),
    ),
    *(("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"), ("ing", "")),
    *(("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
)


class Matcher:
    """Match tables for the vocabulary of one evaluation.

    Args:
        data: METEOR's word data.
        sentences: the words of every candidate and reference.
    """

    def __init__(self, data: MeteorData, sentences: Iterable[Sequence[str]]) -> None:
        unique = {tuple(words) for words in sentences}
        vocabulary = {word for words in unique for word in words}
        # As in the original, words and stems are compared by their Java hash: "25" and "0s" are one word.
        self.keys = {word: java_hash(word) for word in vocabulary}
        self.stems = {word: java_hash(stem) for word, stem in _stems(vocabulary).items()}
        self.related = {
            self.keys[word]: {self.keys[other] for other in others}
            for word, others in _related(vocabulary, data).items()
        }
        self.phrases = _phrases(unique, data)
        self.forward, self.backward = _paraphrases(self.phrases, data)

    def begin(self, candidate: Sequence[str], references: Sequence[Sequence[str]]) -> None:
        """Prepare the tables of one candidate against all of its references."""
        self.places: dict[int, list[int]] = {}
        self.by_stem: dict[int, list[tuple[int, int]]] = {}
        for place, word in enumerate(candidate):
            self.places.setdefault(self.keys[word], []).append(place)
            self.by_stem.setdefault(self.stems[word], []).append((place, self.keys[word]))
        self.own_keys = set(self.places)
        own = self.phrases[tuple(candidate)]
        others = {phrase for words in references for phrase in self.phrases[tuple(words)]}
        # source phrase in a reference -> (place in the table, target phrase in the candidate), and the
        # other way round
        self.from_reference: dict[int, list[tuple[int, int]]] = {}
        self.from_candidate: dict[int, list[tuple[int, int]]] = {}
        nothing: dict[int, int] = {}
        for phrase in own:
            for source in self.backward.get(phrase, nothing).keys() & others:
                self.from_reference.setdefault(source, []).append((self.backward[phrase][source], phrase))
            for target in self.forward.get(phrase, nothing).keys() & others:
                self.from_candidate.setdefault(target, []).append((self.forward[phrase][target], phrase))
        self.own = own

    def options(self, candidate: Sequence[str], reference: Sequence[str]) -> list[list[Match]]:
        """Matches that start at each word of the reference, in the order in which the aligner tries them."""
        found: list[list[Match]] = []
        identical = list(candidate) == list(reference)
        places, by_stem, related, stems = self.places, self.by_stem, self.related, self.stems
        for start, word in enumerate(reference):
            key = self.keys[word]
            here = [Match(start, 1, i, 1, 0) for i in places[key]] if key in places else []
            if not identical:
                if stems[word] in by_stem:
                    near = by_stem[stems[word]]
                    here.extend([Match(start, 1, i, 1, 1) for i, other in near if other != key])
                if key in related and not related[key].isdisjoint(places):
                    shared = [i for other in related[key] & self.own_keys for i in places[other]]
                    here.extend([Match(start, 1, i, 1, 2) for i in sorted(shared)])
            found.append(here)
        if not identical:
            self._add_paraphrases(found, reference)
        return found

    def _add_paraphrases(self, found: list[list[Match]], reference: Sequence[str]) -> None:
        later: list[tuple[int, int, int, int, Match]] = []
        for source, (length, starts) in self.phrases[tuple(reference)].items():
            for rank, target in self.from_reference.get(source, ()):
                width, places = self.own[target]
                for start in starts:
                    later.extend((start, 0, length, rank, Match(start, length, i, width, 3)) for i in places)
            for rank, target in self.from_candidate.get(source, ()):
                width, places = self.own[target]
                for start in starts:
                    later.extend(
                        (start, 1 + i, width, rank, Match(start, length, i, width, 3)) for i in places
                    )
        later.sort()
        for start, *_, match in later:
            found[start].append(match)


def java_hash(text: str) -> int:
    """31 (31 (...) + next to last unit) + last unit, modulo 2^32, over UTF-16 units."""
    value = 0
    for unit in memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H"):
        value = 31 * value + unit & 0xFFFFFFFF
    return value


def _stems(vocabulary: Iterable[str]) -> dict[str, str]:
    """Stems by the English Snowball stemmer as it was when METEOR took it up."""
    try:
        import snowballstemmer
    except ImportError as error:
        raise MissingData("METEOR needs the stemmer: pip install 'earwitness[metrics]'") from error
    words = list(vocabulary)
    return dict(zip(words, snowballstemmer.stemmer("english").stemWords(words), strict=True))


def _related(vocabulary: Iterable[str], data: MeteorData) -> dict[str, set[str]]:
    """For every word that has any: the other words that share a synonym set with it."""
    members: dict[str, set[str]] = {}
    own: dict[str, list[str]] = {}
    for word in vocabulary:
        own[word] = synonym_sets(word, data)
        for synset in own[word]:
            members.setdefault(synset, set()).add(word)
    near = {
        word: set().union(*(members[s] for s in synsets)) - {word} for word, synsets in own.items() if synsets
    }
    return {word: words for word, words in near.items() if words}


def synonym_sets(word: str, data: MeteorData) -> list[str]:
    """WordNet synset numbers of a word and its irregular base forms, else of its regular base forms."""
    found = data.synsets.get(word, "").split()
    if word in data.bases:
        return found + [
            synset for name in data.bases[word].split() for synset in data.synsets.get(name, "").split()
        ]
    if len(word) > 2 and not word.endswith("ss"):
        for suffix, ending in _SUFFIXES:
            if word.endswith(suffix) and (name := word[: -len(suffix)] + ending) in data.synsets:
                return found + data.synsets[name].split()
    return found


Phrases = dict[int, tuple[int, list[int]]]  # phrase number -> (words, places)


def _phrases(sentences: Iterable[tuple[str, ...]], data: MeteorData) -> dict[tuple[str, ...], Phrases]:
    """The phrases of the paraphrase table in every sentence."""
    sentences = list(sentences)
    numbers = [data.words.get(word, 0) for words in sentences for word in words]
    lengths = np.array([len(words) for words in sentences], dtype=np.int64)
    flat = np.array(numbers, dtype=">u2")
    total = len(flat)
    padded = np.concatenate([flat, np.zeros(LONGEST_PHRASE, ">u2")])
    left = np.repeat(np.cumsum(lengths), lengths) - np.arange(total)
    row = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    result: list[Phrases] = [{} for _ in sentences]
    known = np.ones(total, dtype=bool)
    for length in range(1, LONGEST_PHRASE + 1):
        known &= (left >= length) & (padded[length - 1 : length - 1 + total] > 0)
        at = np.flatnonzero(known)
        keys = np.zeros((len(at), LONGEST_PHRASE), dtype=">u2")
        for column in range(length):
            keys[:, column] = padded[at + column]
        flat_keys, inverse = np.unique(keys.view("S14").ravel(), return_inverse=True)
        place = np.minimum(np.searchsorted(data.phrases, flat_keys), len(data.phrases) - 1)
        hit = data.phrases[place] == flat_keys
        good = hit[inverse]
        rows, starts = row[at[good]], at[good] - first[row[at[good]]]
        for sentence, phrase, start in zip(
            rows.tolist(), place[inverse][good].tolist(), starts.tolist(), strict=True
        ):
            entry = result[sentence].get(phrase)
            if entry is None:
                result[sentence][phrase] = (length, [start])
            else:
                entry[1].append(start)
    return dict(zip(sentences, result, strict=True))


Ranks = dict[int, dict[int, int]]


def _paraphrases(phrases: dict[tuple[str, ...], Phrases], data: MeteorData) -> tuple[Ranks, Ranks]:
    """Source -> target -> place in the table, for phrases of this evaluation only, and the same turned
    round."""
    present = np.zeros(len(data.phrases), dtype=bool)
    numbers = np.array(sorted({phrase for row in phrases.values() for phrase in row}), dtype=np.int64)
    present[numbers] = True
    forward: Ranks = {}
    backward: Ranks = {}
    for source, begin, end in zip(
        numbers.tolist(), data.starts[numbers].tolist(), data.starts[numbers + 1].tolist(), strict=True
    ):
        if begin == end:
            continue
        targets = np.asarray(data.targets[begin:end])
        kept = np.flatnonzero(present[targets])
        if len(kept):
            ranks = dict(zip(targets[kept].tolist(), kept.tolist(), strict=True))
            forward[source] = ranks
            for target, rank in ranks.items():
                backward.setdefault(target, {})[source] = rank
    return forward, backward
