"""METEOR's own normalisation of text (its -norm option): what it does to text before it splits it at
blanks."""

from __future__ import annotations

import re
from functools import lru_cache

from earwitness.metrics.meteor.data import MeteorData

# The letters it knows: Latin with its first extension, Cyrillic, some phonetic signs. All else is a symbol
# by itself.
_ALPHA = "A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\u017e\u0400-\u0527\u1d00-\u1d7f\ua640-\ua66e\ua67e-\ua697"
_SPELLINGS = str.maketrans(
    {"`": "'", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\xa0": " ", "\u2013": " - "}
)
_ENDS = "".join(map(chr, range(0x21)))  # Java's trim: the blank and all control characters
_STEPS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (f"([^{_ALPHA}0-9\\s.',-])", r" \1 "),
        (r"(\.{2,})", r" \1 "),
        ("([^0-9]),([^0-9])", r"\1 , \2"),
        ("([0-9]),([^0-9])", r"\1 , \2"),
        ("([^0-9]),([0-9])", r"\1 , \2"),
        (f"([^{_ALPHA}])'([^{_ALPHA}])", r"\1 ' \2"),
        (f"([^{_ALPHA}0-9])'([{_ALPHA}])", r"\1 ' \2"),
        (f"([{_ALPHA}])'([^{_ALPHA}])", r"\1 ' \2"),
        (f"([{_ALPHA}])'([{_ALPHA}])", r"\1 '\2"),
        ("([0-9])'(s)", r"\1 '\2"),
        (f"([{_ALPHA}0-9.])-([{_ALPHA}0-9])", r"\1 \2"),
    )
]
_PLAIN = re.compile("[a-z ]*")
_LETTER = re.compile(f"[{_ALPHA}]")


def normalize(text: str, data: MeteorData) -> list[str]:
    """Lower-case words of a text as METEOR counts them."""
    if _PLAIN.fullmatch(text):
        return text.split()
    text = text.strip(_ENDS).translate(_SPELLINGS).replace("''", '"').replace("--", "-")
    text = f" {text} "
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    words = text.split()
    kept: list[str] = []
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        kept.extend(_final_dot(word, following, data))
    return [word.lower() for word in kept]


def _final_dot(word: str, following: str, data: MeteorData) -> list[str]:
    """A word whose last dot belongs to it, or the word and the dot."""
    stem = word[:-1]
    if not word.endswith(".") or not stem.strip("."):
        return [word]
    if "." in stem and _LETTER.search(stem):
        return [word.replace(".", "")]
    before_number, kept = _prefixes(data)
    if stem in kept or (stem in before_number and following[:1].isdigit()) or ("a" <= following[:1] <= "z"):
        return [word]
    return [stem, "."]


@lru_cache(maxsize=1)
def _numeric(prefixes: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
    marked = frozenset(line.split()[0] for line in prefixes if "#NUMERIC_ONLY#" in line)
    return marked, frozenset(line for line in prefixes if "#" not in line)


def _prefixes(data: MeteorData) -> tuple[frozenset[str], frozenset[str]]:
    return _numeric(data.prefixes)
