"""Words compared by their stems: "barks", "barked" and "barking" are one."""

from __future__ import annotations

import re

WORD = re.compile(r"[^\W_]+")
ENDINGS = ("ings", "ing", "ed", "es", "s")
VOWEL = re.compile("[aeiouy]")


def stems(text: str) -> list[str]:
    """Words without the endings that inflect them: "dogs barking" and "a dog barks" share two of them."""
    return [stem(word) for word in WORD.findall(text.lower())]


def stem(word: str) -> str:
    """Not a word but what its inflections share: "cries", "crying" and "cry" are "cri"."""
    if not word.endswith(("ss", "eed")):
        bare = (word.removesuffix(end) for end in ENDINGS if word.endswith(end))
        word = next((part for part in bare if len(part) > 2 and VOWEL.search(part)), word)
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    if len(word) > 3:
        word = word.removesuffix("e")
    return re.sub("y$", "i", word)
