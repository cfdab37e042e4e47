"""Phrases of template captions for a label: plain words from its recordings' hints.

A hint describes one recording in more detail than is audible ("a baby boy cries (hungry)", "a person says the
word 'hen'") or something else altogether ("charlie"). What several recordings of a label agree on is kept.
"""

from __future__ import annotations

import re
from collections import Counter

# Asides, words that were said, notes that were played, languages.
DETAIL = re.compile(r"\s*\([^)]*\)|(?<=plays) a (?:phrase|note)\b.*|\b(?:a|the) word\b.*|(?<=speaks) in \w+$")
MIN_SHARE = 0.1  # of a label's recordings that a phrase must fit
UNFINISHED = re.compile(r"\b(?:says?|the|an?|of|in|with)$")


def plain_phrases(label: str, hints: list[str]) -> list[str]:
    """Return phrases of a label, as often as its recordings have them; the label itself if none is shared."""
    plain = [DETAIL.sub("", hint).strip() for hint in hints]
    counts = Counter(phrase for phrase in plain if phrase and not UNFINISHED.search(phrase))
    least = max(MIN_SHARE * len(hints), min(2, len(hints)))
    kept = {phrase for phrase, count in counts.items() if count >= least}
    return [phrase for phrase in plain if phrase in kept] or [label]
