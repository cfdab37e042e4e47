r"""The rules of the Penn Treebank tokenizer as regular expressions.

They were found by running the tokenizer (CoreNLP 3.4.1) on some three million probe lines. As in the lexers
that generators make, the longest match wins, the earlier rule on a tie, and text that a rule only looks ahead
to counts towards its length: that is what settles "U.S." before "The", "don't" and "no. 5".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from earwitness.metrics.ptb.characters import (
    BLANK,
    CAPITALS,
    DIGITS,
    LETTERS,
    MARKS,
    SPACE,
    SYMBOL_RUNS,
    character_class,
)
from earwitness.metrics.ptb.shapes import ACRONYM, DOTTED, HYPHENATED, QUOTED, shape_rules
from earwitness.metrics.ptb.words import (
    CAPITAL_CLOSERS,
    CLOSERS,
    FILE_ENDINGS,
    NUMBER_WORDS,
    STARTERS,
    TITLES,
)
from earwitness.metrics.ptb.writing import (
    BRACKETS,
    CURRENCY,
    FRACTIONS,
    Rule,
    always,
    hard_spaces,
    plain_ampersands,
    plain_quotes,
    without_soft_hyphen,
)


def _any_of(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=len, reverse=True)) + ")"


def _capitalized(words: Iterable[str]) -> str:
    """Any of the words with a capital; the other letters as they like."""
    return _any_of(f"{word[0].upper()}(?i:{word[1:]})" for word in words)


L = f"[{LETTERS}{MARKS}\xad]"
D = f"[{DIGITS}]"
A = f"[{LETTERS}{DIGITS}{MARKS}\xad]"
WORD = f"{L}{A}*(?:[.!?]{L}{A}*)*"
APOS = "(?:['\x92\u2019]|(?i:&apos;))"
NUMBER = f"(?:{D}*(?:[.:,\xad\u066b\u066c]{D}+)+|{D}+)"
INITIALS = "[A-Z]+(?:(?:(?i:&amp;)|[&+])[A-Z]+)+"
NOT_LETTER = r"(?:[^A-Za-z]|\Z)"
SUFFIX = "(?:[msdMSD]|[rR][eE]|[vV][eE]|[lL][lL])"
_NAME = "[A-Za-z][A-Za-z0-9_:.-]*"
_ATTRIBUTE = f"{_NAME}(?: *= *(?:'[^'\\n]*'|\"[^\"\\n]*\"))?"
TAG = f"(?:<(?:{_NAME}(?: +{_ATTRIBUTE})* */?|/{_NAME}) *>|<[!?][A-Za-z-][^>\\n]{{0,999}}>)"


def _word_rules() -> list[Rule]:
    """Words, their contractions, and words with an apostrophe inside."""
    rest = f"{QUOTED}[{LETTERS}]{{2,}}"
    inside = [
        f"[nN]{QUOTED}[tT]",
        f"[A-HJ-XZn]{rest}",
        f"[{LETTERS}]+[aeiouyAEIOUY]{QUOTED}[aeiouA-Z][{LETTERS}]*",
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
        Rule(re.compile(f"([A-Za-z\xad]*[A-MO-Za-mo-z]\xad*)[nN]{QUOTED}[tT]"), without_soft_hyphen),
        Rule(re.compile(f"({WORD})(?:{APOS}{SUFFIX})"), without_soft_hyphen),
        Rule(re.compile(f"({WORD})"), without_soft_hyphen),
        *(Rule(re.compile(f"({form})"), plain_nt) for form in inside),
        Rule(re.compile(f"([dDlLjJ]{APOS})")),
        Rule(re.compile(f"([yY]{APOS})[{LETTERS}]")),
        Rule(re.compile(f"([oO][lL]{APOS})")),
        Rule(re.compile(f"({APOS}[nN]{APOS}?)")),
        Rule(re.compile(f"({APOS}(?i:em|till?|cause))")),
        Rule(re.compile("((?i:pro|anti)-)")),
        Rule(re.compile(rf"({APOS}{SUFFIX}){NOT_LETTER}"), plain_quotes),
        Rule(re.compile(f"((?:[\x92\u2019]|(?i:&apos;)){SUFFIX})"), plain_quotes),
        Rule(re.compile(f"({APOS}[2-9]0[sS])")),
        Rule(re.compile(rf"({APOS}[0-9][0-9])(?:{BLANK}|\Z)")),
    ]


_NOT = re.compile(f"[nN]{QUOTED}[tT]")


def plain_nt(text: str) -> str:
    return plain_quotes(text) if _NOT.fullmatch(text) else text


def _abbreviation_rules() -> list[Rule]:
    starter = rf"{BLANK}+(?:{_capitalized(STARTERS)}|M[RSrs]\.|{TAG}){BLANK}"
    capital = _capitalized(CAPITAL_CLOSERS)
    closer = f"(?i:{_any_of(CLOSERS)})|{capital}|[pP]{{1,2}}[tT][ey][sS]?|(?i:ph|ed)\\.(?i:d)"
    return [
        Rule(re.compile(rf"((?:{closer})\.){BLANK}(?:[{CAPITALS}]|{BLANK}|{TAG})"), None, True),
        Rule(re.compile(rf"((?:{closer})\.)(?s:..)")),
        Rule(re.compile(rf"((?i:co)\.){SPACE}(?i:ltd)")),
        Rule(re.compile(rf"((?:{closer})\.)"), None, True),
        Rule(re.compile(f"({DOTTED})"), without_soft_hyphen),
        Rule(re.compile(rf"({ACRONYM}\.){starter}"), None, True),
        Rule(re.compile(rf"({ACRONYM}\.)")),
        Rule(re.compile(rf"([A-Za-z])\.{starter}")),
        Rule(re.compile(r"([A-Za-z]\.)")),
        Rule(re.compile(rf"((?:(?i:{_any_of(TITLES)})|[mM][ft][gG])\.)")),
        Rule(re.compile(rf"((?:{WORD}|{HYPHENATED}|{DOTTED}|{INITIALS})\.)[,;:\u3001]"), without_soft_hyphen),
        Rule(re.compile(rf"((?i:{_any_of(NUMBER_WORDS)})\.){BLANK}?{D}")),
        Rule(
            re.compile(
                rf"((?:[{LETTERS}{DIGITS}\xad]+\.)+(?i:{_any_of(FILE_ENDINGS)}))(?:{SPACE}|[\n.?!,]|\Z)"
            )
        ),
    ]


def _number_rules() -> list[Rule]:
    return [
        Rule(re.compile(f"([-+]?{NUMBER})"), without_soft_hyphen),
        Rule(re.compile(f"((?:{D}{{1,4}}[- \xa0])?{D}{{1,4}}(?:\\\\?/|\u2044){D}{{1,4}})"), hard_spaces),
        Rule(re.compile("([0-9]{1,2}[-/][0-9]{1,2}[-/][0-9]{2,4})")),
        Rule(re.compile("([\xbc\xbd\xbe\u2153\u2154])"), lambda t: FRACTIONS[t]),
        Rule(re.compile("([\xb2\xb3\xb9\u2070\u2074-\u2079]+|[\u2080-\u2089]+)")),
    ]


def _web_rules() -> list[Rule]:
    return [
        Rule(re.compile(f"({TAG})"), hard_spaces),
        Rule(re.compile("((?i:&(?:[a-z]acute|ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);))")),
        Rule(re.compile("((?i:&(?:md|mdash|ndash);))"), always("--")),
        Rule(re.compile(f"(@[A-Za-z_][A-Za-z_0-9]*|#{L}+)")),
        Rule(re.compile(f"({INITIALS})"), plain_ampersands),
        Rule(re.compile(r"([cC]\+\+|[cCfF]#)")),
    ]


def _sign_rules() -> list[Rule]:
    odd = "`\x91-\x94\xab\xbb\u2018-\u201f\u2039\u203a"
    return [
        Rule(re.compile(r"(\.{3,5}|(?:\.[ \xa0]){2,4}\.|\u2026)"), always("...")),
        Rule(re.compile('("|&quot;)[A-Za-z0-9$]'), always("``")),
        Rule(re.compile('("|&quot;)'), always("''")),
        Rule(re.compile("((?i:&quot;))")),
        Rule(re.compile("('')")),
        Rule(re.compile(r"(')[A-Za-z][^ \t\n\r\xa0]"), always("`")),
        Rule(re.compile(f"([{odd}]{{1,2}})"), plain_quotes),
        Rule(re.compile("('|(?i:&apos;))"), plain_quotes),
        Rule(re.compile("(-{5,})")),
        Rule(re.compile("(-{2,4}|[\x96\x97\u2013-\u2015])"), always("--")),
        Rule(re.compile("([?!]+|\\*+|@+|#+|_+|<<?|>>?|(?:\\\\\\*)+)")),
        Rule(re.compile("((?i:&lt;))"), always("<")),
        Rule(re.compile("((?i:&gt;))"), always(">")),
        Rule(re.compile("((?i:&amp;))"), always("&")),
        Rule(re.compile(r"([A-Z]*\$)")),
        Rule(re.compile("([()\\[\\]{}])"), lambda t: BRACKETS[t]),
        Rule(re.compile("([\xa3\u20ac\x80\xa4\u20a0\xa2])"), lambda t: CURRENCY[t]),
        Rule(re.compile("(\xad)"), always("-")),
        Rule(re.compile(f"({SPACE}+)"), always("")),
        Rule(re.compile(f"([.,;:%&+/<=>\\\\^|~-]|[{character_class(SYMBOL_RUNS)}])")),
    ]


@lru_cache(maxsize=1)
def rules() -> list[Rule]:
    """All rules in their order of preference; compiled on first use (some 60 ms)."""
    return [
        *_word_rules(),
        *shape_rules(),
        *_web_rules(),
        *_abbreviation_rules(),
        *_number_rules(),
        *_sign_rules(),
    ]
