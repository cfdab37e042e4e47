"""METEOR's alignment of a candidate with a reference: which words match, found by a beam search."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, NamedTuple

BEAM = 40


class Match(NamedTuple):
    """Words `start:start + length` of the reference match words `i:i + width` of the candidate."""

    start: int
    length: int
    i: int
    width: int
    module: int  # 0 exact, 1 stem, 2 synonym, 3 paraphrase


# A path is a plain tuple, since the search makes hundreds of thousands: its rank, the candidate word after
# the last match (-1: no open chunk), candidate words in use as bits, reference words in use as bits, and the
# matches so far as a linked list. A rank is one number to be small: minus the sum of both sides' counters,
# then chunks closed, then distance, each in bits of its own (a text has at most some hundreds of words).
_Path = tuple[int, int, int, int, Any]
_CHUNK, _COUNT = 1 << 32, 1 << 44
_rank = itemgetter(0)


def align(options: Sequence[Sequence[Match]], width: int) -> tuple[list[Match], int]:
    """The chosen matches in the reference's order, and the number of chunks they make.

    Args:
        options: the possible matches that start at each word of the reference, in order of preference.
        width: number of words in the candidate.
    """
    fixed, used, taken, covered = _definite(options, width)
    paths: list[_Path] = [(0, -1, used, taken, None)]
    open_chunks = False
    for start, starting in enumerate([*options, ()]):  # beyond the last word open chunks are closed
        if start in fixed:
            paths = _take(paths, fixed[start])
            open_chunks = True
        elif starting:
            paths = _branches(paths, start, starting)
            open_chunks = True
        elif open_chunks:
            bit = 1 << start
            paths = [_close(path) if path[1] >= 0 and not path[3] & bit else path for path in paths]
            open_chunks = bool(covered & bit)
        else:
            continue
        if len(paths) > 1:
            paths.sort(key=_rank)
            del paths[BEAM:]
    best = paths[0]
    chosen: list[Match] = []
    rest = best[4]
    while rest:
        chosen.append(rest[0])
        rest = rest[1]
    return chosen[::-1], (best[0] % _COUNT) // _CHUNK


def _definite(options: Sequence[Sequence[Match]], width: int) -> tuple[dict[int, Match], int, int, int]:
    """Matches that compete with no other, the words that they use on both sides, and the words of the
    reference that any match covers, as bits."""
    once = twice = other_once = other_twice = 0  # words covered at least once, at least twice
    for starting in options:
        for match in starting:
            bits = ((1 << match.length) - 1) << match.start
            twice |= once & bits
            once |= bits
            bits = ((1 << match.width) - 1) << match.i
            other_twice |= other_once & bits
            other_once |= bits
    fixed: dict[int, Match] = {}
    used = taken = 0
    for starting in options:
        if len(starting) == 1:
            match = starting[0]
            bits = ((1 << match.length) - 1) << match.start
            other_bits = ((1 << match.width) - 1) << match.i
            if not bits & twice and not other_bits & other_twice:
                fixed[match.start] = match
                used |= other_bits
                taken |= bits
    return fixed, used, taken, once


def _counted(match: Match) -> int:
    """What a match adds to the two counters. They are whole numbers: one word of weight one half adds
    nothing."""
    return match.length + match.width if match.module == 0 else match.length // 2 + match.width // 2


def _close(path: _Path) -> _Path:
    """The path with its open chunk closed: a word of the reference stays unmatched."""
    rank, _, used, taken, matches = path
    return rank + _CHUNK, -1, used, taken, matches


def _take(paths: list[_Path], match: Match) -> list[_Path]:
    """The paths with a definite match; its distance counts for the paths themselves."""
    i, after = match.i, match.i + match.width
    gain = abs(match.start - i) - _counted(match) * _COUNT
    return [
        (rank + gain + _CHUNK * (0 <= end != i), after, used, taken, (match, matches))
        for rank, end, used, taken, matches in paths
    ]


def _branches(paths: list[_Path], start: int, starting: Sequence[Match]) -> list[_Path]:
    """All continuations at a word: for each path every free match in turn, then no match."""
    grown: list[_Path] = []
    ready = [
        (
            match,
            match.i,
            _counted(match) * _COUNT,
            ((1 << match.width) - 1) << match.i,
            ((1 << match.length) - 1) << start,
            match.i + match.width,
            abs(start - match.i),
        )
        for match in starting
    ]
    bit = 1 << start
    for path in paths:
        rank, end, used, taken, matches = path
        if taken & bit:
            grown.append(path)
            continue
        for match, i, counted, bits, own_bits, after, away in ready:
            if used & bits or taken & own_bits:
                continue
            new_rank = rank - counted + _CHUNK * (0 <= end != i)
            grown.append((new_rank, after, used | bits, taken | own_bits, (match, matches)))
            rank += away  # the original adds it to the path it came from, so later options inherit it
        grown.append((rank + _CHUNK * (end >= 0), -1, used, taken, matches))
    return grown
