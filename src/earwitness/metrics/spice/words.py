"""Word classes that the caption parser knows (words.yaml), verb forms and singulars."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

_WORDS: dict[str, Any] = yaml.safe_load(
    files("earwitness.metrics.spice").joinpath("words.yaml").read_text("utf-8")
)


def _words(name: str) -> frozenset[str]:
    return frozenset(_WORDS[name].split())


DETERMINERS = _words("determiners")
PREPOSITIONS = _words("prepositions")
CONJUNCTIONS = _words("conjunctions")
CLAUSE_WORDS = _words("clause_words")
RELATIVE = _words("relative")
AUXILIARIES = _words("auxiliaries")
PASSIVES = _words("passives")
PARTICLES = _words("particles")
PLURALS = _words("plurals")
PRONOUNS = _words("pronouns")
ADVERBS = _words("adverbs")
ADJECTIVES = _words("adjectives")
NUMBERS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
} | {str(n): str(n) for n in range(11)}
_ALWAYS_PLURAL = _words("always_plural")
_DOUBLING = _words("doubling")  # verbs that double their last letter, besides short ones


@lru_cache(maxsize=1)
def _forms() -> dict[str, tuple[str, str]]:
    forms: dict[str, tuple[str, str]] = {}
    for verb in _WORDS["verbs"].split():
        stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
        short = len(verb) >= 3 and verb[-1] in "bdgmnpt" and verb[-2] in "aeiou" and verb[-3] not in "aeiou"
        doubled = verb + verb[-1] if short or verb in _DOUBLING else stem
        s = verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "go", "do")) else "s")
        if verb.endswith("y") and verb[-2] not in "aeiou":
            s = verb[:-1] + "ies"
            forms[verb[:-1] + "ied"] = (verb, "ed")
        forms[verb] = (verb, "base")
        forms[s] = (verb, "s")
        for base in {stem, doubled}:
            forms[base + "ing"] = (verb, "ing")
            forms[base + "ed"] = (verb, "ed")
    forms.update({form: (verb, "ed") for form, verb in _WORDS["irregular_verbs"].items()})
    return forms


def verb_form(word: str) -> tuple[str, str] | None:
    """A verb's base form and which form the word is (base, s, ing, ed); None if it is no known verb."""
    return _forms().get(word)


@lru_cache(maxsize=100_000)
def noun_lemma(word: str) -> str:
    """The singular of a noun."""
    if word in _WORDS["irregular_nouns"]:
        return str(_WORDS["irregular_nouns"][word])
    if len(word) < 4 or word in _ALWAYS_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return word[:-2]
    return word[:-1]
