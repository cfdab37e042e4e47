"""How a token is written down: quotes, brackets, currencies and fractions have spellings of their own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
FRACTIONS = {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
CURRENCY = {"\xa3": "#", "\u20ac": "$", "\x80": "$", "\xa4": "$", "\u20a0": "$", "\xa2": "cents"}
_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\x91\u2018\u201b\u2039", "`"),
        **dict.fromkeys("\x92\u2019\u203a", "'"),
        **dict.fromkeys("\x93\u201c\xab", "``"),
        **dict.fromkeys("\x94\u201d\xbb", "''"),
    }
)

Rewrite = Callable[[str], str]


class Rule(NamedTuple):
    """A token (group 1 of the pattern; what follows it in the pattern is looked ahead to) and how it is
    written; `keep_dot` gives its last dot back to the text."""

    pattern: re.Pattern[str]
    rewrite: Rewrite | None = None
    keep_dot: bool = False


def plain_quotes(text: str) -> str:
    """Curly and coded quotes as LaTeX writes them."""
    return text.replace("&apos;", "'").translate(_QUOTES)


def plain_ampersands(text: str) -> str:
    return re.sub("(?i)&amp;", "&", text)


def hard_spaces(text: str) -> str:
    """A token that holds spaces stays one token: they become no-break spaces."""
    return text.replace(" ", "\xa0")


def round_brackets(text: str) -> str:
    return text.replace("(", "-lrb-").replace(")", "-rrb-")


def without_soft_hyphen(text: str) -> str:
    return text.replace("\xad", "") or "-"


def always(text: str) -> Rewrite:
    return lambda _: text
