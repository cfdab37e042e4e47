r"""Telephone numbers, web addresses, e-mail addresses, hyphenated words and smileys.

Their shapes were read off tables that `python -m benchmarks.ptb_probes` makes by running the tokenizer
(CoreNLP 3.4.1): which characters a place in a template takes, which lengths a run of digits may have, and, of
all short texts over a few characters, which are one token.
"""

from __future__ import annotations

import re

from earwitness.metrics.ptb.characters import DIGITS, LETTERS
from earwitness.metrics.ptb.writing import Rule, hard_spaces, round_brackets, without_soft_hyphen

QUOTED = "(?:['`\x91\x92\u2018\u2019\u201b]|(?i:&apos;))"
T = f"[{LETTERS}{DIGITS}]"
ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"

# "d'Oeuvre-like", "jack-o'lantern": an elided word in front of a part
_PART = f"(?:[dDoOlL]{QUOTED}{T})?{T}+"
HYPHENATED = f"{_PART}(?:[-_\u058a\u2010\u2011]{_PART})*"
DOTTED = rf"[A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:{ACRONYM}\.|[A-Za-z0-9\xad]+))+"  # "U.S.-led", "1.5-inch"
_SLASHED_PART = "[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_SLASHED = rf"{_SLASHED_PART}(?:\\?/{_SLASHED_PART}){{1,2}}"

# Up to two plus signs and two leading groups, or an area code in brackets; then prefix and line number.
_GAP, _GROUP = "[- \xa0]", "[0-9]{2,4}"
_PHONE = rf"(?:\([0-9]{{2,3}}\)[ \xa0]?|\+{{0,2}}(?:{_GROUP}{_GAP}){{1,2}})[0-9]{{3,4}}{_GAP}?[0-9]{{3,5}}"
_DOTTED_PHONE = rf"\+\+(?:{_GROUP}\.){{2}}[0-9]{{3,4}}\.[0-9]{{3,5}}"  # with fewer signs it reads as a number

# No address contains these, and none ends in a punctuation mark.
_STOPS = ' \t\n"<>|()'
_ADDRESS = f"[^{_STOPS}{{}}]+[^{_STOPS}{{}}!?.,-]"
_PATH = f"(?:/[^{_STOPS}]+[^{_STOPS}{{}}!?.,-])?"
_SITE_LABEL = f"[^{_STOPS}{{}}!?.,]+"
# Without "www." no capital, digit or other sign from the comma to the backquote is part of a name. Its length
# is held in bounds for speed, as is that of mail names.
_BARE_LABEL = "[^ \t\n!\"$'(){|},-`]{1,200}"

_MAILBOX = f"[A-Za-z0-9][^{_STOPS}{{}}\xa0]{{0,200}}"
_MAIL_LABEL = f"[^{_STOPS}{{}}\xa0.]{{1,200}}"
_MAIL = rf"(?:<|&lt;)?{_MAILBOX}@{_MAIL_LABEL}(?:\.{_MAIL_LABEL})*>?"

_EYES_MOUTH = r"[<>]?[:;=][-o*']?[()\[\]{|\\@DPOdp]"  # ":-)"
_FACE = "[-^x=~<>']"
_DASHED_FACE = "[x=~<>^']-[x=~<>^'`]"
_FACES = rf"{_FACE}_{_FACE}|\((?:{_FACE}[_.]?{_FACE}|{_DASHED_FACE})\)"  # "^_^", "(^^)", "(>-<)"


def shape_rules() -> list[Rule]:
    """The rules of all five."""
    return [
        Rule(re.compile(f"({HYPHENATED})"), without_soft_hyphen),
        Rule(re.compile(f"({_SLASHED})")),
        Rule(re.compile(f"({_PHONE}|{_DOTTED_PHONE})"), lambda text: hard_spaces(round_brackets(text))),
        Rule(re.compile(f"(https?://{_ADDRESS})", re.IGNORECASE)),
        Rule(re.compile(rf"((?i:www)\.(?:{_SITE_LABEL}\.)+[A-Za-z]{{2,4}}{_PATH})")),
        Rule(re.compile(rf"((?:{_BARE_LABEL}\.)+(?i:com|edu|net|org){_PATH})")),
        Rule(re.compile(f"({_MAIL})")),
        Rule(re.compile(rf"({_EYES_MOUTH})(?:[^A-Za-z0-9]|\Z)"), round_brackets),
        Rule(re.compile(f"({_FACES})"), round_brackets),
    ]
