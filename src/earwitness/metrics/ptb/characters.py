"""Character classes of the Penn Treebank tokenizer (CoreNLP 3.4.1): Basic Multilingual Plane beyond ASCII.

Measured by running every character of the plane through the tokenizer in four contexts. Written as steps and
run lengths in hexadecimal: "a3.2" is a range that begins 0xa3 after the end of the one before and spans two
characters more. The tokenizer deletes a character that is in no class.
"""

from __future__ import annotations

import unicodedata

# letters beyond ASCII
LETTER_RUNS = (
    "aa b 5 6.16 2.1e 2.1c9 5.b f.4 8 2 82.4 2.1 3.3 9 2.2 2 2.13 2.52 2.8a 9.9d a.25 3 8.26 49.1a 6.2 "
    "2e.2a 24.1 2.62 2 10.1 8.1 b.2 3 11 2.1d 1e.58 c 19.20 a.1 5 6.15 5 a 4 18.18 48 2.a 58.35 4 13 8.9 "
    "10.6 2.6 6.7 3.1 3.15 2.6 2 4.3 4 11 e.1 2.2 f.1 14.5 5.1 3.15 2.6 2.1 2.1 2.1 20.3 2 14.2 11.8 2.2 "
    "2.15 2.6 2.1 2.4 4 13 10.1 24.7 3.1 3.15 2.6 2.1 2.4 4 1f.1 2.2 10 12 2.5 4.2 2.3 4.1 2 2.1 4.1 4.2 "
    "4.b 17 35.7 2.2 2.16 2.9 2.4 4 1b.1 7.1 24.7 2.2 2.16 2.9 2.4 4 21 2.1 10.1 13.7 2.2 2.28 3 11 12.1 "
    "19.5 6.11 4.17 2.8 2 3.6 3b.2f 2.1 d.6 3b.1 2 3.1 2 3 7.3 2.6 2.2 2 2 3.1 2.3 2.1 a 3.4 2 16.3 21 "
    "40.7 2.23 1c.4 74.2a 15 11.5 5.3 4 4.1 8.2 5.c d 12.25 2 6 3.2a 2.14c 2.3 3.6 2 2.3 3.28 2.3 3.20 "
    "2.3 3.6 2 2.3 3.e 2.38 2.3 3.42 26.f 11.54 d.26b 3.10 2.19 6.4a 16.c 2.3 f.11 f.11 f.c 2.2 10.33 24 "
    "5 44.57 9.28 2 6.45 b.1c 34.1d 3.4 c.2b 16.6 39.16 a.34 53 5e.2e 12.6 38.1d e.1 b.2b 1b.23 2a.2 b.23 "
    "6c.3 2.3 4.1 a.bf 41.115 3.5 3.25 3.5 3.7 2 2 2 2.1e 3.34 2.6 2 4.2 2.6 4.3 3.5 5.c 6.2 2.6 75 e "
    "11.c 66 5 3.9 2 4.4 7 2 2 2.3 2.a 3.3 6.4 5 35.1 a7c.2e 2.2e 2.84 7.3 4.1 d.25 2 6 3.37 8 11.16 a.6 "
    "2.6 2.6 2.6 2.6 2.6 2.6 2.6 51 1d6.1 2b.4 6.1 5.55 7.2 2.59 2.3 6.28 4.5d 12.1a 36.f 201.19b5 "
    "4b.51cc 34.48c 44.2d 3.10c 4.f b.1 15.2e 11.18 9.45 32.8 3.66 3.3 2.3 d.a 4e.9 2.2 2.3 2.16 1e.33 "
    "f.31 3f.5 4 f.1b b.16 1a.1c 8.2e 1d 31.28 18.2 2.7 15.16 4 6.2f 2 4.1 3.4 3 2 19.2 3.a 8.2 d.5 3.5 "
    "3.5 a.6 2.6 92.22 1e.2ba3 d.16 5.30 2105.16d 3.69 27.6 d.4 6 2.9 2.c 2.4 2 2.1 2.1 2.6b 22.16a 13.3f "
    "3.35 29.b 75.4 2.86 25.19 7.19 c.58 4.5 3.5 3.5 3.2 "
)
# decimal digits beyond ASCII
DIGIT_RUNS = (
    "660.9 87.9 c7.9 19d.9 77.9 77.9 77.9 77.9 77.9 77.9 77.9 77.9 e1.9 77.9 47.9 117.9 47.9 747.9 27.9 "
    "12d.9 81.9 a7.9 7.9 b7.9 57.9 87.9 7.9 89c7.9 2a7.9 27.9 c7.9 77.9 197.9 5317.9 "
)
# marks that may begin or continue a word but not a number
MARK_RUNS = (
    "2c2.3 d.d 6.6 2 2.80 6 3.1 b.1 71 8d.4 d3.5 32.2c 2 2.1 2.1 2 4e.5 31.13 12 66.e 3.6 10.1 11 2 1f.1c "
    "5a.a 3b.8 10d.3 39 2.10 3.4 d.1 1e.2 39 2.6 3.1 3.2 a b.1 1e.2 39 2.11 32.2 39 2.11 b3 3c.4 4.2 2.3 "
    "34.2 3b.18 e8.6 2.2 e9 3.6 d.7 63 3.8 c.5 "
)
# signs that stand alone
SYMBOL_RUNS = (
    "a1 4.4 3 2.6 2.3 6 18 20 287 9 202 35 2 3 3 2d.1 c.3 3.6 8 7 3.1 4b 3 67 2c.d e9.2 16c.1 4da 10 116e "
    "59.1 3 4.5 d.8 3 3.4 2 2c 4.a 2.e 16 5c.1 2.3 2.1 b 2.2 6.5 2 2 2 5 c.1 5.4 6.3 2 6.9 32.a6f 402.1 "
    "10 e9 ce06.e b.6 1b.5 1b.a 7b.1 4.1 "
)


def character_class(runs: str) -> str:
    """The inside of a regular-expression character class, from its run-length notation."""
    parts: list[str] = []
    end = 0
    for run in runs.split():
        step, _, length = run.partition(".")
        start = end + int(step, 16)
        end = start + (int(length, 16) if length else 0)
        parts.append(f"\\u{start:04x}" + (f"-\\u{end:04x}" if end > start else ""))
    return "".join(parts)


LETTERS = "A-Za-z" + character_class(LETTER_RUNS)
DIGITS = "0-9" + character_class(DIGIT_RUNS)
MARKS = character_class(MARK_RUNS)
CAPITALS = "".join(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Lu")
_BLANKS = " \t\xa0\u2000-\u200a\u3000"  # Python's own class of white space holds more
BLANK = f"[{_BLANKS}\n]"
SPACE = f"(?:[{_BLANKS}]|(?i:&nbsp;))"
