"""Penn Treebank tokens in lower case, as every n-gram metric of captions counts them.

Equal, token for token, to CoreNLP 3.4.1's PTBTokenizer with -preserveLines -lowerCase, which pycocoevalcap
runs in Java, followed by its list of punctuation that is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from earwitness.metrics.ptb.words import (
    CAPITAL_CLOSERS,
    CLOSERS,
    NUMBER_WORDS,
    OTHER_DOTTED,
    SPLIT_WORDS,
    TITLES,
)

# pycocoevalcap's list. Its bracket names are in capitals while tokens are in lower case, so "-lrb-" stays in.
PUNCTUATION = frozenset(
    ("''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";")
)
LINE_BREAKS = re.compile("[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")

# Captions of plain words, single spaces and commas, perhaps with a full stop at the end, need no rules:
# most are such.
_WORD = "[A-Za-z]+(?:-[A-Za-z]+)*"
_PLAIN = re.compile(f"{_WORD}(?:,? {_WORD})*( ?[.])?")
_MAY_KEEP_DOT = frozenset((*TITLES, *CLOSERS, *CAPITAL_CLOSERS, *NUMBER_WORDS, *OTHER_DOTTED))


def ptb_tokens(captions: Sequence[str], *, keep_punctuation: bool = False) -> list[list[str]]:
    """Tokens of every caption.

    Args:
        captions: texts in the order in which they are scored. A line break inside one counts as a blank.
        keep_punctuation: leave in the tokens that the standard tools remove.

    As in the standard tools the captions are lines of one text: the word that begins the next one decides
    whether the dot of a final abbreviation ("U.S.", "etc.") also ends a sentence.
    """
    lines = [LINE_BREAKS.sub(" ", caption) for caption in captions]
    rows = [_plain_tokens(line) for line in lines]
    if any(row is None for row in rows):
        from earwitness.metrics.ptb.lexer import tokenize_lines

        wanted = [number for number, row in enumerate(rows) if row is None]
        for number, row in zip(wanted, tokenize_lines(lines, wanted), strict=True):
            rows[number] = row
    if keep_punctuation:
        return [row or [] for row in rows]
    return [[token for token in row or () if token not in PUNCTUATION] for row in rows]


def _plain_tokens(line: str) -> list[str] | None:
    """Tokens of a caption without anything that a rule could change, else None."""
    if not line:
        return []
    match = _PLAIN.fullmatch(line)
    if not match:
        return None
    lower = line.lower().replace(",", " ,")
    stop = match[1]
    tokens = lower[: -len(stop)].split(" ") if stop else lower.split(" ")
    if not SPLIT_WORDS.isdisjoint(token for word in tokens for token in word.split("-")):
        return None
    if stop:
        if stop == "." and (len(tokens[-1]) == 1 or tokens[-1] in _MAY_KEEP_DOT):
            return None
        tokens.append(".")
    return tokens


def split_tokens(captions: Iterable[str]) -> list[list[str]]:
    """Tokens of texts that were tokenized before: split at blanks, nothing else."""
    return [caption.split() for caption in captions]
