"""Parser of human captions into sequences of sounds for which a bank has recordings.

A caption is cut into phases at the words that give an order ("followed by", "then", "before", "after");
each phase is cut into phrases at the words that lay one sound over another ("while", "as", "and", "with");
and each phrase is matched against the concepts of `lexicon.yaml`. A caption that names something no
concept covers is refused (None): a scene must contain every sound that its caption names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import yaml

_ORDER = re.compile(
    r"\b(?:and is |and are |is |are |which is )?(?:followed|succeeded) "
    r"(?:shortly |closely |immediately |quickly )?by\b"
    r"|\b(?:and )?(?:then|afterwards?|later|eventually|subsequently|finally)\b|\bbefore\b|\bleading to\b"
)
_AFTER = re.compile(r"\bafter\b|\bpreceded by\b")
_LAYER = re.compile(
    r"\b(?:while|whilst|as|and|with|over|alongside|along with|amid|during|accompanied by"
    r"|when|plus|but|against|near|nearby)\b|[,;.]"
)
_FAR = re.compile(r"\b(?:background|distan\w*|far|faint\w*|quiet\w*|soft\w*|muffled|low|lightly|away)\b")
_NEAR = re.compile(r"\b(?:loud\w*|foreground|close|heavy|heavily|strong\w*|nearby)\b")
_AGAIN = re.compile(
    r"\b(?:repeated\w*|several|times|multiple|many|series|continu\w*|constant\w*|rapid\w*|again|few|bursts|intermittent\w*)\b"
)
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?")

_SPEAKERS = ("man speaking", "woman speaking", "child speaking", "people talking")
_ANYONE = ("person speaking",)

# Words that say how, where or how much a thing sounds, but not what sounds.
_COLOUR = frozenset(
    resources.files("earwitness.scenes").joinpath("colour_words.txt").read_text("utf-8").split()
)


class Mention(NamedTuple):
    """A sound that a caption names. level: -1 far, 0 plain, 1 near; many: repeated or continuous."""

    concept: str
    level: int
    many: bool


@dataclass(frozen=True)
class Concept:
    name: str
    labels: tuple[str, ...]
    classes: tuple[str, ...] = ()
    kind: str = "event"
    count: int = 1
    shift: int = 0


def _part(text: str) -> re.Pattern[str]:
    return re.compile(
        "(?:" + "|".join(w.strip().lstrip("@").replace("*", r"[a-z']*") for w in text.split("|")) + r")$"
    )


class Lexicon:
    """The concepts, and the parser of captions by them."""

    def __init__(self, concepts: dict[str, dict[str, Any]]):
        self.concepts: dict[str, Concept] = {}
        rules = []
        for order, (name, entry) in enumerate(concepts.items()):
            self.concepts[name] = Concept(
                name,
                tuple(entry["labels"]),
                tuple(entry.get("classes", ())),
                entry.get("kind", "event"),
                entry.get("count", 1),
                entry.get("shift", 0),
            )
            for alternative in entry["words"]:
                parts = [p.strip() for p in alternative.split("+")]
                compiled = [(_part(p), p.startswith("@")) for p in parts if p != "*"]
                rules.append((-len(compiled), order, name, compiled))
        self._rules = sorted(rules, key=lambda rule: rule[:2])
        self._known: dict[str, tuple[tuple[int, int], ...]] = {}

    @classmethod
    @lru_cache(maxsize=1)
    def default(cls) -> Lexicon:
        text = resources.files("earwitness.scenes").joinpath("lexicon.yaml").read_text("utf-8")
        return cls(yaml.safe_load(text))

    def _parts_of(self, word: str) -> tuple[tuple[int, int], ...]:
        """(rule, part) pairs that a word satisfies; remembered, for captions share their words."""
        if word not in self._known:
            self._known[word] = tuple(
                (r, p)
                for r, (_, _, _, parts) in enumerate(self._rules)
                for p, (pattern, anywhere) in enumerate(parts)
                if not anywhere and pattern.match(word)
            )
        return self._known[word]

    def _match(self, tokens: list[str], caption: list[str]) -> tuple[list[str], set[int]]:
        """Concepts of one phrase, the most specific first, and the positions of the words they explain."""
        hits: dict[int, dict[int, set[int]]] = {}
        for i, token in enumerate(tokens):
            for rule, part in self._parts_of(token):
                hits.setdefault(rule, {}).setdefault(part, set()).add(i)
        found: list[str] = []
        used: set[int] = set()
        for rule in sorted(hits):
            _, _, name, parts = self._rules[rule]
            here = hits[rule]
            if name in found or not all(
                p in here or (anywhere and any(pattern.match(t) for t in caption))
                for p, (pattern, anywhere) in enumerate(parts)
            ):
                continue
            heads = here.get(0, set())
            # a word that a more specific concept has explained does not call a second one
            if heads - used and (len(parts) > 1 or not (heads & used)):
                found.append(name)
                used.update(*here.values())
        if any(speaker in found for speaker in _SPEAKERS):
            found = [name for name in found if name not in _ANYONE]  # "human male speech" is one speaker
        return found, used

    def read(self, caption: str, tolerance: int = 0) -> list[list[Mention]] | None:
        """Caption -> phases in time order, each a list of mentions; None if it names an unknown sound.

        tolerance: how many words with content may stay unexplained.
        """
        text = caption.lower()
        words = _TOKEN.findall(text)
        pieces = [p for p in _ORDER.split(text) if p.strip()]
        ordered: list[str] = []
        for piece in pieces:
            halves = _AFTER.split(piece, maxsplit=1)
            ordered.extend(h for h in reversed(halves) if h.strip())
        phases, unknown = [], 0
        for piece in ordered:
            mentions, left = self._phase(piece, words)
            unknown += left
            if mentions:
                phases.append(mentions)
        return phases if phases and unknown <= tolerance else None

    def _phase(self, text: str, words: list[str]) -> tuple[list[Mention], int]:
        mentions: list[Mention] = []
        unknown, carried = 0, ""
        phrases = [p for p in _LAYER.split(text) if p.strip()]
        for i, phrase in enumerate(phrases):
            joined = f"{carried} {phrase}"
            tokens = _TOKEN.findall(joined)
            found, used = self._match(tokens, words)
            left = [t for i, t in enumerate(tokens) if i not in used and t not in _COLOUR]
            bare_subject = found in (["crowd"], ["child speaking"], []) and len(tokens) <= 3
            if (not found or bare_subject) and i + 1 < len(phrases):
                carried = joined  # "a man [and a woman speaking]": the verb comes later
                continue
            carried = ""
            unknown += len(left)
            level = -1 if _FAR.search(phrase) else 1 if _NEAR.search(phrase) else 0
            many = bool(_AGAIN.search(phrase))
            known = {m.concept for m in mentions}
            mentions.extend(Mention(name, level, many) for name in found if name not in known)
        return mentions, unknown
