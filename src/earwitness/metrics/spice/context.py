"""What a word is in its caption, from itself and its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from earwitness.metrics.spice.words import (
    ADJECTIVES,
    ADVERBS,
    AUXILIARIES,
    CLAUSE_WORDS,
    CONJUNCTIONS,
    DETERMINERS,
    PREPOSITIONS,
    PRONOUNS,
    noun_lemma,
    verb_form,
)


def following(tokens: Sequence[str], position: int) -> str:
    """The next word, "" at the end."""
    return tokens[position + 1] if position + 1 < len(tokens) else ""


def form_of(word: str) -> str:
    """Which form of a verb a word is (base, s, ing, ed), "" if it is none."""
    return (verb_form(word) or ("", ""))[1]


def preceding(tokens: Sequence[str], position: int) -> str:
    """The word before, adverbs skipped."""
    position -= 1
    while position >= 0 and (tokens[position] in ADVERBS or tokens[position].endswith("ly")):
        position -= 1
    return tokens[position] if position >= 0 else ""


def noun_follows(tokens: Sequence[str], position: int) -> bool:
    word = following(tokens, position)
    return bool(word) and not is_closed(word) and verb_form(word) is None and word not in DETERMINERS


def is_closed(word: str) -> bool:
    return (
        word in CONJUNCTIONS
        or word in CLAUSE_WORDS
        or word in AUXILIARIES
        or word in PREPOSITIONS
        or word in PRONOUNS
        or word in ADVERBS
        or (word.endswith("ly") and len(word) > 4)
    )


def word_lemma(word: str) -> str:
    form = verb_form(word)
    return form[0] if form and form[1] in ("ing", "ed") else noun_lemma(word)


def is_adjective(word: str) -> bool:
    return word in ADJECTIVES or (word.endswith(("y", "ic", "al", "ous", "en")) and verb_form(word) is None)


def is_participle(tokens: Sequence[str], position: int) -> bool:
    """Whether an -ing form after a noun says what the noun does: "a truck passing by", but not "a man
    speaking".

    SPICE's own parser reads the latter as a compound noun.
    """
    word = following(tokens, position)
    return word in PREPOSITIONS or word in DETERMINERS or word in ADVERBS or word.endswith("ly")
