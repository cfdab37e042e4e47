"""Words and the tokens that begin them, for guides and penalties of next-token scores."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

MIN_GUIDING_PROBABILITY = 0.08  # tags below it raise no word
MIN_TAG_PROBABILITY = 0.15  # of the clip's tags whose times are compared
ACTIVE_SHARE = 0.5  # a tag is active where it reaches this share of its greatest probability
MAX_OVERLAP = 0.25  # share of the shorter activity that may overlap where one sound follows another
_FIRST_TOKEN = re.compile(r"[Ġ▁]([a-z]{3,})")  # of a word, as byte-level and sentencepiece tokenizers mark it
_ENDING = re.compile(r"(?<=[a-z]{3})(?:ing|ed|es|s|e)$")  # "ring" has none
_WORD = re.compile(r"[a-z]{3,}")
# Words that connect sounds, or give time and place, may be repeated.
_FREE = """
then while with from into over near nearby very being there followed following other another
several some something more multiple time times background distance
"""
# Words of tags that state manner, place or amount, and fit any sound.
_VAGUE = "large small sound noise female male ambience mic run running pass close open fall up"
ORDER_WORDS = "followed then before after afterwards later finally eventually".split()

Ids = NDArray[np.int64]


def normalise_caption(text: str) -> str:
    """Lower-case, punctuation removed, single spaces: the form of caption that models are trained on.

    Apostrophes vanish ("it's" -> "its"); any other punctuation or symbol becomes a space.
    """
    text = re.sub(r"['\u2019`\u00b4]", "", unicodedata.normalize("NFKC", text).lower())
    return " ".join("".join(" " if unicodedata.category(c)[0] in "PSC" else c for c in text).split())


def stem(word: str) -> str:
    """A lower-case word without its ending: what its forms have in common."""
    return _ENDING.sub("", word)


def word_forms(vocabulary: Mapping[str, int], size: int, shortest: int = 3) -> dict[str, list[int]]:
    """Stem -> the tokens that begin a word of it; of words of at least `shortest` letters.

    vocabulary: token -> id. size: V; ids from there on have no logit.
    """
    forms: dict[str, list[int]] = defaultdict(list)
    for token, i in vocabulary.items():
        found = _FIRST_TOKEN.fullmatch(token)
        if found and len(found[1]) >= shortest and i < size:
            forms[stem(found[1])].append(i)
    return dict(forms)


def repeatable_kin(vocabulary: Mapping[str, int], size: int) -> Ids:
    """Tokens that begin a form of the same word as token i, [V, most]: words whose repetition is penalised.

    Words of three letters ("are", "his", "two") and those that connect sounds have none. Rows are filled with
    V, a place beside the vocabulary.
    """
    free = {stem(word) for word in _FREE.split()}
    forms = [own for s, own in word_forms(vocabulary, size, 4).items() if s not in free]
    return _kin(forms, np.full((size, 1), size))


def named_by_tags(
    tags: Sequence[str], vocabulary: Mapping[str, int], size: int
) -> tuple[list[list[int]], Ids]:
    """Tokens that begin a word of each tag; tokens of the same word as token i, itself too, [V, most]."""
    stems = [{stem(word) for word in _WORD.findall(tag.lower())} - vague_stems() for tag in tags]
    named = set().union(*stems)
    forms = {s: own for s, own in word_forms(vocabulary, size).items() if s in named}
    names = [[i for word in own for i in forms.get(word, ())] for own in stems]
    return names, _kin(forms.values(), np.arange(size)[:, None])


def order_tokens(vocabulary: Mapping[str, int], size: int) -> list[int]:
    """Tokens that begin a word which says that one sound follows another."""
    forms = word_forms(vocabulary, size)
    return sorted(i for word in {stem(word) for word in ORDER_WORDS} for i in forms.get(word, ()))


def vague_stems() -> set[str]:
    """Stems of words in tags that fit any sound."""
    return {stem(word) for word in _VAGUE.split()}


def _kin(forms: Iterable[list[int]], alone: Ids) -> Ids:
    """[V, most]: the forms of the word of token i; `alone` [V, 1] fills the row."""
    forms = list(forms)
    kin = alone.repeat(max(map(len, forms), default=1), 1)
    for own in forms:
        kin[own, : len(own)] = own
    return kin
