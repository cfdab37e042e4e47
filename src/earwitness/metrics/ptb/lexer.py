"""The longest-match loop that applies the Penn Treebank rules to lines of text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from earwitness.metrics.ptb.characters import SPACE
from earwitness.metrics.ptb.rules import rules
from earwitness.metrics.ptb.words import SPLIT_WORDS

_SPACE = re.compile(f"[ \t]{SPACE}*")  # other blanks may also begin a web address: the rules settle it
# Nothing in a rule reaches over a blank from a word or a number to a letter, or over a line's end.
_EASY = re.compile("(?:[A-Za-z]+|[0-9]+)(?= [A-Za-z])|[A-Za-z]+(?=\n)|,(?= )")


def tokenize_lines(lines: Sequence[str], wanted: Sequence[int]) -> list[list[str]]:
    """Tokens, in lower case, of the lines whose numbers are wanted; the others are context."""
    text = "\n".join(lines)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    return [_tokenize_span(text, starts[number], starts[number + 1] - 1) for number in wanted]


def _tokenize_span(text: str, position: int, end: int) -> list[str]:
    tokens: list[str] = []
    while position < end:
        if space := _SPACE.match(text, position):
            position = space.end()
            continue
        if (easy := _EASY.match(text, position)) and easy[0].lower() not in SPLIT_WORDS:
            tokens.append(easy[0].lower())
            position = easy.end()
            continue
        token, position = _longest(text, position, end)
        if token:
            tokens.append(token)
    return tokens


def _longest(text: str, position: int, end: int) -> tuple[str, int]:
    """The longest rule's token at a position and the next position; without one the character is deleted."""
    best, best_rule = None, None
    for rule in rules():
        match = rule.pattern.match(text, position)
        if match and (best is None or match.end() > best.end()):
            best, best_rule = match, rule
    if best is None or best_rule is None or best.end(1) > end or best.end(1) == position:
        return "", position + 1
    token = best[1] if best_rule.rewrite is None else best_rule.rewrite(best[1])
    return token.lower(), best.end(1) - best_rule.keep_dot
