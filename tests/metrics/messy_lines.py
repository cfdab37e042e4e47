"""Messy lines by a seeded generator: odd words and signs joined at random, captions with odd pieces, changed
characters, dense signs, lines cut anywhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

PIECES = [
    *Path(__file__).with_name("messy_pieces.txt").read_text(encoding="utf-8").split(),
    *("\u200b", "\xad", "\xa0", "\u2009", "\u3000", "\ufeff", "\u2010", "\u2011", "\u2212"),
]
PLAIN = (
    "a dog barks while the wind blows and water splashes in the background with birds chirping nearby "
    "man speaks then car passes by as people talk loudly"
).split()
ASCII = [chr(code) for code in range(33, 127)]
BEYOND = (
    "éñßøÀΩжłøйœ½¼‘’“”–—…«»•·°™®€£¥¢§©²³¹×÷、。（）！ーあ漢한😀👍♪❤"
    "\xa0\xad\u2009\u200b\u2010\u2011\u3000\u0301\u0327\u05d0\u0661"
)
DENSE = (
    *(
        "ab1 .-'",
        "aB.'’ ",
        "1-/ .,:()+",
        "<>=:;()-_^x ",
        "ab@.&;<> /",
        "\"'`‘’“” ab.",
        "U.S. aTheM",
        "-–— a1",
    ),
    *(".!?,;: aA", "&#;aplt "),
)


def messy_lines(count: int, seed: int) -> list[str]:
    chosen = random.Random(seed)
    kinds: list[Callable[[random.Random], str]] = [_joined, _joined, _caption, _changed, _dense, _cut]
    lines: list[str] = []
    while len(lines) < count:
        line = chosen.choice(kinds)(chosen)
        if line.strip():
            lines.append(line)
    return lines


def _joined(chosen: random.Random) -> str:
    return "".join(chosen.choice(PIECES) + chosen.choice(["", " "]) for _ in range(chosen.randrange(1, 9)))


def _caption(chosen: random.Random) -> str:
    words = chosen.choices(PLAIN, k=chosen.randrange(3, 12))
    for _ in range(chosen.randrange(1, 4)):
        words.insert(chosen.randrange(len(words) + 1), chosen.choice(PIECES))
    text = " ".join(words)
    return chosen.choice([text, text.capitalize()]) + chosen.choice([".", "!", "?", "...", "", " ."])


def _changed(chosen: random.Random) -> str:
    letters = list(" ".join(chosen.choices(PIECES, k=chosen.randrange(1, 5))))
    for _ in range(chosen.randrange(1, 5)):
        place = chosen.randrange(len(letters))
        letters[place] = chosen.choice(
            [chosen.choice(ASCII), "", letters[place] * 2, letters[place].swapcase(), chosen.choice(BEYOND)]
        )
    return "".join(letters)


def _dense(chosen: random.Random) -> str:
    return "".join(chosen.choices(chosen.choice(DENSE), k=chosen.randrange(1, 14)))


def _cut(chosen: random.Random) -> str:
    text = " ".join(chosen.choices(PIECES, k=3))
    start = chosen.randrange(len(text))
    return text[start : start + chosen.randrange(1, 12)]
