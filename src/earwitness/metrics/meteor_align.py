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


# A path is a plain tuple, since the search makes hundreds of thousands: minus the sum of both sides'
# counters, chunks closed,
# distance, the candidate word after the last match (-1: no open chunk), candidate words in use as bits,
# reference words in
# use as bits, and the matches so far as a linked list. The first three are what paths are ranked by.
_Path = tuple[int, int, int, int, int, int, Any]
_rank = itemgetter(0, 1, 2)


def align(options: Sequence[Sequence[Match]], width: int) -> tuple[list[Match], int]:
    """The chosen matches in the reference's order, and the number of chunks they make.

    Args:
        options: the possible matches that start at each word of the reference, in order of preference.
        width: number of words in the candidate.
    """
    fixed, used, taken = _definite(options, width)
    paths: list[_Path] = [(0, 0, 0, -1, used, taken, None)]
    for start, starting in enumerate(options):
        if start in fixed:
            paths = [_take(path, fixed[start]) for path in paths]
        elif not starting:
            if len(paths) == 1 and paths[0][3] < 0:
                continue
            paths = [_skip(path, 1 << start) for path in paths]
        else:
            paths = _branches(paths, start, starting)
        if len(paths) > 1:
            paths.sort(key=_rank)
            del paths[BEAM:]
    best = min((_skip(path, 1 << len(options)) for path in paths), key=_rank)
    chosen: list[Match] = []
    rest = best[6]
    while rest:
        chosen.append(rest[0])
        rest = rest[1]
    return chosen[::-1], best[1]


def _definite(options: Sequence[Sequence[Match]], width: int) -> tuple[dict[int, Match], int, int]:
    """Matches that compete with no other, and the words that they use on both sides, as bits."""
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
    return fixed, used, taken


def _counted(match: Match) -> int:
    """What a match adds to the two counters. They are whole numbers: one word of weight one half adds
    nothing."""
    return match.length + match.width if match.module == 0 else match.length // 2 + match.width // 2


def _skip(path: _Path, bit: int) -> _Path:
    """Leave a word of the reference unmatched, which closes the open chunk."""
    gain, chunks, distance, end, used, taken, matches = path
    if end < 0 or taken & bit:
        return path
    return gain, chunks + 1, distance, -1, used, taken, matches


def _take(path: _Path, match: Match) -> _Path:
    """The path with a definite match; its distance counts for the path itself."""
    gain, chunks, distance, end, used, taken, matches = path
    return (
        gain - _counted(match),
        chunks + (0 <= end != match.i),
        distance + abs(match.start - match.i),
        match.i + match.width,
        used,
        taken,
        (match, matches),
    )


def _branches(paths: list[_Path], start: int, starting: Sequence[Match]) -> list[_Path]:
    """All ways to go on at a word: for each path every free match in turn, then leaving the word out."""
    grown: list[_Path] = []
    ready = [
        (
            match,
            match.i,
            _counted(match),
            ((1 << match.width) - 1) << match.i,
            ((1 << match.length) - 1) << start,
            match.i + match.width,
            abs(start - match.i),
        )
        for match in starting
    ]
    bit = 1 << start
    for path in paths:
        gain, chunks, distance, end, used, taken, matches = path
        if taken & bit:
            grown.append(path)
            continue
        for match, i, counted, bits, own_bits, after, away in ready:
            if used & bits or taken & own_bits:
                continue
            grown.append(
                (
                    gain - counted,
                    chunks + (0 <= end != i),
                    distance,
                    after,
                    used | bits,
                    taken | own_bits,
                    (match, matches),
                )
            )
            distance += away  # the original adds it to the path it came from, so later options inherit it
        if end < 0:
            grown.append((gain, chunks, distance, -1, used, taken, matches))
        else:
            grown.append((gain, chunks + 1, distance, -1, used, taken, matches))
    return grown
