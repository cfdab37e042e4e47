r"""The rules of the Penn Treebank tokenizer as regular expressions.

They were found by running the tokenizer (CoreNLP 3.4.1) on some three million probe lines. The shapes of five
kinds (telephone numbers, URLs, e-mail addresses, hyphenated words, smileys) were first written down from
memory of its published grammar and then confirmed by probing; they are still to be derived anew from probes
alone.

As in the lexers that generators make, the longest match wins, the earlier rule on a tie, and text that a
rule only looks ahead to counts towards its length: that is what settles "U.S." before "The", "don't" and
"no. 5".

A pattern's group 1 is the token; what follows it inside the pattern is looked ahead to.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import NamedTuple

from earwitness.metrics.ptb_characters import (
    DIGIT_RUNS,
    LETTER_RUNS,
    MARK_RUNS,
    SYMBOL_RUNS,
    character_class,
)
from earwitness.metrics.ptb_words import (
    CAPITAL_CLOSERS,
    CLOSERS,
    FILE_ENDINGS,
    NUMBER_WORDS,
    STARTERS,
    TITLES,
)

BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
FRACTIONS = {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
CURRENCY = {"\xa3": "#", "\u20ac": "$", "\x80": "$", "\xa4": "$", "\u20a0": "$", "\xa2": "cents"}
_QUOTES = {
    **dict.fromkeys("\x91\u2018\u201b\u2039", "`"),
    **dict.fromkeys("\x92\u2019\u203a", "'"),
    **dict.fromkeys("\x93\u201c\xab", "``"),
    **dict.fromkeys("\x94\u201d\xbb", "''"),
}
_QUOTE_TABLE = str.maketrans(_QUOTES)

Rewrite = Callable[[str], str]


class Rule(NamedTuple):
    """A token (group 1 of the pattern) and how it is written; `keep_dot` gives its last dot back to the
    text."""

    pattern: re.Pattern[str]
    rewrite: Rewrite | None = None
    keep_dot: bool = False


def plain_quotes(text: str) -> str:
    """Curly and coded quotes as LaTeX writes them."""
    return text.replace("&apos;", "'").translate(_QUOTE_TABLE)


def hard_spaces(text: str) -> str:
    """A token that holds spaces stays one token: they become no-break spaces."""
    return text.replace(" ", "\xa0").replace("\u3000", "\xa0")


def phone(text: str) -> str:
    return hard_spaces(round_brackets(text))


def round_brackets(text: str) -> str:
    return text.replace("(", "-lrb-").replace(")", "-rrb-")


def without_soft_hyphen(text: str) -> str:
    return text.replace("\xad", "") or "-"


def _always(text: str) -> Rewrite:
    return lambda _: text


def _any_of(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


LETTERS = "A-Za-z" + character_class(LETTER_RUNS)
DIGITS = "0-9" + character_class(DIGIT_RUNS)
MARKS = character_class(MARK_RUNS)
CAPITALS = "".join(chr(code) for code in range(0x10000) if unicodedata.category(chr(code)) == "Lu")
L = f"[{LETTERS}{MARKS}\xad]"
D = f"[{DIGITS}]"
A = f"[{LETTERS}{DIGITS}{MARKS}\xad]"
T = f"[{LETTERS}{DIGITS}]"
WORD = f"{L}{A}*(?:[.!?]{L}{A}*)*"
APOS = "(?:['\x92\u2019]|&apos;)"
QUOTED = "(?:['`\x91\x92\u2018\u2019\u201b]|&apos;)"
NUMBER = f"(?:{D}*(?:[.:,\xad\u066b\u066c]{D}+)+|{D}+)"
NOT_LETTER = r"(?:[^A-Za-z]|\Z)"
SUFFIX = "(?:[msdMSD]|[rR][eE]|[vV][eE]|[lL][lL])"
ELIDED = f"[dDoOlL]{QUOTED}{T}"
THING = f"(?:{ELIDED})?{T}+(?:[-_\u058a\u2010\u2011](?:{ELIDED})?{T}+)*"  # hyphenated and the like
_NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
_ATTRIBUTE = f"{_NAME}(?: *= *(?:'[^'\\n]*'|\"[^\"\\n]*\"))?"
TAG = f"(?:<(?:{_NAME}(?:[ \xa0]+{_ATTRIBUTE})*[ \xa0]*/?|/{_NAME})[ \xa0]*>|<[!?][A-Za-z-][^>\\n]{{0,999}}>)"
ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"
URL_CHAR = r"[^ \t\n\f\r\"<>|(){}\xa0]"
URL_LAST = r"[^ \t\n\f\r\"<>|.!?(){},\xa0-]"


def _word_rules() -> list[Rule]:
    """Words, their contractions, and words with an apostrophe inside."""
    rest = f"{QUOTED}{L}{L}+"
    inside = [
        f"[nN]{QUOTED}[tT]",
        f"[A-HJ-XZn]{rest}",
        f"{L}+[aeiouyAEIOUY]{QUOTED}[aeiouA-Z]{L}*",
        "(?i:c'mon|s'mores|ev'ry|nat'l|e'er)",
        f"(?i:c{APOS}est|cap{APOS}n|d{APOS}ye|o{QUOTED}o|o{QUOTED}er)",
    ]
    halves = [
        ("can", "not"),
        ("gon", "na"),
        ("wan", "na"),
        ("got", "ta"),
        ("lem", "me"),
        ("gim", "me"),
        ("'t", "is|was"),
    ]
    return [
        *(Rule(re.compile(f"((?i:{a}))(?i:{b})")) for a, b in halves),
        Rule(re.compile(f"([A-Za-z]+)(?:[nN]{QUOTED}[tT])")),
        Rule(re.compile(f"({WORD})(?:{APOS}{SUFFIX})"), without_soft_hyphen),
        Rule(re.compile(f"({WORD})"), without_soft_hyphen),
        *(Rule(re.compile(f"({form})"), plain_nt) for form in inside),
        Rule(re.compile(f"([dDlLjJ]{APOS})")),
        Rule(re.compile(f"([yY]{APOS})[A-Za-z]")),
        Rule(re.compile(f"([oO][lL]{APOS})")),
        Rule(re.compile(f"({THING})"), without_soft_hyphen),
        Rule(
            re.compile(
                r"([A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2})",
            )
        ),
        Rule(re.compile(f"({APOS}[nN]{APOS}?)")),
        Rule(re.compile(f"({APOS}(?i:em|till?|cause))")),
        Rule(re.compile(rf"({APOS}{SUFFIX}){NOT_LETTER}"), plain_quotes),
        Rule(re.compile(f"((?:[\x92\u2019]|&apos;){SUFFIX})"), plain_quotes),
        Rule(re.compile("(['\x92\u2019][0-9]0[sS])")),
        Rule(re.compile(r"(['\x92\u2019][0-9][0-9])(?:\s|\Z)")),
    ]


_NOT = re.compile(f"[nN]{QUOTED}[tT]")


def plain_nt(text: str) -> str:
    return plain_quotes(text) if _NOT.fullmatch(text) else text


def _abbreviation_rules() -> list[Rule]:
    names = sorted(
        {form for word in STARTERS for form in (word.capitalize(), word.upper())}, key=len, reverse=True
    )
    starter = rf"\s+(?:{'|'.join(names)}|(?:M[rs]|M[RS])\.|{TAG})\s"
    capital = "|".join(f"{w.capitalize()}|{w.upper()}" for w in CAPITAL_CLOSERS)
    closer = f"(?i:{_any_of(CLOSERS)})|{capital}|[pP]+t[eEyY]s?|(?i:ph|ed)\\.(?i:d)"
    return [
        Rule(re.compile(rf"((?:{closer})\.)(?:\s(?:[{CAPITALS}\s]|{TAG}))"), None, True),
        Rule(re.compile(rf"((?:{closer})\.)(?s:..)")),
        Rule(re.compile(rf"((?:{closer})\.)"), None, True),
        Rule(re.compile(rf"({ACRONYM}\.){starter}"), None, True),
        Rule(re.compile(rf"({ACRONYM}\.)")),
        Rule(re.compile(rf"([A-Za-z])\.{starter}")),
        Rule(re.compile(r"([A-Za-z]\.)")),
        Rule(re.compile(rf"((?i:{_any_of(TITLES)}|[mM][ft]g)\.)")),
        Rule(re.compile(rf"((?:{WORD}|{THING}|{NUMBER})\.)[,;:]"), without_soft_hyphen),
        Rule(re.compile(rf"((?i:{_any_of(NUMBER_WORDS)})\.)\s?[0-9]")),
        Rule(
            re.compile(rf"([A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:{ACRONYM}\.|[A-Za-z0-9\xad]+))+)"),
            without_soft_hyphen,
        ),
        Rule(re.compile(rf"((?:{T}+\.)+(?i:{_any_of(FILE_ENDINGS)}))(?:[ \t\xa0\n.?!,]|\Z)")),
    ]


def _number_rules() -> list[Rule]:
    group = "[0-9]{2,4}"
    lines = (
        rf"(?:\([0-9]{{2,3}}\)[ \xa0]?|(?:\+\+?)?(?:{group}[- \xa0])?{group}[- \xa0])"
        r"[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
        rf"|(?:(?:\+\+?)?{group}\.)?{group}\.[0-9]{{3,4}}\.[0-9]{{3,5}}"
    )
    return [
        Rule(re.compile(f"([-+]?{NUMBER})"), without_soft_hyphen),
        Rule(re.compile("((?:[0-9]{1,4}[- \xa0])?[0-9]{1,4}(?:\\\\?/|\u2044)[0-9]{1,4})"), hard_spaces),
        Rule(re.compile("([0-9]{1,2}[-/][0-9]{1,2}[-/][0-9]{2,4})")),
        Rule(re.compile(f"({lines})"), phone),
        Rule(re.compile("([\xbc\xbd\xbe\u2153\u2154])"), lambda t: FRACTIONS[t]),
        Rule(re.compile("([\xb2\xb3\xb9\u2070\u2074-\u2079\u2080-\u2089]+)")),
    ]


def _web_rules() -> list[Rule]:
    host = "[^ \\t\\n\\f\\r\\xa0\"`'<>|.!?(){},-_$]{1,200}"
    tail = f"(?:/{URL_CHAR}+{URL_LAST})?"
    mailed = '[^ \\t\\n\\f\\r"<>|(){}.\xa0]{1,200}'
    eyes = "[<>]?[:;=][-o*']?[()DPdpO\\\\{@|\\[\\]]"
    face = "[-^x=~<>']"
    return [
        Rule(re.compile(f"({TAG})"), hard_spaces),
        Rule(re.compile("(&(?:[A-Za-z]acute|HT|TL|UR|LR|QC|QL|QR|odq|cdq|#[0-9]+);)")),
        Rule(re.compile("(&(?:MD|mdash|ndash);)"), _always("--")),
        Rule(re.compile(f"(https?://{URL_CHAR}+{URL_LAST})", re.I)),
        Rule(re.compile(f'(www\\.(?:[^ \\t\\n\\f\\r\\xa0"<>|.!?(){{}},]+\\.)+[a-zA-Z]{{2,4}}{tail})')),
        Rule(re.compile(f"((?:{host}\\.)+(?:com|net|org|edu){tail})")),
        Rule(
            re.compile(
                f'((?:&lt;|<)?[A-Za-z0-9][^ \\t\\n\\f\\r"<>|(){{}}\xa0]{{0,200}}@'
                f"(?:{mailed}\\.)*{mailed}(?:&gt;|>)?)"
            )
        ),
        Rule(re.compile(f"(@[A-Za-z_][A-Za-z_0-9]*|#{L}+)")),
        Rule(re.compile(f"({eyes})(?:[^A-Za-z0-9]|\\Z)"), round_brackets),
        Rule(re.compile(f"({face}_{face}|\\({face}[_.]?{face}\\))"), round_brackets),
        Rule(re.compile("([A-Z]+(?:(?:&amp;|[&+])[A-Z]+)+)"), lambda t: t.replace("&amp;", "&")),
        Rule(re.compile(r"([cC]\+\+|[cCfF]#)")),
    ]


def _sign_rules() -> list[Rule]:
    odd = "`\x91-\x94\xab\xbb\u2018-\u201f\u2039\u203a"
    return [
        Rule(re.compile(r"(\.{3,5}|(?:\.[ \xa0]){2,4}\.|\u2026)"), _always("...")),
        Rule(re.compile('("|&quot;)[A-Za-z0-9$]'), _always("``")),
        Rule(re.compile('("|&quot;)'), _always("''")),
        Rule(re.compile("('')")),
        Rule(re.compile(r"(')[A-Za-z][^ \t\n\r\xa0]"), _always("`")),
        Rule(re.compile(f"([{odd}]{{1,2}})"), plain_quotes),
        Rule(re.compile("('|&apos;)"), _always("'")),
        Rule(re.compile("(-{5,})")),
        Rule(re.compile("(-{2,4}|[\x96\x97\u2013-\u2015])"), _always("--")),
        Rule(re.compile("([?!]+|\\*+|@+|#+|_+|<+|>+|\\\\\\*)")),
        Rule(re.compile("(&lt;)"), _always("<")),
        Rule(re.compile("(&gt;)"), _always(">")),
        Rule(re.compile("(&amp;)"), _always("&")),
        Rule(re.compile(r"([A-Z]*\$)")),
        Rule(re.compile("([()\\[\\]{}])"), lambda t: BRACKETS[t]),
        Rule(re.compile("([\xa3\u20ac\x80\xa4\u20a0\xa2])"), lambda t: CURRENCY[t]),
        Rule(re.compile("(\xad)"), _always("-")),
        Rule(re.compile(f"([.,;:%&+/<=>\\\\^|~-]|[{character_class(SYMBOL_RUNS)}])")),
    ]


@lru_cache(maxsize=1)
def rules() -> list[Rule]:
    """All rules in their order of preference; compiled on first use (some 60 ms)."""
    return [*_word_rules(), *_web_rules(), *_abbreviation_rules(), *_number_rules(), *_sign_rules()]
